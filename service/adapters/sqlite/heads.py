"""The row of each name: what it is at now, where its records stand, and where they have holes."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from struct import Struct

from service.adapters.codec import dump_schema, load_schema
from service.adapters.commits import Head
from service.adapters.ranks import BUCKET, BUCKETS, GROUP, NO_HOLES, Gaps, Holes
from service.adapters.sqlite.tables import SHELF_BITS
from service.domain.datasets import Dataset

_COUNTS = Struct(f"<{BUCKETS}H")
"""The holes of a group's buckets, as the file has them on every machine."""

_COLUMNS = (
    "name, revision, schema_version, shelf, generation, count, next_position, edits, size_bytes,"
    " created, updated"
)
_ONE = f"SELECT {_COLUMNS} FROM datasets WHERE name = ?"  # noqa: S608 - constant
_ALL = f"SELECT {_COLUMNS} FROM datasets WHERE shelf <> 0 ORDER BY name"  # noqa: S608 - constant
_PUT = f"REPLACE INTO datasets ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - constant

Row = tuple[str, int, int, int, int, int, int, int, int, str, str]


@dataclass(frozen=True, slots=True)
class Stored:
    """A head, the shelf of its records (0: none), the holes by group of positions; and what says all that."""

    head: Head
    shelf: int = 0
    groups: Holes = NO_HOLES
    row: Row | None = None
    schema: bytes = b""


def load(connection: sqlite3.Connection, name: str, known: Stored | None = None) -> Stored:
    """Return what is stored under a name; `known` is what it was before, if it was seen."""
    row: Row | None = connection.execute(_ONE, (name,)).fetchone()
    return Stored(Head(name)) if row is None else _known_or_read(connection, row, known)


def is_current(connection: sqlite3.Connection, name: str, known: Stored) -> bool:
    """Return whether what is stored under a name is what is known: one row to look at."""
    row: Row | None = connection.execute(_ONE, (name,)).fetchone()
    return row == known.row


def load_all(connection: sqlite3.Connection, known: Mapping[str, Stored]) -> list[Stored]:
    """Return what is stored under each name that has a dataset, by name."""
    rows: list[Row] = connection.execute(_ALL).fetchall()
    return [_known_or_read(connection, row, known.get(row[0])) for row in rows]


def all_names(connection: sqlite3.Connection) -> list[str]:
    """Return every name that was ever used, sorted."""
    return [name for (name,) in connection.execute("SELECT name FROM datasets ORDER BY name")]


def _known_or_read(connection: sqlite3.Connection, row: Row, known: Stored | None) -> Stored:
    if known is not None and known.row == row:
        return known
    name, revision, version, shelf, generation, count, end, edits, size_bytes, *times = row
    if not shelf:
        return Stored(Head(name, revision, version), row=row)
    found = connection.execute("SELECT document FROM schemas WHERE name = ?", (name,))
    document: bytes = found.fetchone()[0]
    before = known.head.dataset if known is not None and known.schema == document else None
    schema = load_schema(document, version) if before is None else before.schema
    created, updated = map(datetime.fromisoformat, times)
    dataset = Dataset(
        name=name,
        revision=revision,
        generation=generation,
        count=count,
        next_position=end,
        edits=edits,
        size_bytes=size_bytes,
        created=created,
        updated=updated,
        schema=replace(schema, version=version),
    )
    holes = NO_HOLES if dataset.dense else _groups(connection, shelf)
    return Stored(Head(name, revision, version, dataset), shelf, holes, row, document)


def save(connection: sqlite3.Connection, before: Stored, dataset: Dataset, shelf: int) -> None:
    """Store the next revision of a name; shelf 0 leaves the name without a dataset."""
    version = dataset.schema.version if shelf else before.head.schema_version
    created, updated = (time and time.isoformat() for time in (dataset.created, dataset.updated))
    numbers = (dataset.count, dataset.next_position, dataset.edits, dataset.size_bytes)
    head = (dataset.name, dataset.revision, version, shelf, dataset.generation)
    connection.execute(_PUT, (*head, *numbers, created, updated))
    if not shelf:
        connection.execute("DELETE FROM schemas WHERE name = ?", (dataset.name,))
    elif version != before.head.schema_version:
        row = (dataset.name, dump_schema(dataset.schema))
        connection.execute("REPLACE INTO schemas (name, document) VALUES (?, ?)", row)


def key_bytes(key: str) -> bytes:
    """Return a key as it is stored: bytes compare exactly, with zeros and lone surrogates in them too."""
    return key.encode("utf-8", "surrogatepass")


def key_text(key: bytes | None) -> str:
    """Read back what `key_bytes` wrote."""
    return (key or b"").decode("utf-8", "surrogatepass")


def first_id(shelf: int) -> int:
    """Return the id of the record at position 0 of a shelf; that of the next shelf ends it."""
    return shelf << SHELF_BITS


def _groups(connection: sqlite3.Connection, shelf: int) -> Holes:
    rows = connection.execute("SELECT segment, total FROM holes WHERE shelf = ? ORDER BY segment", (shelf,))
    return Holes(GROUP, rows.fetchall())


def buckets(connection: sqlite3.Connection, shelf: int, group: int) -> Holes:
    """Return the holes of one group, by bucket."""
    counts = _bucket_counts(connection, shelf, group)
    return Holes(BUCKET, enumerate(counts))


def count_hole(connection: sqlite3.Connection, shelf: int, position: int) -> None:
    """Count one more position as gone."""
    group, inside = divmod(position, GROUP)
    counts = _bucket_counts(connection, shelf, group)
    counts[inside // BUCKET] += 1
    row = (shelf, group, sum(counts), _COUNTS.pack(*counts))
    connection.execute("REPLACE INTO holes (shelf, segment, total, buckets) VALUES (?, ?, ?, ?)", row)


def count_gaps(connection: sqlite3.Connection, shelf: int, gaps: Gaps) -> None:
    """Count the holes of a shelf that had none."""
    for group, total in gaps.groups().items():
        first = group * BUCKETS
        counts = [gaps.counts.get(bucket, 0) for bucket in range(first, first + BUCKETS)]
        row = (shelf, group, total, _COUNTS.pack(*counts))
        connection.execute("INSERT INTO holes (shelf, segment, total, buckets) VALUES (?, ?, ?, ?)", row)


def _bucket_counts(connection: sqlite3.Connection, shelf: int, group: int) -> list[int]:
    row = connection.execute(
        "SELECT buckets FROM holes WHERE shelf = ? AND segment = ?", (shelf, group)
    ).fetchone()
    return [0] * BUCKETS if row is None else list(_COUNTS.unpack(row[0]))
