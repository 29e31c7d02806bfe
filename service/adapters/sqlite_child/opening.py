"""Connections for one statement each: nothing of it is left when they are closed."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

from service.adapters.sqlite_child.messages import Limits
from service.adapters.sqlite_file import connect, enter_wal

MAX_RECORD_BYTES = 40 << 20
"""A record has at most 32 MiB, and stands in a row with its key."""

OPENING_S = 5.0
_CACHE_KIB = 8 << 10

# https://sqlite.org/limits.html; the length also bounds what functions make: zeroblob, printf, replace.
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: MAX_RECORD_BYTES,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 2 << 20,
    sqlite3.SQLITE_LIMIT_COLUMN: 2000,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 500,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 200,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 1_000_000,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 100,
    sqlite3.SQLITE_LIMIT_ATTACHED: 1,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1000,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 10_000,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 10,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}


def open_anchor(path: Path) -> sqlite3.Connection:
    """Open the file for as long as the process lives, and create it if it is absent.

    While one connection stays open, none that is closed is the last, which would write the log back.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = connect(path, mode="rwc", timeout_s=OPENING_S)
    try:
        enter_wal(connection, OPENING_S)
        connection.execute("SELECT 1 FROM sqlite_schema").fetchall()  # only who has read has the log open
    except BaseException:
        connection.close()
        raise
    return connection


def open_one(path: Path, limits: Limits, *, writing: bool) -> sqlite3.Connection:
    """Open the file for one statement."""
    connection = connect(path, mode="rw" if writing else "ro", timeout_s=limits.timeout_s)
    try:
        # A text that is none is still shown; SQLite takes any bytes for one.
        connection.text_factory = lambda text: text.decode("utf-8", "replace")
        if sys.version_info >= (3, 12):  # pragma: no cover - a second lock on what the guard denies
            connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute("PRAGMA temp_store = MEMORY")  # where `hard_heap_limit` bounds it
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute(f"PRAGMA hard_heap_limit = {limits.heap_bytes}")
        if writing:
            # In WAL mode FULL syncs the log at each commit: what was answered survives a power cut.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            page_bytes = connection.execute("PRAGMA page_size").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {limits.file_bytes // page_bytes}")
    except BaseException:
        connection.close()
        raise
    return connection


def confine(connection: sqlite3.Connection) -> None:
    """Set the limits of what a statement may be and make."""
    for limit, most in _LIMITS.items():
        connection.setlimit(limit, most)
