"""One SQLite file, whoever opens it: how a connection is made, and how those who write take turns."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from service.domain.errors import OutcomeUnknown, StoreError

T = TypeVar("T")

Work = Callable[[sqlite3.Connection], T]
"""A function of a connection."""


def connect(path: Path, *, mode: str = "rw", timeout_s: float = 0.0) -> sqlite3.Connection:
    """Open the file; `mode` is `rw`, `rwc` (which creates it) or `ro` (https://sqlite.org/uri.html)."""
    return sqlite3.connect(
        uri_of(path, mode),
        uri=True,
        timeout=timeout_s,
        isolation_level=None,  # transactions are opened by name, below
        check_same_thread=False,
    )


def uri_of(path: Path, mode: str) -> str:
    """Return the URI by which SQLite opens a file in a mode."""
    return f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}"


def connect_gate(path: Path) -> sqlite3.Connection:
    """Open what those who write take turns at."""
    return connect(path.with_name(path.name + "-gate"), mode="rwc")


def enter_wal(connection: sqlite3.Connection, timeout_s: float) -> None:
    """Switch to the write-ahead log; SQLite does not wait for others who switch at the same time."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            break
    if mode != "wal":
        raise StoreError("The file system cannot keep a write-ahead log. Put the database on a local disk.")


def writing(change: Work[T], gate: sqlite3.Connection, deadline: float) -> Work[T]:
    """Return the change within a transaction that waits for its turn until the monotonic `deadline`.

    Whoever writes holds the gate, an empty database beside the file, from before the transaction until the
    log was written back after it. SQLite would do without; but before 3.51.3 a process that writes the log
    back while another one begins it anew can lose a commit (https://sqlite.org/wal.html#walresetbug).
    """

    def work(connection: sqlite3.Connection) -> T:
        _begin(gate, "EXCLUSIVE", deadline)
        try:
            _begin(connection, "IMMEDIATE", deadline)
            try:
                result = change(connection)
                with committing():
                    connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        finally:
            gate.execute("ROLLBACK")
        return result

    return work


def _begin(connection: sqlite3.Connection, kind: str, deadline: float) -> None:
    timeout_ms = max(1, int((deadline - time.monotonic()) * 1000))
    connection.execute(f"PRAGMA busy_timeout = {timeout_ms}")
    connection.execute(f"BEGIN {kind}")


@contextmanager
def committing() -> Iterator[None]:
    """Tell apart a commit that did not happen from one that may have: the disk failed under it."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if primary_code(error) != sqlite3.SQLITE_IOERR:
            raise
        raise OutcomeUnknown(
            f"The disk failed during the commit ({error}); the write is whole or not there."
            " The same Idempotency-Key settles it."
        ) from error


def primary_code(error: sqlite3.Error) -> int:
    """Return the primary result code (https://sqlite.org/rescode.html), -1 where there is none."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return -1 if code is None else code & 0xFF
