"""A Docker engine of the tests' own: own socket, data, bridge and addresses; stopped by its process."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from .machine import Unfit, cache_folder

# RFC 2544 set 198.18.0.0/15 aside for tests inside one machine, so no network in use has it.
BRIDGE = "aerolite-e2e"
BRIDGE_ADDRESS = "198.18.0.1/24"
NETWORK_POOL = "base=198.19.0.0/16,size=24"
START_TIMEOUT_S = 180
STOP_TIMEOUT_S = 180


class CommandFailed(AssertionError):
    """A command ended with a non-zero exit status; the message carries what it printed."""


class Engine:
    """The `docker` command, pointed at one engine."""

    def __init__(self, socket: Path, configuration: Path) -> None:
        self.environment = {
            # No setting of the user's own Docker reaches the tests.
            **{key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")},
            "DOCKER_HOST": f"unix://{socket}",
            "DOCKER_CONFIG": str(configuration),
            "DOCKER_BUILDKIT": "0",
        }

    def docker(self, *arguments: str, timeout_s: float = 300, input_text: str | None = None) -> str:
        """Run `docker ARGUMENTS` and return its output, stripped; raises `CommandFailed`."""
        return self.run("docker", *arguments, timeout_s=timeout_s, input_text=input_text)

    def run(
        self,
        *command: str,
        timeout_s: float = 300,
        input_text: str | None = None,
        extra_environment: dict[str, str] | None = None,
        folder: Path | None = None,
    ) -> str:
        """Run a command that finds this engine in its environment; raises `CommandFailed`."""
        done = subprocess.run(
            command,
            env=self.environment | (extra_environment or {}),
            input=input_text,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            cwd=folder,
            check=False,
        )
        if done.returncode:
            raise CommandFailed(
                f"`{' '.join(command)}` exited with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done.stdout.strip()

    @contextmanager
    def explained(self, container: str) -> Iterator[None]:
        """Add what a container has printed last to a check that fails inside."""
        try:
            yield
        except AssertionError as error:
            command = ("docker", "logs", "--tail", "20", container)
            error.add_note(self.run("sh", "-c", 'exec "$@" 2>&1', "-", *command))
            raise

    def is_up(self) -> bool:
        """Whether the engine answers."""
        try:
            self.docker("version", "--format", "{{.Server.Version}}", timeout_s=60)
        except (CommandFailed, subprocess.TimeoutExpired):
            return False
        return True


@contextmanager
def running_engine() -> Iterator[Engine]:
    """Start an engine and stop it, with all its containers, images and volumes, on the way out.

    Raises `Unfit` where another run holds the addresses, or the engine does not come up.
    """
    with ExitStack() as stack:
        _lock(stack)
        # The system's folder for temporary files: a socket's path has room for 108 bytes only.
        short = stack.enter_context(_folder(Path(tempfile.mkdtemp(prefix="aerolite-e2e-"))))
        data = stack.enter_context(_folder(cache_folder() / "engine"))
        stack.enter_context(_firewall())
        stack.enter_context(_bridge())
        log = stack.enter_context((short / "log").open("w+b"))
        engine = Engine(short / "socket", short / "configuration")
        stack.enter_context(_daemon(short, data, log, engine))
        yield engine


def _lock(stack: ExitStack) -> None:
    lock = stack.enter_context((cache_folder() / "lock").open("w"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Unfit("Another end-to-end run is under way on this machine; wait for it.") from error


@contextmanager
def _folder(path: Path) -> Iterator[Path]:
    _remove(path)  # what a run left that was killed
    path.mkdir()
    try:
        yield path
    finally:
        _remove(path)


def _remove(path: Path) -> None:
    # dockerd leaves the mount of its network namespace behind.
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    left = [mount for mount in reversed(mounts) if mount.startswith(f"{path}/")]
    if left:
        subprocess.run(["umount", "--lazy", *left], check=False)
    if path.exists():
        shutil.rmtree(path)


@contextmanager
def _firewall() -> Iterator[None]:
    """Take back the rules that dockerd adds, unless a Docker of the machine has its own among them."""
    before = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    try:
        yield
    finally:
        if ":DOCKER " not in before:
            # First all of it: `before` may not even name the tables that dockerd has written to.
            for table in ("filter", "nat"):
                subprocess.run(["iptables", "--table", table, "--flush"], check=True)
                subprocess.run(["iptables", "--table", table, "--delete-chain"], check=True)
            subprocess.run(["iptables", "--policy", "FORWARD", "ACCEPT"], check=True)
            subprocess.run(["iptables-restore"], input=before, text=True, check=True)


@contextmanager
def _bridge() -> Iterator[None]:
    delete = ["ip", "link", "delete", BRIDGE]
    subprocess.run(delete, stderr=subprocess.DEVNULL, check=False)
    for command in (
        ["ip", "link", "add", BRIDGE, "type", "bridge"],
        ["ip", "address", "add", BRIDGE_ADDRESS, "dev", BRIDGE],
        ["ip", "link", "set", BRIDGE, "up"],
    ):
        subprocess.run(command, check=True)
    try:
        yield
    finally:
        subprocess.run(delete, check=False)


@contextmanager
def _daemon(short: Path, data: Path, log: IO[bytes], engine: Engine) -> Iterator[None]:
    settings = short / "daemon.json"
    settings.write_text("{}")  # or the machine's own /etc/docker/daemon.json would be read
    process = subprocess.Popen(
        [
            # It must not outlive a test run that was killed.
            *("setpriv", "--pdeathsig", "TERM", "dockerd"),
            *("--host", f"unix://{short}/socket"),
            *("--pidfile", f"{short}/pid"),
            *("--exec-root", f"{short}/exec"),
            *("--data-root", str(data)),
            *("--config-file", str(settings)),
            *("--bridge", BRIDGE),
            *("--default-address-pool", NETWORK_POOL),
            # The containerd of a Docker that is installed here is shared, its containers are not.
            *("--containerd-namespace", "aerolite-e2e"),
            *("--containerd-plugins-namespace", "aerolite-e2e-plugins"),
        ],
        stdout=log,
        stderr=log,
    )
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not engine.is_up():
            if process.poll() is not None or time.monotonic() > deadline:
                log.seek(0)
                last = log.read().decode(errors="replace").strip().splitlines()[-1:]
                raise Unfit(f"dockerd did not come up: {' '.join(last)}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
