"""A cluster: how it is found, and what goes on while slots move or a node is down."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from redis.crc import key_slot

from service.adapters.redis import RedisStorage
from service.domain.errors import StoreError, StoreUnavailable
from tests.adapters.redis.laid import fill
from tests.clocks import FakeClock
from tests.contract.steps import append, everything, keyed, load, record, records
from tests.contract.test_failures import works
from tests.servers.redis import PASSWORD, RedisCluster, RedisServer
from tests.waiting import PATIENCE_S


async def test_a_node_of_a_cluster_is_not_used_alone(cluster: RedisCluster, clock: FakeClock) -> None:
    """A node would answer for a third of the names: ping says that the URL must be another."""
    url = cluster.nodes[0].url
    async with RedisStorage(url, clock=clock, timeout_s=PATIENCE_S) as storage:
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
    async with RedisStorage(url, clock=clock, timeout_s=PATIENCE_S) as storage:
        await storage.ping()
        for number in range(9):
            await load(storage, records([number]), name=f"d{number}")
        assert len(await storage.datasets.datasets()) == 9


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
    source.execute(
        *("MIGRATE", "127.0.0.1", target.port, "", 0, int(PATIENCE_S * 1000), "AUTH", PASSWORD, "KEYS", *keys)
    )
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
    async with RedisStorage(cluster.url, clock=clock, timeout_s=PATIENCE_S) as storage:
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
    async with (
        RedisStorage(cluster.url, clock=clock, timeout_s=PATIENCE_S) as storage,
        RedisStorage(cluster.url, clock=clock, timeout_s=1) as hurried,
    ):
        for name in names:
            await load(storage, records([1]), name=name)
        await works(hurried)
        with cluster.nodes[1].paused():
            outcomes = await asyncio.gather(
                *(hurried.datasets.dataset(name) for name in names), return_exceptions=True
            )
            assert any(isinstance(one, StoreUnavailable) for one in outcomes)
            with pytest.raises(StoreUnavailable):
                await hurried.ping()
        await works(hurried)
        found = [await storage.datasets.dataset(name) for name in names]
        assert all(one is not None for one in found)
