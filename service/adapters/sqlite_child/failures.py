"""Where SQLite's exceptions end: each becomes a message that says what to do."""

from __future__ import annotations

import sqlite3

from service.adapters.sqlite_child.messages import Failed, Kind, Setup
from service.adapters.sqlite_child.views import Stale
from service.adapters.sqlite_file import primary_code
from service.domain.errors import OutcomeUnknown, QueryFailed, StoreError, WriteRefused

_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY: "is being written by others; nothing was done. Try again",
    sqlite3.SQLITE_LOCKED: "is being written by others; nothing was done. Try again",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: look whether it is there and may be read and written",
    sqlite3.SQLITE_READONLY: "cannot be written: the file or its directory is read-only",
    sqlite3.SQLITE_PERM: "may not be opened by this user",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk reports an error",
    sqlite3.SQLITE_NOTADB: "is not an SQLite database. Name another file in DATABASE_URL",
    sqlite3.SQLITE_CORRUPT: "is damaged. Restore it from a backup",
}


def failure_of(error: Exception, setup: Setup) -> Failed:
    """Return the message for what was raised while a statement was run."""
    if isinstance(error, sqlite3.Error):
        return _of_sqlite(error, setup)
    if isinstance(error, WriteRefused):
        return Failed(Kind.WRITE, error.detail)
    if isinstance(error, QueryFailed):
        return Failed(Kind.QUERY, error.detail, error.members.get("position"))
    if isinstance(error, MemoryError):
        return Failed(Kind.QUERY, _too_much_memory(setup))
    return _of_world(error)


def _of_world(error: Exception) -> Failed:
    """Return the message for what is not the statement's fault, or the fault of its parameters."""
    match error:
        case Stale():
            return Failed(Kind.STALE, "The columns of a dataset have changed.")
        case OutcomeUnknown():
            return Failed(Kind.UNKNOWN, "The disk failed during the commit: the write is whole or not there.")
        case StoreError():
            return Failed(Kind.UNAVAILABLE, error.detail)
        case OSError():
            return Failed(Kind.UNAVAILABLE, f"The database cannot be used: {error.strerror}.")
        case _:
            # What Python does not take for SQLite: integers beyond 64 bits, lone surrogates, two statements.
            return Failed(Kind.QUERY, str(error))


def _of_sqlite(error: sqlite3.Error, setup: Setup) -> Failed:
    code = primary_code(error)
    if code == sqlite3.SQLITE_FULL:
        return Failed(Kind.SPACE, "The database cannot grow: the disk or its limit is full.")
    if code in _UNAVAILABLE:
        return Failed(Kind.UNAVAILABLE, f"The database {_UNAVAILABLE[code]}.")
    if code == sqlite3.SQLITE_INTERRUPT:
        return Failed(
            Kind.QUERY, f"The statement took more than {setup.limits.timeout_s:g} s and was stopped."
        )
    if code == sqlite3.SQLITE_NOMEM:
        return Failed(Kind.QUERY, _too_much_memory(setup))
    return Failed(Kind.QUERY, str(error))


def _too_much_memory(setup: Setup) -> str:
    return (
        f"The statement needs more than {setup.limits.heap_bytes >> 20} MiB of memory; ask for less at once."
    )
