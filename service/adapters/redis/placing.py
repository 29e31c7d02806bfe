"""Putting records behind those of a body: which commands that takes, and what becomes of known keys."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from service.adapters import commits
from service.adapters.commits import Tally
from service.adapters.ranks import BUCKET
from service.adapters.redis.connections import Wire
from service.adapters.redis.layout import Keys, index_entry, pack_row, unpack_row
from service.adapters.redis.scripts import Command
from service.domain.records import Batch
from service.ports.storage import OnConflict

STEP_BYTES = 1 << 18
STEP_RECORDS = 1000
"""What is sent at once: Redis is busy with it for a millisecond or two, and so is this process."""


@dataclass(slots=True)
class Placement(Tally):
    """The commands that put records in their places, and what they do."""

    commands: list[Command] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Owner:
    """The record that has a key."""

    position: int
    record: bytes


async def owners(wire: Wire, keys: Keys, body: str, end: int, wanted: Sequence[str]) -> dict[str, Owner]:
    """Return which record before the position `end` has each key, for keys that one has."""
    parts: dict[str, list[tuple[str, bytes]]] = defaultdict(list)
    for key in wanted:
        entry = index_entry(key)
        parts[keys.index(body, entry)].append((key, entry))
    hints = await wire.run([("HMGET", part, *(entry for _, entry in found)) for part, found in parts.items()])
    hinted = [
        (key, entry, int(hint))
        for found, answer in zip(parts.values(), hints, strict=True)
        for (key, entry), hint in zip(found, answer, strict=True)
        if hint is not None and int(hint) < end
    ]
    if not hinted:
        return {}
    rows = await wire.run([("LINDEX", keys.bucket(body, at), at % BUCKET) for _, _, at in hinted])
    known: dict[str, Owner] = {}
    for (key, entry, at), row in zip(hinted, rows, strict=True):
        record, stored = unpack_row(row or b"")
        if stored == entry:
            known[key] = Owner(at, record)
    return known


async def place(
    wire: Wire, keys: Keys, body: str, end: int, batch: Batch, on_conflict: OnConflict
) -> Placement:
    """Plan to put records at `end` and behind. Raises `DuplicateKey` where conflicts fail."""
    if batch.keys is None:
        return Placement(
            added=len(batch.records),
            size_change=sum(map(len, batch.records)),
            commands=push(keys, body, end, batch.records),
        )
    known = await owners(wire, keys, body, end, batch.keys)
    placement = Placement()
    fresh: list[bytes] = []
    index: dict[str, list[bytes | int]] = defaultdict(list)
    changed: dict[int, bytes] = {}
    for key, record in zip(batch.keys, batch.records, strict=True):
        owner, entry = known.get(key), index_entry(key)
        if owner is None:
            at = end + len(fresh)
            fresh.append(pack_row(record, entry))
            index[keys.index(body, entry)] += (entry, at)
            placement.size_change += len(record)
        elif on_conflict is OnConflict.FAIL:
            raise commits.duplicate_key(key)
        elif on_conflict is OnConflict.IGNORE:
            placement.ignored += 1
            continue
        else:
            at = owner.position
            if at < end:
                changed[at] = pack_row(record, entry)
            else:
                fresh[at - end] = pack_row(record, entry)
            placement.size_change += len(record) - len(owner.record)
            placement.replaced += 1
        known[key] = Owner(at, record)
    placement.added = len(fresh)
    placement.commands += push(keys, body, end, fresh)
    placement.commands += [("HSET", part, *words) for part, words in index.items()]
    placement.commands += [("LSET", keys.bucket(body, at), at % BUCKET, row) for at, row in changed.items()]
    return placement


def steps(batch: Batch, most_records: int = STEP_RECORDS) -> Iterator[Batch]:
    """Split a batch into what is sent at once; a single larger record is a step of its own."""
    ends = list(accumulate(map(len, batch.records), initial=0))
    first = 0
    while first < len(batch.records):
        most = min(first + most_records, len(batch.records))
        fitting = bisect_right(ends, ends[first] + STEP_BYTES, first + 1, most + 1) - 1
        last = max(fitting, first + 1)
        yield _cut(batch, first, last)
        first = last


def _cut(batch: Batch, first: int, last: int) -> Batch:
    keys = None if batch.keys is None else batch.keys[first:last]
    return Batch(batch.records[first:last], keys, batch.positions and batch.positions[first:last])


def push(keys: Keys, body: str, end: int, rows: Sequence[bytes]) -> list[Command]:
    """Return the commands that put rows behind the position `end`, a bucket at a time."""
    commands: list[Command] = []
    first = 0
    while first < len(rows):
        room = BUCKET - (end + first) % BUCKET
        commands.append(("RPUSH", keys.bucket(body, end + first), *rows[first : first + room]))
        first += room
    return commands
