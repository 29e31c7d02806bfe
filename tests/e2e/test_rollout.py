"""Replacing the API's containers behind a proxy, while forty clients use it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from . import standins
from .client import NEWEST_CONTRACT, Api, free_port, wait_until
from .engine import Engine
from .load import Load

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

NETWORK = "aerolite-rollout"
ADDRESSES = {"a": "198.19.250.11", "b": "198.19.250.12", "c": "198.19.250.13"}
LEAST_REQUESTS = 20_000
LOAD_LIMIT_S = 900


class Replicas:
    """API containers on fixed addresses, as haproxy.cfg knows them."""

    def __init__(self, engine: Engine, image: str) -> None:
        self.engine = engine
        self.image = image

    def start(self, slot: str) -> None:
        """Start the replica of a slot and wait until it is ready."""
        self.engine.docker(
            *("run", "--detach", "--name", f"rollout-{slot}"),
            *("--network", NETWORK, "--ip", ADDRESSES[slot]),
            *("--read-only", "--tmpfs", "/tmp", "--env", "AUTH_MODE=open"),
            *("--env", "STORAGE_URL=redis://rollout-redis:6379/0", self.image),
        )
        with self.engine.explained(f"rollout-{slot}"):
            wait_until(lambda: self._is_ready(slot), f"replica {slot} is ready")

    def stop(self, slot: str) -> None:
        """Stop the replica of a slot as Kubernetes does: SIGTERM, 35 seconds of grace, gone."""
        self.engine.docker("stop", "--time", "35", f"rollout-{slot}")
        code = self.engine.docker("inspect", "--format", "{{.State.ExitCode}}", f"rollout-{slot}")
        self.engine.docker("rm", "--volumes", f"rollout-{slot}")
        assert code == "0", f"replica {slot} ended with {code}"

    def _is_ready(self, slot: str) -> bool:
        try:
            return Api(8080, host=ADDRESSES[slot]).answers("/readyz")
        except OSError:
            return False


@pytest.fixture
def replicas(engine: Engine, image: str) -> Iterator[Replicas]:
    """Run Redis and the replicas a and b."""
    with ExitStack() as stack:
        engine.docker("network", "create", "--subnet", "198.19.250.0/24", NETWORK)
        stack.callback(engine.docker, "network", "rm", NETWORK)
        names = ["rollout-redis", *(f"rollout-{slot}" for slot in ADDRESSES)]
        stack.callback(engine.docker, "rm", "--force", "--volumes", *names)
        engine.docker(
            *("run", "--detach", "--name", "rollout-redis", "--network", NETWORK),
            *(standins.image("redis"), "--appendonly", "yes", "--appendfsync", "always"),
        )
        replicas = Replicas(engine, image)
        replicas.start("a")
        replicas.start("b")
        yield replicas


@pytest.fixture
def proxy(engine: Engine, replicas: Replicas) -> Iterator[dict[str, int]]:
    """Run the proxy; yields the ports of its two ways to pass on."""
    ports = {"connections": free_port(), "requests": free_port()}
    configuration = Path(__file__).with_name("haproxy.cfg")
    container = engine.docker(
        *("run", "--detach", "--network", NETWORK),
        *("--publish", f"127.0.0.1:{ports['connections']}:8001"),
        *("--publish", f"127.0.0.1:{ports['requests']}:8002"),
        *("--volume", f"{configuration}:/usr/local/etc/haproxy/haproxy.cfg:ro"),
        standins.image("haproxy"),
    )
    try:
        for port in ports.values():
            Api(port).wait_ready()
        yield ports
    finally:
        engine.docker("rm", "--force", container)


@pytest.mark.parametrize("way", ["connections", "requests"])
def test_replacing_every_replica_loses_no_request(
    replicas: Replicas, proxy: dict[str, int], way: str
) -> None:
    """Of 20,000 requests none is lost, and every acknowledged append is there exactly once."""
    api = Api(proxy[way])
    json_type = NEWEST_CONTRACT | {"Content-Type": "application/json"}
    loaded = api.request("POST", "/data", headers=NEWEST_CONTRACT)
    created = api.request("PUT", "/datasets/events", body=b'[{"id": "first"}]', headers=json_type)
    assert [loaded.status, created.status] == [201, 201], (loaded, created)

    begin = time.monotonic()
    with Load(proxy[way], appends_to="events") as load:
        # As a Deployment with maxSurge 1 and maxUnavailable 0 goes about it.
        replicas.start("c")
        replicas.stop("a")
        replicas.start("a")
        replicas.stop("b")
        rolled_s = time.monotonic() - begin
        wait_until(lambda: load.requests >= LEAST_REQUESTS, "20,000 requests", LOAD_LIMIT_S)
    took_s = time.monotonic() - begin

    print(
        f"\nthrough {way}: {load.requests} requests in {took_s:.0f} s, of which {rolled_s:.0f} s of"
        f" rollout; {sum(load.lost.values())} lost; p50 {load.percentile_ms(0.5):.1f} ms,"
        f" p99 {load.percentile_ms(0.99):.1f} ms, slowest {load.percentile_ms(1):.0f} ms"
    )
    assert not load.lost
    answer = api.get("/datasets/events/records?limit=all", NEWEST_CONTRACT).json()
    assert sorted(record["id"] for record in answer["records"]) == sorted(["first", *load.appended])
