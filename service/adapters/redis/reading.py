"""Reading one revision: from a rank or behind a position, at the same cost at any depth."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from service.adapters import commits
from service.adapters.ranks import BUCKET
from service.adapters.redis.connections import Wire
from service.adapters.redis.heads import Heads
from service.adapters.redis.layout import Entry, index_entry, unpack_row
from service.adapters.redis.scripts import FIND, READ
from service.domain.datasets import Dataset
from service.domain.errors import Busy, SnapshotLost, StoreError
from service.domain.records import BATCH_BYTES, BATCH_RECORDS
from service.ports.storage import Slice, StoredRecord

_MAX_BUCKETS = 64
"""Buckets read at once."""

_WINDOW_BYTES = 1024
"""Of the bitmap of holes, read at most at once: 8,192 positions."""

_SAME, _MISSING = 1, 2
"""What the scripts answer first: the records stand where they were; some are not there at all."""

_NOWHERE = 2**53
"""A position behind all others."""

_ATTEMPTS = 8
"""How often a slice is begun anew because its records changed while it was read in parts."""


class _Changed(Exception):
    """The records are not those that the caller knows."""


@dataclass(frozen=True, slots=True)
class View:
    """A revision and where its records are; where it is `held`, it must still be this one."""

    dataset: Dataset
    body: str
    held: bool = False

    @classmethod
    def of(cls, entry: Entry, *, held: bool = False) -> View:
        """Return the view of what is stored. Raises `DatasetNotFound`."""
        return cls(commits.present(entry.head), entry.body, held)

    def words(self, *, anywhere: bool = False) -> tuple[str | int, ...]:
        """Return what the scripts compare; `anywhere`: holes may have come."""
        dataset = self.dataset
        holes = "" if anywhere else dataset.next_position - dataset.count
        known = ("", dataset.next_position) if self.held else (dataset.revision, "")
        return (self.body, dataset.edits, holes, *known)


class Reader:
    """Reads records."""

    def __init__(self, wire: Wire, heads: Heads) -> None:
        self._wire = wire
        self._heads = heads

    async def slice(self, name: str, *, limit: int, rank: int, after: int | None) -> Slice:
        """Return some records of the present revision.

        They are read a mebibyte at a time, so that nobody waits for long. If the records change in between,
        it is begun anew, with larger parts each time.
        """
        view = View.of(await self._heads.guess(name))
        for attempt in range(_ATTEMPTS):
            try:
                return await self._whole(view, limit, rank, after, BATCH_BYTES << attempt)
            except _Changed:
                view = View.of(await self._heads.guess(name))
        raise _busy(name)

    async def record(self, name: str, key: str | None, position: int) -> StoredRecord:
        """Return the record with the key, or at the position."""
        view = View.of(await self._heads.guess(name))
        for _ in range(_ATTEMPTS):
            try:
                return await self._record(view, key, position)
            except _Changed:
                view = View.of(await self._heads.guess(name))
        raise _busy(name)

    async def part(self, view: View, limit: int, rank: int, after: int | None, most_bytes: int) -> Slice:
        """Return records of a held view up to so many bytes, at least one. Raises `SnapshotLost`."""
        try:
            return (await self._part(view, limit, rank, after, most_bytes))[1]
        except _Changed:
            raise _lost(view.dataset.name) from None

    async def whole(self, view: View, limit: int, rank: int, after: int | None) -> Slice:
        """Return `limit` records of a held view. Raises `SnapshotLost`."""
        try:
            return await self._whole(view, limit, rank, after, BATCH_BYTES)
        except _Changed:
            raise _lost(view.dataset.name) from None

    async def _whole(self, view: View, limit: int, rank: int, after: int | None, most_bytes: int) -> Slice:
        view, first = await self._part(view, limit, rank, after, most_bytes)
        positions, records, more = list(first.positions), list(first.records), first.more
        held = replace(view, held=True)
        while more and len(records) < limit:
            _, part = await self._part(
                held, limit - len(records), first.start + len(records), None, most_bytes
            )
            positions += part.positions
            records += part.records
            more = part.more
        return Slice(view.dataset, first.start, positions, records, more)

    async def _part(
        self, view: View, limit: int, rank: int, after: int | None, most_bytes: int
    ) -> tuple[View, Slice]:
        """Return records up to a limit in bytes, at least one, and the view as it is now."""
        after = None if after is None else max(after, -1)
        average = view.dataset.size_bytes // max(1, view.dataset.count)
        limit = min(limit, most_bytes // max(1, average) + BUCKET)
        if view.dataset.dense:
            first = start = rank if after is None else after + 1
            bases: Sequence[int] = range(first - first % BUCKET, first + limit, BUCKET)
        else:
            view, start, wanted = await self._find(view, rank, after, limit)
            first = wanted[0] if wanted else _NOWHERE
            bases = list(dict.fromkeys(position - position % BUCKET for position in wanted))
        view, found = await self._rows(view, first, bases[:_MAX_BUCKETS], limit, most_bytes)
        if after is not None:
            start = min(start, view.dataset.count)
        more = start + len(found) < view.dataset.count
        if more and not found:
            raise _missing(view.dataset.name)
        records = [unpack_row(row)[0] for _, row in found]
        return view, Slice(view.dataset, start, [position for position, _ in found], records, more)

    async def _find(
        self, view: View, rank: int, after: int | None, limit: int
    ) -> tuple[View, int, Sequence[int]]:
        """Return the rank to begin with, and positions of live records from there: at most `limit`."""
        keys = self._heads.keys(view.dataset.name)
        what = ("rank", rank) if after is None else ("position", after + 1)
        window_bytes = min(_WINDOW_BYTES, limit // 4 + 32)
        answer = await self._wire.script(
            FIND,
            [keys.meta, keys.retired, keys.holes(view.body), keys.groups(view.body)],
            [*view.words(anywhere=True), *what, window_bytes],
        )
        view, (byte, before, bits) = self._checked(view, answer)
        stop = min(view.dataset.next_position, (byte + window_bytes) * 8)
        live = _live(bits, byte * 8, stop)
        if after is None:
            return view, rank, list(islice(live, rank - before, rank - before + limit))
        found = list(live)
        passed = bisect_right(found, after)
        if passed == len(found) and before + passed < view.dataset.count:
            return await self._find(view, before + passed, None, limit)  # a long run of holes comes first
        return view, before + passed, found[passed:]

    async def _rows(
        self, view: View, first: int, bases: Sequence[int], limit: int, most_bytes: int
    ) -> tuple[View, list[tuple[int, bytes]]]:
        """Return live rows from a position on, with their positions; `bases` begin the buckets to read."""
        keys = self._heads.keys(view.dataset.name)
        answer = await self._wire.script(
            READ,
            [keys.meta, keys.retired, *(keys.bucket(view.body, base) for base in bases)],
            [*view.words(), first, limit, most_bytes, *bases],
        )
        view, (rows,) = self._checked(view, answer)
        places = (position for base in bases for position in range(max(base, first), base + BUCKET))
        return view, [(place, row) for place, row in zip(places, rows, strict=False) if row]

    def _checked(self, view: View, answer: Sequence[Any]) -> tuple[View, Sequence[Any]]:
        state, news, *found = answer
        if news is not None:
            entry = self._heads.learn(view.dataset.name, news)
            view = View.of(entry) if state == _SAME else view
        if state == _MISSING:
            raise _missing(view.dataset.name)
        if state != _SAME:
            raise _Changed
        return view, found

    async def _record(self, view: View, key: str | None, position: int) -> StoredRecord:
        name = view.dataset.name
        if key is None:
            now, row = await self._row(view, position)
            if not row:
                raise commits.position_not_found(name, position)
            return StoredRecord(now.dataset, position, unpack_row(row)[0])
        entry = index_entry(key)
        hint = await self._wire.call("HGET", self._heads.keys(name).index(view.body, entry), entry)
        position = _NOWHERE if hint is None else int(hint)
        now, row = await self._row(view, position)
        record, stored = unpack_row(row)
        if stored == entry:
            return StoredRecord(now.dataset, position, record)
        if now.dataset.edits != view.dataset.edits:
            raise _Changed  # another record may have the key since the hint was read
        raise commits.key_not_found(name, key)

    async def _row(self, view: View, position: int) -> tuple[View, bytes]:
        """Return the row at a position, empty where there is none."""
        view, found = await self._rows(view, position, [position - position % BUCKET], 1, 1)
        return view, found[0][1] if found and found[0][0] == position else b""


class RedisSnapshot:
    """One revision, lost as soon as a record of it is changed or removed: Redis keeps no versions."""

    def __init__(self, reader: Reader, view: View) -> None:
        self._reader = reader
        self._view = view

    @property
    def dataset(self) -> Dataset:
        """The revision that is held."""
        return self._view.dataset

    async def slice(self, *, limit: int, rank: int = 0, after: int | None = None) -> Slice:
        """Return at most `limit` records."""
        return await self._reader.whole(self._view, limit, rank, after)

    async def scan(self, *, rank: int = 0, after: int | None = None) -> AsyncIterator[Slice]:
        """Yield all records from there to the end."""
        more = True
        while more:
            part = await self._reader.part(self._view, BATCH_RECORDS, rank, after, BATCH_BYTES)
            if part.records:
                yield part
            rank, after, more = part.start + len(part.records), None, part.more


def _lost(name: str) -> SnapshotLost:
    return SnapshotLost(f"Records of the dataset {name!r} were changed while they were read. Read it anew.")


def _missing(name: str) -> StoreError:
    return StoreError(
        f"Redis has lost records of the dataset {name!r}: see its maxmemory-policy and append-only file."
        " Load the dataset anew."
    )


def _busy(name: str) -> Busy:
    return Busy(f"Records of the dataset {name!r} change faster than they can be read. Read it in a while.")


def _live(bits: bytes, first: int, stop: int) -> Iterator[int]:
    """Yield the positions whose bit is not set; `bits` begin with that of `first`."""
    for position in range(first, stop):
        byte = (position - first) >> 3
        if byte >= len(bits) or not bits[byte] << (position & 7) & 0x80:
            yield position
