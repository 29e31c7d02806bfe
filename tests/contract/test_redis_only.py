"""What holds for Redis only: its URLs, its cluster, its leases, and what it stores where."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from redis.crc import key_slot

from service.adapters.redis import RedisStorage
from service.adapters.redis.spool import Spool
from service.domain.errors import (
    Busy,
    DatasetNotFound,
    DuplicateKey,
    OutcomeUnknown,
    OutOfSpace,
    StoreError,
    StoreUnavailable,
)
from service.domain.records import Batch
from service.ports.storage import Commit, OnConflict
from tests.clocks import FakeClock
from tests.servers import Servers
from tests.servers.redis import (
    PASSWORD,
    RedisCluster,
    RedisServer,
    durable_cluster,
    durable_redis,
    redis_server,
    tls_front,
)

from .steps import KEYED, SCHEMA, append, everything, keyed, load, positions, record, records

META = "aerolite:{d}:meta"


@pytest.fixture
def server(servers: Servers) -> Iterator[RedisServer]:
    """Give an empty durable server."""
    running = servers.get(durable_redis)
    running.execute("FLUSHALL")
    yield running
    running.execute("FLUSHALL")


@pytest.fixture
def cluster(servers: Servers) -> Iterator[RedisCluster]:
    """Give an empty durable cluster."""
    running = servers.get(durable_cluster)
    for node in running.nodes:
        node.execute("FLUSHALL")
    yield running
    for node in running.nodes:
        node.execute("FLUSHALL")


@pytest.fixture
async def storage(server: RedisServer, clock: FakeClock) -> AsyncIterator[RedisStorage]:
    """Give a replica on the server."""
    async with RedisStorage(server.url, clock=clock) as opened:
        yield opened


def fill(start: int, count: int, *, keys: bool = True) -> Batch:
    """Return records with long bytes: a few thousand are more than one step."""
    numbers = range(start, start + count)
    content = [b'{"n": %d, "fill": "%s"}' % (number, b"f" * 400) for number in numbers]
    return Batch(content, [str(number) for number in numbers] if keys else None)


def body_of(server: RedisServer) -> str:
    """Return the name of the body that is read."""
    return str(server.execute("HGET", META, "body").decode())


# ---- URLs and servers


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis",
        "http://localhost",
        f"redis://:{PASSWORD}@localhost:port/0",
        f"redis://:{PASSWORD}@localhost:6379/first",
        f"redis://:{PASSWORD}@localhost:6379/0?nonsense=1",
        f"redis://:{PASSWORD}@localhost:6379/0?ssl_ca_certs=x",
        f"redis://:{PASSWORD}@one:6379,two:6379/0",
        f"redis+cluster://:{PASSWORD}@one:6379,two:6379/3",
    ],
)
async def test_a_wrong_url_is_refused_on_entering(url: str, clock: FakeClock) -> None:
    """Waiting cannot help: it raises at once, names the setting, and never shows the password."""
    with pytest.raises(StoreError, match="STORAGE_URL") as caught:
        async with RedisStorage(url, clock=clock):
            pytest.fail("entering should have raised")
    assert type(caught.value) is StoreError
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda url: url.replace(PASSWORD, "wrong"), "refused the user or the password"),
        (lambda url: url.replace(f":{PASSWORD}", f"nobody:{PASSWORD}"), "refused the user or the password"),
        (lambda url: url.replace(f":{PASSWORD}@", ""), "refused the user or the password"),
        (lambda url: url.removesuffix("0") + "99", "has no database of that number"),
        (lambda url: url.replace("redis://", "redis+cluster://"), "is no node of a cluster"),
        (lambda url: url.replace("redis://", "rediss://"), "with TLS .* does not answer"),
        (lambda url: f"redis://:{PASSWORD}@127.0.0.1:1/0", "does not answer .*111"),
        (lambda url: f"redis+cluster://:{PASSWORD}@127.0.0.1:1", "does not answer .*111"),
        (lambda url: f"redis://:{PASSWORD}@no-such-host.invalid/0", "does not answer .*no-such-host"),
    ],
)
async def test_a_server_that_refuses_is_told_with_its_cause(
    server: RedisServer, clock: FakeClock, change: Callable[[str], str], cause: str
) -> None:
    """Entering waits for the server; then the answer names setting, server and cause, not the password."""
    url = change(server.url)
    assert url != server.url
    async with RedisStorage(url, clock=clock, timeout_s=0.5) as storage:
        for call in (storage.ping, storage.datasets.datasets):
            with pytest.raises(StoreUnavailable, match=cause) as caught:
                await call()
            assert "(STORAGE_URL)" in str(caught.value)
            assert PASSWORD not in repr(caught.value.__dict__) + str(caught.value)


async def test_tls_is_spoken_and_checked(server: RedisServer, clock: FakeClock) -> None:
    """`rediss://` works with a certificate that is trusted, and tells why it does not trust another."""
    with tls_front(server.port) as (port, certificate):
        address = f":{PASSWORD}@localhost:{port}/0"
        trusted = f"rediss://{address}?ssl_ca_certs={certificate}"
        async with RedisStorage(trusted, clock=clock) as storage:
            await storage.ping()
            await load(storage, keyed(range(3)))
            assert await everything(storage) == records(range(3))
        for url, cause in ((f"rediss://{address}", "certificate"), (f"redis://{address}", "does not answer")):
            async with RedisStorage(url, clock=clock, timeout_s=0.5) as storage:
                with pytest.raises(StoreUnavailable, match=cause):
                    await storage.ping()


async def test_a_node_of_a_cluster_is_not_used_alone(cluster: RedisCluster, clock: FakeClock) -> None:
    """A node would answer for a third of the names: ping says that the URL must be another."""
    url = cluster.nodes[0].url
    async with RedisStorage(url, clock=clock) as storage:
        with pytest.raises(StoreError, match=r"must be redis\+cluster://"):
            await storage.ping()
        outcomes = await asyncio.gather(
            *(storage.datasets.dataset(name) for name in "abcd"), return_exceptions=True
        )
        assert any("must be redis+cluster://" in str(one) for one in outcomes)


async def test_any_node_leads_to_the_cluster(cluster: RedisCluster, clock: FakeClock) -> None:
    """Of several hosts in the URL one that answers is enough, and a database 0 does no harm."""
    alive = cluster.nodes[2].port
    url = f"redis+cluster://:{PASSWORD}@127.0.0.1:1,127.0.0.1:{alive}/0"
    async with RedisStorage(url, clock=clock) as storage:
        await storage.ping()
        for number in range(9):
            await load(storage, records([number]), name=f"d{number}")
        assert len(await storage.datasets.datasets()) == 9


async def test_what_is_missing_for_durability_is_warned_of(server: RedisServer, clock: FakeClock) -> None:
    """A durable server gives no warning; each setting that loses data gives one, as it is at the last ping."""
    cases = [
        ({}, []),
        ({"appendfsync": "everysec"}, ["appendfsync"]),
        ({"appendonly": "no"}, ["appendonly"]),
        ({"maxmemory-policy": "allkeys-lru"}, ["maxmemory-policy"]),
        ({"appendonly": "no", "maxmemory-policy": "volatile-ttl"}, ["appendonly", "maxmemory-policy"]),
    ]
    async with RedisStorage(server.url, clock=clock) as storage:
        assert storage.warnings() == ()
        for settings, words in cases:
            for name, value in settings.items():
                server.execute("CONFIG", "SET", name, value)
            await storage.ping()
            found = storage.warnings()
            server.execute("CONFIG", "SET", "maxmemory-policy", "noeviction")
            server.execute("CONFIG", "SET", "appendfsync", "always")
            server.execute("CONFIG", "SET", "appendonly", "yes")
            assert len(found) == len(words)
            assert all(word in warning for word, warning in zip(words, found, strict=True))
            assert PASSWORD not in "".join(found)


async def test_a_user_without_config_is_enough(server: RedisServer, clock: FakeClock) -> None:
    """Where CONFIG and INFO are forbidden there is nothing to warn of, and all else works."""
    server.execute(
        *("ACL", "SETUSER", "limited", "reset", "on", ">pass", "~aerolite:*", "+@all", "-config", "-info")
    )
    async with RedisStorage(server.url.replace(f":{PASSWORD}", "limited:pass"), clock=clock) as storage:
        await storage.ping()
        assert storage.warnings() == ()
        await load(storage, keyed(range(3)))
        assert await everything(storage) == records(range(3))
    url = server.url.replace(f":{PASSWORD}", "limited:pass")
    async with RedisStorage(url, clock=clock, prefix="other") as storage:
        with pytest.raises(StoreUnavailable, match="does not allow the user"):
            await load(storage, records([1]))


async def test_an_old_server_is_refused(storage: RedisStorage) -> None:
    """Before 6.2 there is no COPY; a version that is not told is taken as it is."""
    with pytest.raises(StoreError, match=r"of version 6\.0\.16; Aerolite needs 6\.2"):
        storage._check("here", "# Server\r\nredis_version:6.0.16\r\nredis_mode:standalone\r\n")
    storage._check("here", "# Server\r\nredis_version:7.4.1\r\n")
    storage._check("here", "")


async def test_a_read_only_replica_refuses_writes(storage: RedisStorage, server: RedisServer) -> None:
    """What is not the primary is told as such; nothing is written."""
    await load(storage, records([1]))
    server.execute("REPLICAOF", "127.0.0.1", 1)
    try:
        with pytest.raises(StoreUnavailable, match="read-only replica"):
            await append(storage, records([2]))
        with pytest.raises(StoreUnavailable, match="read-only replica"):
            await load(storage, records([2]), name="new")
    finally:
        server.execute("REPLICAOF", "NO", "ONE")
    assert await everything(storage) == records([1])


async def test_a_commit_that_was_sent_and_not_answered_is_unknown(
    storage: RedisStorage, server: RedisServer
) -> None:
    """On a connection that stands the write may be heard: its outcome is unknown, not refused."""
    await storage.documents.create("job", "a", {})
    with server.paused(), pytest.raises(OutcomeUnknown, match="whole or not there"):
        await storage.documents.create("job", "b", {})
    async with asyncio.timeout(5):
        while await storage.documents.get("job", "b") is None:
            await asyncio.sleep(0.01)


# ---- scripts, keys and caches


async def test_scripts_that_the_server_forgot_are_sent_again(
    storage: RedisStorage, server: RedisServer
) -> None:
    """A server that was restarted or flushed knows no scripts: every kind of call goes on."""
    for number in range(3):
        server.execute("SCRIPT", "FLUSH")
        await load(storage, keyed(range(5)))
        server.execute("SCRIPT", "FLUSH")
        await storage.datasets.delete_record("d", 1)
        server.execute("SCRIPT", "FLUSH")
        assert await everything(storage) == records([0, 2, 3, 4])
        server.execute("SCRIPT", "FLUSH")
        await storage.documents.add("usage", "a", {"n": 1})
        counted = await storage.documents.get("usage", "a")
        assert counted is not None
        assert counted.body == {"n": number + 1}


async def test_everything_of_a_dataset_is_in_one_slot(
    storage: RedisStorage, server: RedisServer, clock: FakeClock
) -> None:
    """All keys begin with the prefix, those of one dataset share a slot, and none of them is huge."""
    await load(storage, fill(0, 3000))
    await append(storage, fill(2990, 1500), on_conflict=OnConflict.REPLACE)
    await append(storage, fill(10_000, 1500, keys=True))
    await storage.datasets.delete_record("d", 7)
    await storage.documents.create("job", "a", {}, tag="t", expires=clock.now().replace(year=2999))
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
        RedisStorage(server.url, clock=clock, prefix="one") as one,
        RedisStorage(server.url, clock=clock, prefix="two") as two,
    ):
        await load(one, records([1]))
        await one.documents.create("key", "a", {})
        assert await two.datasets.datasets() == []
        assert await two.datasets.dataset("d") is None
        assert await two.documents.get("key", "a") is None


async def test_one_question_serves_all_who_wait(storage: RedisStorage, server: RedisServer) -> None:
    """Five hundred requests at once ask Redis a few times, and five hundred in turn each ask."""
    commit = await load(storage, records([1]))
    assert await storage.datasets.dataset("d") == commit.dataset
    server.execute("CONFIG", "RESETSTAT")
    found = await asyncio.gather(*(storage.datasets.dataset("d") for _ in range(500)))
    assert found == [commit.dataset] * 500
    assert server.execute("INFO", "commandstats")["cmdstat_hmget"]["calls"] <= 2
    for _ in range(500):
        await storage.datasets.dataset("d")
    assert server.execute("INFO", "commandstats")["cmdstat_hmget"]["calls"] >= 500


async def test_a_caller_that_goes_away_takes_nobody_along(storage: RedisStorage) -> None:
    """Requests that share a question are cancelled one by one."""
    commit = await load(storage, records([1]))
    tasks = [asyncio.create_task(storage.datasets.dataset("d")) for _ in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert found[1::2] == [commit.dataset] * 10
    assert all(isinstance(one, asyncio.CancelledError) for one in found[::2])


async def test_closing_ends_what_is_being_asked(server: RedisServer, clock: FakeClock) -> None:
    """Nobody waits for a storage that is closed."""
    async with RedisStorage(server.url, clock=clock) as storage:
        await storage.ping()
        task = asyncio.create_task(storage.datasets.dataset("d"))
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_server_that_lost_its_data_is_believed(
    storage: RedisStorage, server: RedisServer, clock: FakeClock
) -> None:
    """What is cached of a dataset goes when the store has it no more, or another of the same revision."""
    first = await load(storage, records([1]))
    assert await storage.datasets.dataset("d") == first.dataset
    server.execute("FLUSHALL")
    assert await storage.datasets.dataset("d") is None
    clock.move(hours=1)
    async with RedisStorage(server.url, clock=clock) as other:
        second = await load(other, records([2, 3]))
    assert second.dataset.revision == first.dataset.revision
    assert await storage.datasets.dataset("d") == second.dataset
    assert await everything(storage) == records([2, 3])


async def test_a_lost_catalogue_comes_back(
    storage: RedisStorage, server: RedisServer, clock: FakeClock
) -> None:
    """The list of names is a hint: a dataset that is missing there is read, and listed after its next write."""
    await load(storage, records([1]))
    server.execute("DEL", "aerolite:names")
    assert await everything(storage) == records([1])
    assert await storage.datasets.datasets() == []
    async with RedisStorage(server.url, clock=clock) as restarted:
        await append(restarted, records([2]))
        assert [one.count for one in await restarted.datasets.datasets()] == [2]


async def test_more_datasets_than_are_kept_in_memory_work(storage: RedisStorage, server: RedisServer) -> None:
    """What a process knows of datasets is bounded; those that fell out are read anew."""
    with server.client() as client, client.pipeline(transaction=False) as pipeline:
        await load(storage, records([1]))
        meta = client.hgetall(META)
        for number in range(5000):
            pipeline.hset(f"aerolite:{{e{number}}}:meta", mapping=meta)
            pipeline.sadd("aerolite:names", f"e{number}")
        pipeline.execute()
    assert len(await storage.datasets.datasets()) == 5001
    assert len(storage._heads._known) == 4096
    found = await storage.datasets.dataset("e1")
    assert found is not None
    assert found.name == "e1"


# ---- reading


async def test_a_long_run_of_holes_is_jumped(storage: RedisStorage, server: RedisServer) -> None:
    """Where more positions are gone than are looked at together, the next record is found at once."""
    count, gone = 140_000, range(256, 256 * 530)
    await load(storage, [b"%d" % number for number in range(count)])
    body = f"aerolite:{{d}}:{body_of(server)}"
    with server.client() as client, client.pipeline(transaction=False) as pipeline:
        for bucket in range(1, 530):  # what removals come to, but many at a time
            pipeline.unlink(f"{body}:r:{bucket}")
            pipeline.rpush(f"{body}:r:{bucket}", *[""] * 256)
        pipeline.setrange(f"{body}:holes", gone.start // 8, b"\xff" * (len(gone) // 8))
        pipeline.hset(f"{body}:groups", mapping={0: 65_280, 1: 65_536, 2: len(gone) - 130_816})
        for field, change in (("count", -len(gone)), ("edits", 1), ("revision", 1)):
            pipeline.hincrby(META, field, change)
        pipeline.execute()
    live = [*range(256), *range(gone.stop, count)]
    for start in (0, 10, 255, 256, 257, 1000):
        found = await storage.datasets.slice("d", rank=start, limit=50)
        assert list(found.positions) == live[start : start + 50]
    for after in (-2, -1, 0, 254, 255, 256, 5000, 66_000, gone.stop - 2, gone.stop - 1, gone.stop):
        found = await storage.datasets.slice("d", after=after, limit=5)
        expected = [position for position in live if position > after]
        assert list(found.positions) == expected[:5]
        assert found.start == len(live) - len(expected)
    assert await positions(storage) == live


async def test_records_that_redis_lost_are_told(storage: RedisStorage, server: RedisServer) -> None:
    """Where Redis threw records away there is an error, never others in their place or a short answer."""
    await load(storage, keyed(range(1000)))
    server.execute("DEL", f"aerolite:{{d}}:{body_of(server)}:r:2")
    assert len((await storage.datasets.slice("d", limit=512)).records) == 512
    for attempt in (
        lambda: storage.datasets.slice("d", limit=513),
        lambda: storage.datasets.slice("d", rank=700, limit=1),
        lambda: storage.datasets.record("d", position=600),
        lambda: storage.datasets.record("d", key="600"),
        lambda: everything(storage),
    ):
        with pytest.raises(StoreError, match="has lost records"):
            await attempt()
    server.execute("HINCRBY", META, "count", 24)
    with pytest.raises(StoreError, match="has lost records"):
        await storage.datasets.slice("d", rank=1000, limit=1)


async def test_a_slice_in_parts_is_of_one_revision(storage: RedisStorage, clock: FakeClock) -> None:
    """A slice of several mebibytes is consistent, and ends, while its records change all the time."""
    content = [b'{"v": 0, "n": %d, "fill": "%s"}' % (n, b"f" * 1000) for n in range(4000)]
    await load(storage, content)
    done = asyncio.Event()

    async def change() -> None:
        value = 0
        while not done.is_set():
            value += 1
            for position in (0, 3999):  # the first is never behind the last
                changed = content[position].replace(b'"v": 0', b'"v": %d' % value)
                await storage.datasets.put_record("d", position, changed, key=None, schema=SCHEMA)

    writer = asyncio.create_task(change())
    for _ in range(15):
        found = await storage.datasets.slice("d", limit=10_000)
        first, last = (int(found.records[at].split(b",")[0][6:]) for at in (0, -1))
        assert first - last in {0, 1}
        assert found.dataset.edits == 2 * last + (first - last)
        assert list(found.records[1:-1]) == content[1:-1]
    done.set()
    await writer


# ---- large appends


async def until(holds: Callable[[], Any]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0)


@contextmanager
def leased(server: RedisServer) -> Iterator[None]:
    """Hold the lease, as a large append of another process does."""
    server.execute("SET", "aerolite:{d}:lease", "another", "PX", 60_000)
    yield
    server.execute("DEL", "aerolite:{d}:lease")


async def test_writers_wait_for_a_large_append(server: RedisServer, clock: FakeClock) -> None:
    """While another process appends, writes of records wait, for a bounded time; replace and delete do not."""
    async with RedisStorage(server.url, clock=clock, wait_s=0.3) as storage:
        await load(storage, keyed(range(3)))
        writes: list[Callable[[], Any]] = [
            lambda: append(storage, keyed([5])),
            lambda: append(storage, fill(10, 2000)),
            lambda: storage.datasets.put_record("d", 0, b"{}", key="0", schema=KEYED),
            lambda: storage.datasets.delete_record("d", 0),
            lambda: storage.datasets.put_schema("d", replace(KEYED, title="T")),
        ]
        with leased(server):
            for write in writes:
                start = time.monotonic()
                with pytest.raises(Busy):
                    await write()
                assert time.monotonic() - start < 2
            assert await everything(storage) == records(range(3))
            await load(storage, keyed(range(4)))
            waiting = asyncio.create_task(append(storage, keyed([7])))
            await asyncio.sleep(0.05)
        assert (await waiting).first_position == 4
        with leased(server):
            await storage.datasets.delete("d")


async def test_writers_of_one_process_wait_for_one_another_for_a_bounded_time(
    server: RedisServer, clock: FakeClock
) -> None:
    """Who stands in the queue of a dataset for too long is told so."""
    async with RedisStorage(server.url, clock=clock, wait_s=0.2) as storage:
        await load(storage, records([1]))
        with leased(server):
            outcomes = await asyncio.gather(
                *(append(storage, records([2])) for _ in range(5)), return_exceptions=True
            )
        assert all(isinstance(one, Busy) for one in outcomes)


def put_behind(server: RedisServer, rows: list[bytes], first: int) -> None:
    """Leave behind what a large append of a process that died did."""
    body = body_of(server)
    with server.client() as client, client.pipeline(transaction=False) as pipeline:
        for position, row in enumerate(rows, first):
            pipeline.rpush(f"aerolite:{{d}}:{body}:r:{position // 256}", row)
        pipeline.hset(META, "staged", first + len(rows))
        pipeline.execute()


@pytest.mark.parametrize("count", [0, 3, 256, 300])
async def test_what_a_dead_appender_left_is_never_seen(
    storage: RedisStorage, server: RedisServer, count: int
) -> None:
    """Rows behind the last position are not read, and the next append, small or large, stands in their place."""
    await load(storage, [b"%d" % number for number in range(count)])
    expected = [b"%d" % number for number in range(count)]
    for large in (False, True):
        put_behind(server, [b"left"] * 600, len(expected))
        assert await everything(storage) == expected
        found = await storage.datasets.slice("d", limit=9, after=len(expected) - 2)
        assert list(found.records) == expected[-1:]
        added = list(fill(0, 1200, keys=False).records) if large else records(range(3))
        assert (await append(storage, added)).first_position == len(expected)
        expected += added
        assert await everything(storage) == expected


async def test_what_a_dead_appender_left_is_swept(
    storage: RedisStorage, server: RedisServer, clock: FakeClock
) -> None:
    """A sweep removes rows behind the last position with their keys, unless their writer lives."""
    await load(storage, keyed(range(3)))
    with server.client() as client:
        before = {key: client.dump(key) for key in client.scan_iter() if b":names" not in key}
    put_behind(server, [b"left\x00k1", b"left\x00k2"], 3)
    for key in ("k1", "k2"):
        part = storage._heads.keys("d").index(body_of(server), key.encode())
        server.execute("HSET", part, key, 3)
    server.execute("ZADD", "aerolite:garbage", 1, "d")
    with leased(server):
        assert await storage.sweep(clock.now()) == 0
    assert await storage.sweep(clock.now()) == 1
    assert await storage.sweep(clock.now()) == 0
    with server.client() as client:
        after = {key: client.dump(key) for key in client.scan_iter() if b":names" not in key}
    assert set(after) == set(before) - {b"aerolite:garbage"}
    assert (await append(storage, keyed([9]))).first_position == 3


@pytest.mark.parametrize("on_conflict", list(OnConflict))
async def test_a_large_append_goes_behind_a_load_that_came_first(
    storage: RedisStorage, server: RedisServer, clock: FakeClock, on_conflict: OnConflict
) -> None:
    """A load or deletion that commits while records are staged is not waited for; the append follows it."""
    await load(storage, keyed(range(10**6, 10**6 + 5)))

    async def grow() -> Commit:
        async with storage.datasets.append("d", on_conflict) as writer:
            await writer.add(fill(0, 9000))
            return await writer.commit(KEYED)

    staged = (
        ("HGET", META, "staged") if on_conflict is not OnConflict.REPLACE else ("HLEN", "aerolite:{d}:staged")
    )
    growing = asyncio.create_task(grow())
    await until(lambda: server.execute(*staged))
    await load(storage, keyed(range(10**6, 10**6 + 2)))
    commit = await growing
    assert (commit.first_position, commit.added, commit.dataset.revision) == (2, 9000, 3)
    expected = [*records(range(10**6, 10**6 + 2)), *fill(0, 9000).records]
    assert await everything(storage) == expected
    assert (await storage.datasets.record("d", key="8999")).position == 9001

    growing = asyncio.create_task(append(storage, fill(10_000, 3000), on_conflict=on_conflict))
    await until(lambda: server.execute(*staged))
    await storage.datasets.delete("d")
    with pytest.raises(DatasetNotFound):
        await growing
    clock.move(hours=1)
    await storage.sweep(clock.now())
    with server.client() as client:
        assert [key for key in client.scan_iter(count=1000) if b":r:" in key or b":k:" in key] == []


async def test_a_large_append_whose_lease_was_lost_commits_nothing(
    storage: RedisStorage, server: RedisServer
) -> None:
    """A process that stood still for too long is fenced off: its steps and its commit come to nothing."""
    await load(storage, records(range(3)))

    async def grow() -> Commit:
        async with storage.datasets.append("d") as writer:
            for number in range(20):
                await writer.add(fill(number * 1000, 1000, keys=False))
            return await writer.commit(SCHEMA)

    growing = asyncio.create_task(grow())
    await until(lambda: int(server.execute("HGET", META, "staged") or 0) > 3)
    server.execute("SET", "aerolite:{d}:lease", "another")
    with pytest.raises(StoreUnavailable, match="stood still"):
        await growing
    server.execute("DEL", "aerolite:{d}:lease")
    assert await everything(storage) == records(range(3))
    assert (await append(storage, records([3]))).first_position == 3
    assert await everything(storage) == records(range(4))


@pytest.mark.parametrize("on_conflict", [OnConflict.FAIL, OnConflict.REPLACE])
async def test_a_large_append_of_which_redis_lost_steps_commits_nothing(
    storage: RedisStorage, server: RedisServer, on_conflict: OnConflict
) -> None:
    """Where a crash took steps that were acknowledged, the commit does not find the note of the last one."""
    await load(storage, keyed(range(10**6, 10**6 + 3)))
    fenced = ("HGET", META, "staged") if on_conflict is OnConflict.FAIL else ("HLEN", "aerolite:{d}:staged")
    growing = asyncio.create_task(append(storage, fill(0, 9000), on_conflict=on_conflict))
    await until(lambda: server.execute(*fenced))
    while not growing.done():  # as if Redis had gone back to before
        if server.execute("HEXISTS", META, "staged"):
            server.execute("HSET", META, "staged", 4)
        with server.client() as client:
            for body in client.hkeys("aerolite:{d}:staged"):
                client.hset("aerolite:{d}:staged", body, "1 3 done")
        await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="stood still"):
        await growing
    assert await everything(storage) == records(range(10**6, 10**6 + 3))


async def test_a_large_upsert_leaves_readers_their_revision(storage: RedisStorage) -> None:
    """Records are replaced in a copy: a stream that began before goes on over what it began with."""
    await load(storage, fill(0, 5000))
    async with AsyncExitStack() as stack:
        snapshot = await stack.enter_async_context(storage.datasets.snapshot("d"))
        scan = snapshot.scan()
        found = list((await anext(scan)).records)
        changed = [one.replace(b'"fill"', b'"changed"') for one in fill(1000, 6000).records]
        keys = fill(1000, 6000).keys
        commit = await append(storage, Batch(changed, keys), on_conflict=OnConflict.REPLACE)
        async for part in scan:
            found += part.records
    assert found == fill(0, 5000).records
    assert (commit.replaced, commit.added, commit.dataset.generation) == (4000, 2000, 1)
    assert await everything(storage) == [*fill(0, 1000).records, *changed]


async def test_a_large_append_that_is_refused_leaves_nothing_behind(
    storage: RedisStorage, server: RedisServer
) -> None:
    """A key that is there, found after many records were staged, takes them back at once."""
    await load(storage, keyed([5000]))
    with pytest.raises(DuplicateKey):
        await append(storage, fill(0, 9000))
    assert server.execute("HGET", META, "staged") is None
    assert server.execute("GET", "aerolite:{d}:lease") is None
    body = body_of(server)
    with server.client() as client:
        parts = [key for key in client.scan_iter(count=1000) if b":k:" in key]
        assert sum(client.hlen(key) for key in parts) == 1
        assert client.llen(f"aerolite:{{d}}:{body}:r:0") == 1


async def test_a_cancelled_large_append_leaves_nothing_behind(
    storage: RedisStorage, server: RedisServer
) -> None:
    """A client that goes away while its records are staged: they go, too, and the next writer need not wait."""
    await load(storage, records([1]))
    for _ in range(5):
        growing = asyncio.create_task(append(storage, fill(0, 9000, keys=False)))
        await until(lambda: server.execute("HGET", META, "staged"))
        growing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await growing
        assert server.execute("HGET", META, "staged") is None
        assert server.execute("GET", "aerolite:{d}:lease") is None
        assert await everything(storage) == records([1])


async def test_a_keyed_batch_of_nothing_is_a_batch(storage: RedisStorage) -> None:
    """A batch without records is staged like any other, with keys or without."""
    await load(storage, Batch([], []))
    for on_conflict in OnConflict:
        assert (await append(storage, Batch([], []), on_conflict=on_conflict)).added == 0
        assert (await append(storage, Batch([]), on_conflict=on_conflict)).added == 0


# ---- loads


async def test_a_key_that_comes_again_much_later_is_found(storage: RedisStorage) -> None:
    """Keys are sent by the ten thousand: one of an earlier lot, short or long, is found, the first of them."""
    long = "long " * 100
    async with storage.datasets.replace("d") as writer:
        for start in range(0, 70_000, 10_000):
            keys = [str(number) for number in range(start, start + 10_000)]
            await writer.add(Batch([b"{}"] * 10_000, [long, *keys[1:]] if start == 10_000 else keys))
        with pytest.raises(DuplicateKey) as caught:  # noqa: PT012 - raised by one of them
            await writer.add(Batch([b"{}"] * 4, ["new", long, "7", "new"]))
            await writer.commit(KEYED)
    assert caught.value.members["key"] == long


async def test_a_load_whose_stage_was_swept_commits_nothing(
    storage: RedisStorage, server: RedisServer, clock: FakeClock
) -> None:
    """Neither a further step nor the commit of a load that another process swept goes through."""
    for adds in (True, False):
        async with storage.datasets.replace("d") as writer:
            await writer.add(fill(0, 3000))
            clock.move(hours=1)
            async with RedisStorage(server.url, clock=clock) as other:
                assert await other.sweep(clock.now()) >= 1
            with pytest.raises(StoreUnavailable, match="stood still"):  # noqa: PT012 - by one of them
                if adds:
                    await writer.add(fill(3000, 3000))
                await writer.commit(KEYED)
        assert await storage.datasets.dataset("d") is None
    clock.move(hours=1)
    await storage.sweep(clock.now())
    with server.client() as client:
        assert [key for key in client.scan_iter(count=1000) if b":r:" in key or b":k:" in key] == []


# ---- the cluster


def hand_over(cluster: RedisCluster, name: str) -> Iterator[str]:
    """Move the slot of a dataset to another node: yields while it is on its way, and at the end."""
    slot = key_slot(f"{{{name}}}".encode())
    ids = [str(node.execute("CLUSTER", "MYID").decode()) for node in cluster.nodes]
    source = next(node for node in cluster.nodes if _serves(node, slot))
    target = next(node for node in cluster.nodes if node is not source)
    source_id, target_id = (ids[cluster.nodes.index(node)] for node in (source, target))
    target.execute("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
    source.execute("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
    keys = source.execute("CLUSTER", "GETKEYSINSLOT", slot, 10_000)
    source.execute(*("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "AUTH", PASSWORD, "KEYS", *keys))
    yield "on its way"
    for node in cluster.nodes:
        node.execute("CLUSTER", "SETSLOT", slot, "NODE", target_id)
    yield "there"


def _serves(node: RedisServer, slot: int) -> bool:
    for first, last, (_, port, *_), *_ in node.execute("CLUSTER", "SLOTS"):
        if first <= slot <= last:
            return bool(port == node.port)
    return False


async def test_a_slot_that_moves_is_followed(cluster: RedisCluster, clock: FakeClock) -> None:
    """While a dataset is handed over it is unavailable; then every replica finds it at its new node."""
    async with RedisStorage(cluster.url, clock=clock) as storage:
        await load(storage, keyed(range(600)))
        steps = hand_over(cluster, "d")
        assert next(steps) == "on its way"
        with pytest.raises(StoreUnavailable, match="handing the dataset over"):
            await storage.datasets.dataset("d")
        with pytest.raises(StoreUnavailable, match="handing the dataset over"):
            await append(storage, keyed([600]))
        assert next(steps) == "there"
        assert (await append(storage, keyed([600]))).first_position == 600
        assert await everything(storage) == records(range(601))
        assert (await storage.datasets.record("d", key="600")).record == record(600)
        await load(storage, fill(0, 2000))
        assert await everything(storage) == fill(0, 2000).records


async def test_a_cluster_with_a_node_down_serves_the_rest(clock: FakeClock, cluster: RedisCluster) -> None:
    """Datasets of the nodes that are there go on where the cluster allows it; the others are unavailable."""
    names = [f"d{number}" for number in range(12)]
    async with RedisStorage(cluster.url, clock=clock, timeout_s=1) as storage:
        for name in names:
            await load(storage, records([1]), name=name)
        with cluster.nodes[1].paused():
            outcomes = await asyncio.gather(
                *(storage.datasets.dataset(name) for name in names), return_exceptions=True
            )
            assert any(isinstance(one, StoreUnavailable) for one in outcomes)
            with pytest.raises(StoreUnavailable):
                await storage.ping()
        found = [await storage.datasets.dataset(name) for name in names]
        assert all(one is not None for one in found)


async def test_a_full_disk_for_uploads_is_told() -> None:
    """What a large append keeps in a file of this process may find no room, too."""
    full = Spool(lambda: io.FileIO("/dev/full", "r+"))
    with full, pytest.raises(OutOfSpace, match="temporary file"):
        await full.add(fill(0, 3000))
    refusing = Spool(lambda: io.FileIO("/dev/null"))
    with refusing, pytest.raises(OSError, match="not open for writing"):
        await refusing.add(fill(0, 3000))


async def test_a_server_without_a_log_loses_only_what_it_did_not_write(clock: FakeClock) -> None:
    """A server that keeps nothing comes back empty, and everything goes on from there."""
    with redis_server() as server:
        async with RedisStorage(server.url, clock=clock) as storage:
            await load(storage, records([1]))
            server.kill()
            with pytest.raises(StoreUnavailable):
                await storage.datasets.dataset("d")
            server.start()
            assert await storage.datasets.dataset("d") is None
            assert (await load(storage, records([2]))).dataset.revision == 1
