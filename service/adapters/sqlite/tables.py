"""The tables, and how a file comes to have them."""

from __future__ import annotations

import sqlite3

from service.adapters.sqlite_file import writing
from service.domain.errors import StoreError

APPLICATION_ID = 0x4165726F
"""Marks the file as ours (https://sqlite.org/pragma.html#pragma_application_id): "Aero"."""

VERSION = 1

SHELF_BITS = 36
"""A record's id is its shelf and, in the low 36 bits, its position: one B-tree holds all in order."""

_TABLES = """
-- A name that was ever used; shelf 0 says that it has no dataset now.
CREATE TABLE datasets (
    name TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,
    schema_version INTEGER NOT NULL,
    shelf INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    count INTEGER NOT NULL,
    next_position INTEGER NOT NULL,
    edits INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    created TEXT,
    updated TEXT
);

-- Apart from the row above, which every commit rewrites: a schema may have 2,000 columns.
CREATE TABLE schemas (name TEXT PRIMARY KEY, document BLOB NOT NULL);

-- A place for the records of one generation, or for what an append has staged. From `due` (seconds since
-- 1970) on it can be removed: never while live, ten minutes after it was retired, at the end of its writer's
-- lease while staged. Numbers are never used again.
CREATE TABLE shelves (
    shelf INTEGER PRIMARY KEY AUTOINCREMENT,
    state TEXT NOT NULL CHECK (state IN ('staged', 'live', 'retired', 'removing')),
    due REAL
);

CREATE TABLE records (id INTEGER PRIMARY KEY, key BLOB, record BLOB NOT NULL);
CREATE UNIQUE INDEX record_keys ON records (id >> 36, key) WHERE key IS NOT NULL;

-- What an append has staged; keys may come twice here.
CREATE TABLE staged (id INTEGER PRIMARY KEY, key BLOB, record BLOB NOT NULL);

-- How many positions of a group are gone, in all and by bucket (256 little-endian numbers of 16 bits).
CREATE TABLE holes (
    shelf INTEGER, segment INTEGER, total INTEGER NOT NULL, buckets BLOB NOT NULL,
    PRIMARY KEY (shelf, segment)
) WITHOUT ROWID;

CREATE TABLE remembered (
    name TEXT, key TEXT, expires REAL NOT NULL, outcome BLOB NOT NULL, UNIQUE (name, key)
);
CREATE INDEX remembered_expires ON remembered (expires);

CREATE TABLE documents (
    kind TEXT, id TEXT, version INTEGER NOT NULL, tag TEXT NOT NULL, expires REAL, body BLOB NOT NULL,
    UNIQUE (kind, id)
);
CREATE INDEX documents_tag ON documents (kind, tag, id);
CREATE INDEX documents_expires ON documents (expires) WHERE expires IS NOT NULL;
"""


def migrate(connection: sqlite3.Connection, gate: sqlite3.Connection, deadline: float) -> None:
    """Make the tables unless they are there, waiting for the write lock until the monotonic `deadline`.

    Raises `StoreError` where the file belongs to another program or a newer release.
    """
    if _number(connection, "user_version") != VERSION or not _ours(connection):
        writing(_make_tables, gate, deadline)(connection)


def _make_tables(connection: sqlite3.Connection) -> None:
    if (version := _number(connection, "user_version")) == VERSION and _ours(connection):
        return  # another process was first
    if not _ours(connection) and connection.execute("SELECT 1 FROM sqlite_schema").fetchall():
        raise StoreError("The database file belongs to another program. Name another in STORAGE_URL.")
    if version > VERSION:
        raise StoreError(
            f"The database file was written by a newer release (format {version}, here {VERSION})."
            " Install that release."
        )
    for statement in _TABLES.split(";\n"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _ours(connection: sqlite3.Connection) -> bool:
    return _number(connection, "application_id") == APPLICATION_ID


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    value: int = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
    return value
