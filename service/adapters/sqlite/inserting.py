"""Putting batches of records into the tables, and naming the key that is there already."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, repeat

from service.adapters import commits
from service.adapters.commits import Tally
from service.adapters.sqlite.heads import first_id, key_bytes, key_text
from service.domain.records import Batch

_ROWS = 20
"""Rows in one INSERT: of 20 at a time, a load with keys takes no longer than rows one by one without."""

Row = tuple[int, bytes | None, bytes]
"""Id, key and record."""

Put = Callable[[sqlite3.Connection, int, int, Batch], None]
"""Puts a batch on a shelf from a position on."""

_CHUNK = 1_000
"""Staged records that are moved by one statement."""


def insert(connection: sqlite3.Connection, shelf: int, position: int, batch: Batch) -> None:
    """Put a batch on a shelf, from a position on or at positions of its own.

    Raises `DuplicateKey` for the first key that is there.
    """
    if batch.positions is None:
        _insert(connection, "records", _rows(first_id(shelf) + position, batch))
    else:
        ids = [first_id(shelf) + one for one in batch.positions]
        _insert(connection, "records", list(zip(ids, _keys(batch), batch.records, strict=True)))


def stage(connection: sqlite3.Connection, shelf: int, position: int, batch: Batch) -> None:
    """Stage a batch of an append; its keys are looked at when it is moved."""
    _insert(connection, "staged", _rows(first_id(shelf) + position, batch))


def _rows(first: int, batch: Batch) -> list[Row]:
    ids = range(first, first + len(batch.records))
    return list(zip(ids, _keys(batch), batch.records, strict=True))


def _keys(batch: Batch) -> Iterable[bytes | None]:
    return repeat(None, len(batch.records)) if batch.keys is None else map(key_bytes, batch.keys)


def _insert(connection: sqlite3.Connection, table: str, rows: list[Row]) -> None:
    statement = f"INSERT INTO {table} (id, key, record) VALUES (?, ?, ?)"  # noqa: S608 - constants
    whole = len(rows) - len(rows) % _ROWS
    done = 0

    def groups() -> Iterator[list[int | bytes | None]]:
        nonlocal done
        for done in range(0, whole, _ROWS):
            yield list(chain.from_iterable(rows[done : done + _ROWS]))
        done = whole

    # A group with a key that is there already is undone; row by row it then fails at that key.
    with suppress(sqlite3.IntegrityError):
        connection.executemany(statement + ", (?, ?, ?)" * (_ROWS - 1), groups())
    try:
        for row in rows[done:]:
            connection.execute(statement, row)
    except sqlite3.IntegrityError:
        raise commits.duplicate_key(key_text(row[1])) from None


def move_all(connection: sqlite3.Connection, source: int, count: int, shelf: int, position: int) -> None:
    """Put the `count` records staged on `source` on a shelf, from a position on; keys must be new."""
    first, target = first_id(source), first_id(shelf) + position
    for start in range(first, first + count, _CHUNK):
        span = (start, min(start + _CHUNK, first + count))
        try:
            connection.execute(
                "INSERT INTO records (id, key, record)"
                " SELECT id + ?, key, record FROM staged WHERE id >= ? AND id < ?",
                (target - first, *span),
            )
        except sqlite3.IntegrityError:
            # The statement is undone; row by row it fails at the first key that is there.
            rows = staged(connection, *span)
            ids = range(target + start - first, target + start - first + len(rows))
            _insert(connection, "records", [(id_, *row) for id_, row in zip(ids, rows, strict=True)])


def staged(connection: sqlite3.Connection, start: int, end: int) -> list[tuple[bytes | None, bytes]]:
    """Return keys and records that are staged from one id to before another."""
    return connection.execute(
        "SELECT key, record FROM staged WHERE id >= ? AND id < ? ORDER BY id", (start, end)
    ).fetchall()


def rows_of(
    connection: sqlite3.Connection, source: int, count: int, batches: Iterable[Batch]
) -> Iterator[tuple[bytes | None, bytes]]:
    """Give keys and records in order: those staged on `source`, then those of the batches."""
    first = first_id(source)
    for start in range(first, first + count, _CHUNK):
        yield from staged(connection, start, min(start + _CHUNK, first + count))
    for batch in batches:
        yield from zip(_keys(batch), batch.records, strict=True)


def merge(
    connection: sqlite3.Connection,
    shelf: int,
    position: int,
    rows: Iterable[tuple[bytes | None, bytes]],
    *,
    replaces: bool,
) -> Tally:
    """Put records on a shelf from a position on; one whose key is there replaces that, or is ignored."""
    next_id, tally = first_id(shelf) + position, Tally()
    for key, record in rows:
        found = (
            key is not None
            and connection.execute(
                "SELECT id, length(record) FROM records WHERE id >> 36 = ? AND key = ?", (shelf, key)
            ).fetchone()
        )
        if not found:
            connection.execute(
                "INSERT INTO records (id, key, record) VALUES (?, ?, ?)", (next_id, key, record)
            )
            next_id += 1
            tally.added += 1
            tally.size_change += len(record)
        elif replaces:
            connection.execute("UPDATE records SET record = ? WHERE id = ?", (record, found[0]))
            tally.replaced += 1
            tally.size_change += len(record) - found[1]
        else:
            tally.ignored += 1
    return tally
