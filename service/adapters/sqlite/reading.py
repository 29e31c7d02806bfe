"""Finding records by rank, position and key, each at the same cost wherever they stand."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from functools import partial
from typing import NamedTuple

from service.adapters import commits
from service.adapters.ranks import BUCKET, GROUP
from service.adapters.sqlite.database import Held
from service.adapters.sqlite.heads import Stored, buckets, first_id, key_bytes
from service.domain.datasets import Dataset
from service.domain.records import BATCH_BYTES, BATCH_RECORDS
from service.ports.storage import Slice, StoredRecord

_TAKE = "SELECT id, record FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ? OFFSET ?"


class Place(NamedTuple):
    """Where to begin: the rank, a position not behind it, and how many records from there to pass over.

    `skip` is less than the positions in a bucket.
    """

    rank: int
    position: int
    skip: int = 0


def slice_records(
    connection: sqlite3.Connection, stored: Stored, *, limit: int, rank: int, after: int | None
) -> Slice:
    """Return at most `limit` records from a rank, or from behind a position."""
    dataset = commits.present(stored.head)
    place = locate(connection, stored, rank, after)
    limit = min(limit, max(0, dataset.count - place.rank))
    rows = _rows(connection, stored, place, limit).fetchall()
    return _slice(dataset, stored.shelf, place.rank, rows)


def scan_records(connection: sqlite3.Connection, stored: Stored, place: Place) -> Slice:
    """Return the records from there that make up a batch: about `BATCH_BYTES`, at least one."""
    dataset = commits.present(stored.head)
    rows: list[tuple[int, bytes]] = []
    total_bytes = 0
    cursor = _rows(connection, stored, place, BATCH_RECORDS)
    for row in cursor:
        rows.append(row)
        total_bytes += len(row[1])
        if total_bytes >= BATCH_BYTES:
            break
    cursor.close()
    return _slice(dataset, stored.shelf, place.rank, rows)


def _rows(connection: sqlite3.Connection, stored: Stored, place: Place, limit: int) -> sqlite3.Cursor:
    first = first_id(stored.shelf)
    dataset = commits.present(stored.head)
    span = (first + place.position, first + dataset.next_position)
    return connection.execute(_TAKE, (*span, limit, place.skip))


def _slice(dataset: Dataset, shelf: int, start: int, rows: list[tuple[int, bytes]]) -> Slice:
    first = first_id(shelf)
    positions = [id_ - first for id_, _ in rows]
    records = [record for _, record in rows]
    return Slice(dataset, start, positions, records, more=start + len(rows) < dataset.count)


def locate(connection: sqlite3.Connection, stored: Stored, rank: int, after: int | None) -> Place:
    """Return where the record of a rank stands, or the first behind the position `after`."""
    dataset = commits.present(stored.head)
    if after is not None:
        position = max(0, after + 1)
        if position >= dataset.next_position:
            return Place(dataset.count, dataset.next_position)
        return Place(_rank_of(connection, stored, position), position)
    if rank >= dataset.count:
        return Place(rank, dataset.next_position)
    if dataset.dense:
        return Place(rank, rank)
    group, rest = stored.groups.find(rank)
    bucket, rest = buckets(connection, stored.shelf, group).find(rest)
    return Place(rank, group * GROUP + bucket * BUCKET, rest)


def _rank_of(connection: sqlite3.Connection, stored: Stored, position: int) -> int:
    """Return how many records stand before a position."""
    if commits.present(stored.head).dense:
        return position
    group, inside = divmod(position, GROUP)
    bucket = inside // BUCKET
    before = stored.groups.live_before(group)
    before += buckets(connection, stored.shelf, group).live_before(bucket)
    first = first_id(stored.shelf)
    span = (first + group * GROUP + bucket * BUCKET, first + position)
    counted = connection.execute("SELECT count(*) FROM records WHERE id >= ? AND id < ?", span)
    rest: int = counted.fetchone()[0]
    return before + rest


def record_at(connection: sqlite3.Connection, stored: Stored, position: int) -> bytes:
    """Return the record at a position. Raises `DatasetNotFound`, `RecordNotFound`."""
    dataset = commits.present(stored.head)
    if 0 <= position < dataset.next_position:
        id_ = first_id(stored.shelf) + position
        row = connection.execute("SELECT record FROM records WHERE id = ?", (id_,)).fetchone()
        if row is not None:
            record: bytes = row[0]
            return record
    raise commits.position_not_found(dataset.name, position)


def position_of(connection: sqlite3.Connection, stored: Stored, key: str) -> int | None:
    """Return the position of the record with that key."""
    row = connection.execute(
        "SELECT id FROM records WHERE id >> 36 = ? AND key = ?", (stored.shelf, key_bytes(key))
    ).fetchone()
    return None if row is None else row[0] - first_id(stored.shelf)


def find_record(
    connection: sqlite3.Connection, stored: Stored, key: str | None, position: int | None
) -> StoredRecord:
    """Return the record with that key or position."""
    dataset = commits.present(stored.head)
    if key is not None:
        position = position_of(connection, stored, key)
        if position is None:
            raise commits.key_not_found(dataset.name, key)
    if position is None:
        raise ValueError("Give a key or a position.")
    return StoredRecord(dataset, position, record_at(connection, stored, position))


class SqliteSnapshot:
    """One revision, on a connection that keeps its state of the database."""

    def __init__(self, held: Held, stored: Stored) -> None:
        self._held = held
        self.stored = stored

    @property
    def dataset(self) -> Dataset:
        """The revision that is held."""
        return commits.present(self.stored.head)

    async def slice(self, *, limit: int, rank: int = 0, after: int | None = None) -> Slice:
        """Return at most `limit` records, as `Datasets.slice` does."""
        return await self._held.read(
            lambda connection: slice_records(connection, self.stored, limit=limit, rank=rank, after=after)
        )

    async def scan(self, *, rank: int = 0, after: int | None = None) -> AsyncIterator[Slice]:
        """Yield all records from there to the end."""
        place = await self._held.read(lambda connection: locate(connection, self.stored, rank, after))
        while place.rank < self.dataset.count:
            found = await self._held.read(partial(scan_records, stored=self.stored, place=place))
            yield found
            place = Place(found.start + len(found.records), found.positions[-1] + 1)
