"""Documents: small JSON bodies, each changed by compare-and-set."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from service.ports.storage import Document, Storage
from tests.clocks import FakeClock

ODD_BODY = {
    "": "empty",
    "mass (g)": 1.5,
    "ä": ["\U0001f600", None, True, {"deep": [[]]}],
    "big": 2**63,
    "negative": -(2**62),
    "whole": 2.0,
    "nul": "\x00",
}


async def test_a_document_is_created_once(storage: Storage, other: Storage) -> None:
    """The first to create an id has it at version 1; everyone else gets None and reads the first."""
    made = await storage.documents.create("key", "a", {"n": 1}, tag="t")
    assert made == Document("a", {"n": 1}, 1, "t")
    assert await other.documents.create("key", "a", {"n": 2}) is None
    assert await other.documents.get("key", "a") == made
    assert await storage.documents.get("key", "b") is None
    assert await storage.documents.get("job", "a") is None


async def test_bodies_come_back_as_they_were(storage: Storage) -> None:
    """A body keeps its names, order, types and numbers."""
    await storage.documents.create("key", "a", ODD_BODY)
    stored = await storage.documents.get("key", "a")
    assert stored is not None
    assert stored.body == ODD_BODY
    assert list(stored.body) == list(ODD_BODY)
    assert type(stored.body["whole"]) is float
    big = {"text": "x" * 900_000}
    await storage.documents.create("key", "big", big)
    found = await storage.documents.get("key", "big")
    assert found is not None
    assert found.body == big


@pytest.mark.parametrize("id", ["a:b", "a b", "{a}", "*", "%", "~" * 256, "'", '"', "\\", "/"])
async def test_ids_may_be_any_ascii(storage: Storage, id: str) -> None:
    """No character of an id means anything to a store."""
    await storage.documents.create("key", id, {"n": 1}, tag=id)
    await storage.documents.create("key", id[:-1] + "z", {"n": 2})
    stored = await storage.documents.get("key", id)
    assert stored == Document(id, {"n": 1}, 1, id)
    assert await storage.documents.list("key", tag=id) == [stored]
    assert await storage.documents.remove("key", id)
    assert await storage.documents.get("key", id) is None


async def test_an_update_needs_the_present_version(storage: Storage, other: Storage) -> None:
    """A change counts the version up; one that was made for another version changes nothing."""
    await storage.documents.create("job", "a", {"n": 1}, tag="queued")
    changed = await other.documents.update("job", "a", {"n": 2}, version=1, tag="running")
    assert changed == Document("a", {"n": 2}, 2, "running")
    assert await storage.documents.update("job", "a", {"n": 3}, version=1) is None
    assert await storage.documents.update("job", "a", {"n": 3}, version=3) is None
    assert await storage.documents.update("job", "b", {"n": 3}, version=1) is None
    assert await storage.documents.get("job", "a") == changed


async def test_a_removal_may_need_a_version(storage: Storage) -> None:
    """A document is removed once, and of a given version only where it has that one."""
    await storage.documents.create("job", "a", {})
    assert not await storage.documents.remove("job", "a", version=2)
    assert await storage.documents.remove("job", "a", version=1)
    assert not await storage.documents.remove("job", "a")
    await storage.documents.create("job", "a", {})
    assert await storage.documents.remove("job", "a")
    assert await storage.documents.list("job") == []
    again = await storage.documents.create("job", "a", {"n": 1})
    assert again is not None
    assert again.version == 1


async def test_documents_are_listed_by_id(storage: Storage) -> None:
    """A list is of one kind, sorted by id either way, and goes on from where it ended."""
    ids = ["A", "a", "a1", "a10", "a2", "b", "~"]
    for one in reversed(ids):
        await storage.documents.create("job", one, {"id": one})
    await storage.documents.create("key", "a0", {})
    listed = await storage.documents.list("job")
    assert [one.id for one in listed] == ids
    assert [one.body for one in listed] == [{"id": one} for one in ids]
    first = await storage.documents.list("job", limit=3)
    rest = await storage.documents.list("job", after=first[-1].id, limit=100)
    assert [one.id for one in (*first, *rest)] == ids
    back = await storage.documents.list("job", newest_first=True, limit=3)
    assert [one.id for one in back] == ["~", "b", "a2"]
    more = await storage.documents.list("job", newest_first=True, after="a2")
    assert [one.id for one in more] == ["a10", "a1", "a", "A"]
    assert await storage.documents.list("job", after="~") == []
    assert await storage.documents.list("nothing") == []


async def test_documents_are_listed_by_tag(storage: Storage) -> None:
    """A list by tag follows the tag as it changes, and documents as they go."""
    for number in range(6):
        tag = "queued" if number % 2 else "running"
        await storage.documents.create("job", f"j{number}", {"n": number}, tag=tag)
    await storage.documents.create("key", "j9", {}, tag="queued")

    async def ids(tag: str, **how: bool | str | int) -> list[str]:
        return [one.id for one in await storage.documents.list("job", tag=tag, **how)]  # type: ignore[arg-type]

    assert await ids("queued") == ["j1", "j3", "j5"]
    await storage.documents.update("job", "j3", {"n": 3}, version=1, tag="running")
    await storage.documents.remove("job", "j5")
    assert await ids("queued") == ["j1"]
    assert await ids("running") == ["j0", "j2", "j3", "j4"]
    assert await ids("running", after="j0", limit=2) == ["j2", "j3"]
    assert await ids("running", newest_first=True, limit=2) == ["j4", "j3"]
    assert await ids("running", newest_first=True, after="j3") == ["j2", "j0"]
    assert await ids("") == []
    await storage.documents.update("job", "j3", {}, version=2)
    assert await ids("") == ["j3"]


async def test_an_expired_document_is_as_if_absent(storage: Storage, clock: FakeClock) -> None:
    """After its time a document cannot be read, listed, changed or removed, and its id is free."""
    soon = clock.now() + timedelta(minutes=10)
    await storage.documents.create("job", "a", {"n": 1}, tag="t", expires=soon)
    await storage.documents.create("job", "b", {"n": 1}, tag="t")
    clock.move(minutes=9)
    assert await storage.documents.get("job", "a") is not None
    assert len(await storage.documents.list("job", tag="t")) == 2
    clock.move(minutes=2)
    assert await storage.documents.get("job", "a") is None
    assert [one.id for one in await storage.documents.list("job", tag="t")] == ["b"]
    assert [one.id for one in await storage.documents.list("job")] == ["b"]
    assert await storage.documents.update("job", "a", {}, version=1) is None
    assert not await storage.documents.remove("job", "a")
    again = await storage.documents.create("job", "a", {"n": 2})
    assert again is not None
    assert again.version == 1
    assert await storage.documents.get("job", "a") == again


async def test_an_update_sets_the_expiry_anew(storage: Storage, clock: FakeClock) -> None:
    """A document expires when its last write says, and never where that says nothing."""
    soon = clock.now() + timedelta(minutes=5)
    await storage.documents.create("job", "a", {})
    await storage.documents.update("job", "a", {}, version=1, expires=soon)
    await storage.documents.create("job", "b", {}, expires=soon)
    await storage.documents.update("job", "b", {"n": 1}, version=1)
    clock.move(days=400)
    assert await storage.documents.get("job", "a") is None
    assert await storage.documents.get("job", "b") is not None


async def test_of_concurrent_creators_one_creates(storage: Storage, other: Storage) -> None:
    """Of many that create one id at the same time, exactly one does, and all read its body."""
    outcomes = await asyncio.gather(
        *(
            replica.documents.create("pin", "key", {"by": number})
            for number, replica in enumerate([storage, other] * 10)
        )
    )
    made = [one for one in outcomes if one is not None]
    assert len(made) == 1
    assert await storage.documents.get("pin", "key") == made[0]


async def test_concurrent_updates_lose_nothing(storage: Storage, other: Storage) -> None:
    """Many who read, change and try again until it works have each changed it once."""
    await storage.documents.create("job", "a", {"n": 0})

    async def count_up(replica: Storage) -> None:
        while True:
            read = await replica.documents.get("job", "a")
            assert read is not None
            body = {"n": read.body["n"] + 1}
            if await replica.documents.update("job", "a", body, version=read.version):
                return

    await asyncio.gather(*(count_up(replica) for replica in [storage, other] * 8))
    assert await storage.documents.get("job", "a") == Document("a", {"n": 16}, 17)


async def test_counters_add_up(storage: Storage, other: Storage) -> None:
    """Amounts that are added at the same time, on several replicas, are all counted."""
    await asyncio.gather(
        *(
            replica.documents.add("usage", "day", {"mass (g)": 2, f"r{number % 3}": 1})
            for number, replica in enumerate([storage, other] * 9)
        )
    )
    await storage.documents.add("usage", "day", {"r0": -1, "big": 2**52})
    counted = await other.documents.get("usage", "day")
    assert counted is not None
    assert counted.body == {"mass (g)": 36, "r0": 5, "r1": 6, "r2": 6, "big": 2**52}
    assert await storage.documents.get("usage", "other") is None
