"""Records at positions of their own: holes are stored as deletions leave them, an empty row, a bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from service.adapters.ranks import Gaps
from service.adapters.redis.placing import STEP_RECORDS
from service.adapters.redis.scripts import Command

Spread = tuple[list[bytes], list[range]]
"""Consecutive rows, empty where nothing stands, and the positions of those."""


def spread(gaps: Gaps, positions: Sequence[int], rows: Sequence[bytes]) -> Iterator[Spread]:
    """Yield the rows and the holes between them, at most about two steps at a time."""
    full: list[bytes] = []
    holes: list[range] = []
    for position, row in zip(positions, rows, strict=True):
        for empty, some in hollow(gaps.before(position)):
            full += empty
            holes += some
            if len(full) >= STEP_RECORDS:
                yield full, holes
                full, holes = [], []
        full.append(row)
    yield full, holes


def hollow(gap: range) -> Iterator[Spread]:
    """Yield a run of holes, a step at a time."""
    for start in range(gap.start, gap.stop, STEP_RECORDS):
        some = range(start, min(start + STEP_RECORDS, gap.stop))
        yield [b""] * len(some), [some]


def mark(bitmap: str, holes: range) -> Iterator[Command]:
    """Yield the commands that set the bits of holes; whole bytes of them at once."""
    whole = range(-(-holes.start // 8), holes.stop // 8)
    if len(whole) < 2:
        yield from (("SETBIT", bitmap, position, 1) for position in holes)
        return
    yield from (("SETBIT", bitmap, position, 1) for position in range(holes.start, whole.start * 8))
    yield ("SETRANGE", bitmap, whole.start, b"\xff" * len(whole))
    yield from (("SETBIT", bitmap, position, 1) for position in range(whole.stop * 8, holes.stop))
