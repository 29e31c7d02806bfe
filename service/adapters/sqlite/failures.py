"""Where SQLite's exceptions end: each becomes an error of the port that says what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.adapters.sqlite_file import primary_code
from service.domain.errors import OutOfSpace, StoreError, StoreUnavailable

_UNAVAILABLE = {
    sqlite3.SQLITE_READONLY: "cannot be written: the file or its directory is read-only",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: look whether it is there and may be read and written",
    sqlite3.SQLITE_PERM: "may not be opened by this user",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk reports an error",
}

_BROKEN = {
    sqlite3.SQLITE_NOTADB: "is not an SQLite database. Name another file",
    sqlite3.SQLITE_CORRUPT: "is damaged. Restore it from a backup",
}


class Locked(StoreUnavailable):
    """Another process holds the write lock; waiting helps."""


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system raise into errors of the port."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translation(error, path) from error
    except OSError as error:
        raise StoreUnavailable(f"{_named(path)} cannot be used: {error.strerror}.") from error


def _named(path: Path) -> str:
    return f"The database {path} (STORAGE_URL)"


def _translation(error: sqlite3.Error, path: Path) -> StoreError:
    code = primary_code(error)
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return Locked(f"Another process is writing to the database {path}. Try again.")
    if code == sqlite3.SQLITE_FULL:
        return OutOfSpace(f"{_named(path)} cannot grow: the disk or its limit is full.")
    if code in _UNAVAILABLE:
        return StoreUnavailable(f"{_named(path)} {_UNAVAILABLE[code]} ({error}).")
    if code in _BROKEN:
        return StoreError(f"{_named(path)} {_BROKEN[code]} ({error}).")
    return StoreError(f"{_named(path)} failed ({error}).")
