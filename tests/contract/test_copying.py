"""Copies between every two backends: what clients hold goes on, whichever of them answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest

from service.adapters.memory import MemoryState, MemoryStorage
from service.adapters.memory.datasets import MemoryDatasets
from service.adapters.memory.documents import MemoryDocuments
from service.adapters.memory.reading import MemorySnapshot
from service.domain.datasets import Dataset
from service.domain.errors import Conflict, SnapshotLost, StoreError
from service.domain.records import Batch
from service.ports.storage import Document, Storage
from service.usecases.copying import ATTEMPTS, Copying, CopyReport, Phase, Step
from tests.clocks import FakeClock
from tests.servers import Servers

from .backends import BACKENDS
from .steps import KEYED, append, everything, keyed, load, positions, records

PAIRS = [*permutations(BACKENDS, 2)]


@dataclass
class Stores:
    """Two empty stores."""

    source: Storage
    target: Storage
    clock: FakeClock

    async def copy(self, *, replaces: bool = False) -> CopyReport:
        """Copy one to the other."""
        return await Copying(self.source, self.target, self.clock, replaces=replaces).run()


async def _opened(
    names: tuple[str, str], clock: FakeClock, tmp_path: Path, servers: Servers
) -> AsyncIterator[Stores]:
    async with AsyncExitStack() as stack:
        opened: list[Storage] = []
        for number, name in enumerate(names):
            directory = tmp_path / str(number)
            directory.mkdir()
            backend = await stack.enter_async_context(BACKENDS[name].make(clock, directory, servers))
            storage = await stack.enter_async_context(backend.open())
            await storage.ping()
            opened.append(storage)
        yield Stores(opened[0], opened[1], clock)


@pytest.fixture(params=PAIRS, ids="-to-".join)
async def stores(
    request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path, servers: Servers
) -> AsyncIterator[Stores]:
    """Give each ordered pair of backends."""
    async for opened in _opened(request.param, clock, tmp_path, servers):
        yield opened


@pytest.fixture
async def two(clock: FakeClock, tmp_path: Path, servers: Servers) -> AsyncIterator[Stores]:
    """Give one pair, for what is the same with all."""
    async for opened in _opened(("memory", "sqlite"), clock, tmp_path, servers):
        yield opened


async def fill(storage: Storage, clock: FakeClock) -> None:
    """Store what a service leaves in weeks."""
    await load(storage, keyed(range(600)), name="d")
    clock.move(days=1)
    await append(storage, keyed([700, 701]), name="d")
    for position in (0, 17, *range(100, 140), 601):
        await storage.datasets.delete_record("d", position)
    changes = ({"date": "2026-01-01", "rename": {"mass (g)": "mass"}},)
    await storage.datasets.put_schema("d", replace(KEYED, title="Meteorites", changes=changes))
    await load(storage, records(range(20)), name="plain")
    await load(storage, [], name="empty")
    await load(storage, records([1]), name="gone")
    await append(storage, records([2]), name="gone")
    await storage.datasets.delete("gone")
    soon = clock.now().replace(microsecond=250_000) + timedelta(hours=1)
    await storage.documents.create("key", "abc", {"pin": "2023-04-01", "n": None}, tag="t")
    await storage.documents.update("key", "abc", {"pin": "2023-09-01"}, version=1, tag="t")
    await storage.documents.create("turn", "d", {"job": "1"}, expires=soon)
    for number in range(70):
        await storage.documents.create("job", f"{number:03}", {"type": "load", "n": number}, tag="queued")
    await storage.documents.create("job", "999", {"type": "copy"}, tag="running")
    await storage.documents.add("usage", "2026-11-20", {"GET": 5, "PUT": 1})


async def content(storage: Storage) -> dict[str, object]:
    """Return all that clients can see."""
    kept: dict[str, object] = {"datasets": await storage.datasets.datasets()}
    for name in ("d", "plain", "empty"):
        kept[name] = (await positions(storage, name), await everything(storage, name))
    kept["revisions"] = [await storage.datasets.last_revision(name) for name in ("d", "gone", "never")]
    kept["keyed"] = await storage.datasets.record("d", key="200")
    page = await storage.datasets.slice("d", limit=5, rank=90)
    kept["page"] = (page.start, list(page.positions), list(page.records), page.more)
    for kind in ("key", "turn", "job", "usage"):
        found = [one for one in await storage.documents.list(kind) if one.body != {"type": "copy"}]
        kept[kind] = (found, [one.expires for one in found])
    return kept


async def test_everything_arrives_as_it_was(stores: Stores) -> None:
    """Records, positions, revisions, times, schemas, deleted names and documents are those of the source."""
    await fill(stores.source, stores.clock)
    report = await stores.copy()
    assert [one.name for one in report.datasets] == ["d", "empty", "plain"]
    assert all(one.copied for one in report.datasets)
    assert report.documents == 73
    assert await content(stores.target) == await content(stores.source)
    assert await stores.target.documents.get("job", "999") is None
    again = await stores.copy()
    assert [replace(one, copied=True) for one in again.datasets] == list(report.datasets)
    assert not any(one.copied for one in again.datasets)


async def test_clients_go_on_where_they_were(stores: Stores) -> None:
    """An append behind a copy gets the position and the revision that it would have got in the source."""
    await fill(stores.source, stores.clock)
    await stores.copy()
    made = [await append(one, keyed([900]), name="d") for one in (stores.source, stores.target)]
    assert made[0] == made[1]
    created = [(await load(one, [], name="gone")).dataset for one in (stores.source, stores.target)]
    assert created[0].revision == created[1].revision == 4
    for one in (stores.source, stores.target):
        await one.documents.add("usage", "2026-11-20", {"GET": 2})
    assert await stores.target.documents.get("usage", "2026-11-20") == await stores.source.documents.get(
        "usage", "2026-11-20"
    )


async def test_what_the_target_has_is_not_replaced_unasked(two: Stores) -> None:
    """A dataset of the same name with other content is refused before anything is written."""
    await load(two.source, records([1]), name="a")
    await load(two.source, records([1]), name="d")
    two.clock.move(seconds=1)
    await load(two.target, records([2]), name="d")
    await load(two.target, records([3]), name="mine")
    with pytest.raises(Conflict, match="'d'"):
        await two.copy()
    assert await two.target.datasets.dataset("a") is None
    await two.copy(replaces=True)
    assert await everything(two.target, "d") == records([1])
    assert await everything(two.target, "mine") == records([3])


async def test_equal_numbers_are_not_believed(two: Stores) -> None:
    """A dataset of the same numbers and times with other bytes is told apart by its digest."""
    for storage, number in ((two.source, 1), (two.target, 2)):
        await load(storage, records([number]), name="d")
    with pytest.raises(Conflict, match="'d'"):
        await two.copy()
    report = await two.copy(replaces=True)
    assert report.datasets[0].copied
    assert report.datasets[0].revision == 2
    assert await everything(two.target, "d") == records([1])


async def test_other_documents_are_not_replaced_unasked(two: Stores) -> None:
    """A document that the target has otherwise is refused before anything is written, and then replaced."""
    await load(two.source, records([1]), name="d")
    await two.source.documents.create("key", "a", {"pin": "2023-04-01"})
    await two.target.documents.create("key", "a", {"pin": "2026-11-20"})
    await two.target.documents.create("key", "0", {})
    await two.target.documents.create("key", "b", {})
    with pytest.raises(Conflict, match="'key'"):
        await two.copy()
    assert await two.target.datasets.dataset("d") is None
    await two.copy(replaces=True)
    assert [one.body for one in await two.target.documents.list("key")] == [{}, {"pin": "2023-04-01"}, {}]


async def test_a_document_whose_expiry_differs_is_another(two: Stores) -> None:
    """One that goes away is not the same as one that stays."""
    soon = two.clock.now() + timedelta(hours=1)
    await two.source.documents.create("key", "a", {}, expires=soon)
    await two.target.documents.create("key", "a", {})
    with pytest.raises(Conflict):
        await two.copy()
    await two.copy(replaces=True)
    two.clock.move(hours=2)
    assert await two.target.documents.get("key", "a") is None


async def test_a_copy_that_was_cut_off_is_taken_up(two: Stores) -> None:
    """What is staged when a copy dies is not seen; the next one passes over what is there."""
    await load(two.source, records(range(50)), name="a")
    await load(two.source, records(range(50)), name="b")

    class CutOff(Exception):
        pass

    def watch(step: Step) -> None:
        if step.name == "b" and step.done:
            raise CutOff

    with pytest.raises(CutOff):
        await Copying(two.source, two.target, two.clock, watch=watch).run()
    assert [one.name for one in await two.target.datasets.datasets()] == ["a"]
    report = await two.copy()
    assert [(one.name, one.copied) for one in report.datasets] == [("a", False), ("b", True)]


class Meddled(MemoryDatasets):
    """A target that somebody else writes to as soon as a copy is committed."""

    @asynccontextmanager
    async def snapshot(self, name: str) -> AsyncIterator[MemorySnapshot]:
        """Append, then hold."""
        async with self.append(name) as writer:
            await writer.add(Batch(records([9])))
            await writer.commit(KEYED)
        async with super().snapshot(name) as held:
            yield held


class Forgetful(MemoryDocuments):
    """A target that loses the tags of documents."""

    async def restore(self, kind: str, documents: Sequence[Document]) -> None:
        """Store them without."""
        await super().restore(kind, [replace(one, tag="") for one in documents])


class BadTarget(MemoryStorage):
    """A target that does not keep what it was given."""

    def __init__(self, clock: FakeClock) -> None:
        state = MemoryState()
        super().__init__(clock=clock, state=state)
        self.datasets = Meddled(state, clock)
        self.documents = Forgetful(state, clock)


async def test_a_copy_that_came_out_different_is_noticed(two: Stores) -> None:
    """What is read back is compared, so a copy fails rather than lies."""
    await two.source.documents.create("key", "a", {}, tag="t")
    two.target = BadTarget(two.clock)
    with pytest.raises(StoreError, match="kind 'key' differs"):
        await two.copy()
    await load(two.source, records(range(5)), name="d")
    with pytest.raises(StoreError, match="'d' differs"):
        await two.copy(replaces=True)


async def test_a_placeholder_that_was_left_is_removed(two: Stores) -> None:
    """A copy that died between making and removing what stands for a deleted dataset is finished."""
    await load(two.source, records([1]), name="gone")
    await two.source.datasets.delete("gone")
    never = datetime(1970, 1, 1, tzinfo=UTC)
    placeholder = Dataset("gone", 1, 1, created=never, updated=never)
    async with two.target.datasets.replace("gone", placeholder) as writer:
        await writer.commit(placeholder.schema)
    await two.copy()
    assert await two.target.datasets.datasets() == []
    assert await two.target.datasets.last_revision("gone") == 2


async def test_a_name_that_only_the_target_uses_is_left_alone(two: Stores) -> None:
    """A dataset that the source has deleted and the target made stays."""
    await load(two.source, records([1]), name="gone")
    await two.source.datasets.delete("gone")
    await load(two.target, records([5]), name="gone")
    await two.copy()
    assert await everything(two.target, "gone") == records([5])


@pytest.mark.parametrize("edits", [1, 100])
async def test_a_dataset_that_changes_while_it_is_read_is_begun_anew(
    edits: int, clock: FakeClock, tmp_path: Path, servers: Servers
) -> None:
    """Where the source has no snapshots an edit makes the copy begin again, and give up after a few times."""
    async for pair in _opened(("redis", "memory"), clock, tmp_path, servers):
        fill_ = b"f" * (1 << 20)
        await load(pair.source, Batch([b'{"a": "%b"}' % fill_] * 16), name="d")
        editors: list[asyncio.Task[object]] = []

        def watch(
            step: Step, source: Storage = pair.source, editors: list[asyncio.Task[object]] = editors
        ) -> None:
            if step.phase is Phase.COPYING and step.done == 1 and len(editors) < edits:
                change = source.datasets.delete_record("d", 15 - len(editors))
                editors.append(asyncio.create_task(change))

        copying = Copying(pair.source, pair.target, clock, watch=watch).run()
        if edits > 1:
            with pytest.raises(SnapshotLost):
                await copying
            assert len(editors) == ATTEMPTS
        else:
            report = await copying
            assert (report.datasets[0].revision, report.datasets[0].count) == (2, 15)
        await asyncio.gather(*editors)
