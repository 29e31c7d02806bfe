"""Answers orders until there are no more: `python -m service.adapters.sqlite_child SETUP`."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from service.adapters.child_process import serve_parent
from service.adapters.sqlite_child.failures import failure_of
from service.adapters.sqlite_child.messages import (
    Channel,
    Commit,
    Limits,
    Mentions,
    Run,
    Setup,
    Tables,
    TableSpec,
    Written,
)
from service.adapters.sqlite_child.opening import open_anchor
from service.adapters.sqlite_child.statements import Session

SPARE_BYTES = 256 << 20
"""Memory beside SQLite's own: Python, and rows on their way."""

GRACE_S = 0.5
"""After so much more than its time, a statement that cannot be interrupted ends with the process."""


def main() -> None:
    """Answer what comes on standard input."""
    setup = msgspec.json.decode(sys.argv[1], type=Setup)
    serve_parent()
    confine_process(setup.limits)
    serve(setup, Channel(sys.stdin.fileno(), sys.stdout.fileno()))


def confine_process(limits: Limits) -> None:
    """Bound what the whole process may take."""
    with suppress(ImportError):  # pragma: no cover - not on Windows
        import resource  # noqa: PLC0415 - as above

        resource.setrlimit(resource.RLIMIT_AS, (limits.heap_bytes + SPARE_BYTES,) * 2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * limits.file_bytes,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def serve(setup: Setup, channel: Channel) -> None:
    """Run one statement after the other."""
    anchor: sqlite3.Connection | None = None
    modules = brought()
    with suppress(BrokenPipeError):
        while (order := channel.receive()) is not None:
            assert isinstance(order, Run)  # noqa: S101 - nothing else begins
            # Its default action ends the process, whatever it does, and also if the service is gone.
            signal.setitimer(signal.ITIMER_REAL, setup.limits.timeout_s + GRACE_S)
            try:
                anchor = anchor or open_anchor(Path(setup.path))
                channel.send(_session(setup, modules, channel).run(order))
            except Exception as error:  # noqa: BLE001 - whatever it is, the child goes on with the next
                channel.send(failure_of(error, setup))
            signal.setitimer(signal.ITIMER_REAL, 0)


def _session(setup: Setup, modules: frozenset[str], channel: Channel) -> Session:
    def ask(mentions: Mentions) -> Sequence[TableSpec]:
        channel.send(mentions)
        answer = channel.receive()
        assert isinstance(answer, Tables)  # noqa: S101 - nothing else follows
        return answer.tables

    def commit() -> None:
        # The service is asked before the commit, so it knows for sure what a statement that it ends has done;
        # and what has leave to commit is not cut off by the clock.
        channel.send(Written())
        if not isinstance(channel.receive(), Commit):
            os._exit(1)
        signal.setitimer(signal.ITIMER_REAL, 0)

    return Session(setup, modules, ask=ask, send=channel.send, commit=commit)


def brought() -> frozenset[str]:
    """Return the names of the virtual tables that SQLite brings."""
    with closing(sqlite3.connect(":memory:")) as connection:
        return frozenset(name for (name,) in connection.execute("SELECT name FROM pragma_module_list"))


if __name__ == "__main__":
    main()
