"""Where things stand: one slot for a dataset, prefixes, and a catalogue that is a hint."""

from __future__ import annotations

from datetime import timedelta

from redis.crc import key_slot

from service.adapters.redis import RedisStorage
from service.ports.storage import OnConflict
from tests.adapters.redis.laid import fill
from tests.clocks import FakeClock
from tests.contract.steps import append, everything, load, records
from tests.servers.redis import RedisServer
from tests.waiting import PATIENCE_S


async def test_everything_of_a_dataset_is_in_one_slot(
    storage: RedisStorage, server: RedisServer, clock: FakeClock
) -> None:
    """All keys begin with the prefix, those of one dataset share a slot, and none of them is huge."""
    await load(storage, fill(0, 3000))
    await append(storage, fill(2990, 1500), on_conflict=OnConflict.REPLACE)
    await append(storage, fill(10_000, 1500, keys=True))
    await storage.datasets.delete_record("d", 7)
    await storage.documents.create("job", "a", {}, tag="t", expires=clock.now() + timedelta(days=365_000))
    with server.client() as client:
        keys = list(client.scan_iter(count=1000))
        assert all(key.startswith(b"aerolite:") for key in keys)
        own = [key for key in keys if b"{d}" in key]
        assert len({key_slot(key) for key in own}) == 1
        assert len({key_slot(key) for key in keys if b"{doc:job}" in key}) == 1
        assert max(client.llen(key) for key in own if b":r:" in key) == 256
        assert max(client.hlen(key) for key in own if b":k:" in key) < 30
    assert len(keys) > 1000


async def test_prefixes_keep_services_apart(server: RedisServer, clock: FakeClock) -> None:
    """Two services with prefixes of their own share a database and see nothing of each other."""
    async with (
        RedisStorage(server.url, clock=clock, timeout_s=PATIENCE_S, prefix="one") as one,
        RedisStorage(server.url, clock=clock, timeout_s=PATIENCE_S, prefix="two") as two,
    ):
        await load(one, records([1]))
        await one.documents.create("key", "a", {})
        assert await two.datasets.datasets() == []
        assert await two.datasets.dataset("d") is None
        assert await two.documents.get("key", "a") is None


async def test_a_lost_catalogue_comes_back(
    storage: RedisStorage, server: RedisServer, clock: FakeClock
) -> None:
    """The list of names is a hint: a dataset that is missing there is read, and listed after its next write."""
    await load(storage, records([1]))
    server.execute("DEL", "aerolite:names")
    assert await everything(storage) == records([1])
    assert await storage.datasets.datasets() == []
    async with RedisStorage(server.url, clock=clock, timeout_s=PATIENCE_S) as restarted:
        await append(restarted, records([2]))
        assert [one.count for one in await restarted.datasets.datasets()] == [2]
