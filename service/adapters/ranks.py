"""From rank to position and back, in a dataset whose positions have holes.

Positions are dense when appended and sparse after deletes. Counting what is gone, not what is there, costs
loads and appends nothing: a store keeps the number of holes per bucket of 256 positions and per group of
65,536, rows of zero left out. A rank is found in the groups (153 numbers for 10,000,000 records), then in the
buckets of one group, then among the at most 256 records of one bucket; so every depth costs the same.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

BUCKET = 256
"""Positions in a bucket."""

GROUP = 65_536
"""Positions in a group."""

BUCKETS = GROUP // BUCKET
"""Buckets in a group."""


class Holes:
    """How many positions are gone in each segment of `size` positions; segments not named have none gone.

    `counts` are (segment, holes) with the segments in ascending order.
    """

    __slots__ = ("_gone", "_live_through", "_segments", "_size")

    def __init__(self, size: int, counts: Iterable[tuple[int, int]]) -> None:
        pairs = [(segment, holes) for segment, holes in counts if holes]
        self._size = size
        self._segments = [segment for segment, _ in pairs]
        self._gone = list(accumulate((holes for _, holes in pairs), initial=0))
        self._live_through = [
            (segment + 1) * size - gone for segment, gone in zip(self._segments, self._gone[1:], strict=True)
        ]

    @property
    def total(self) -> int:
        """The number of holes in all segments."""
        return self._gone[-1]

    def find(self, rank: int) -> tuple[int, int]:
        """Return the segment that holds the live record of this rank, and its rank within the segment.

        The last segment is taken as endless, so a rank behind the last record lands behind it.
        """
        before = bisect_right(self._live_through, rank)
        if before:
            first, rest = self._segments[before - 1] + 1, rank - self._live_through[before - 1]
        else:
            first, rest = 0, rank
        # The next segment with holes has at least one fewer, so it cannot be run over.
        full, rest = divmod(rest, self._size)
        return first + full, rest

    def live_before(self, segment: int) -> int:
        """Return how many live records stand before a segment; all before it must be fully allotted."""
        return segment * self._size - self._gone[bisect_left(self._segments, segment)]


class Gaps:
    """Finds and counts the holes between positions that come in ascending order.

    `counts` are the holes of each bucket that has some; of a whole dataset of 10,000,000 records that is at
    most 39,063 numbers. `first` is the first position that was taken.
    """

    __slots__ = ("_next", "counts", "first")

    def __init__(self) -> None:
        self._next = 0
        self.counts: dict[int, int] = {}
        self.first: int | None = None

    def before(self, position: int) -> range:
        """Return the holes between the last position and this one, which is taken."""
        gap = self.until(position)
        self._next = position + 1
        self.first = position if self.first is None else self.first
        return gap

    def until(self, end: int) -> range:
        """Return the holes between the last position and the end. Raises `ValueError` where it is before."""
        gap = range(self._next, end)
        if end < self._next:
            raise ValueError(f"Position {end} does not ascend: {self._next} is next.")
        start = self._next
        while start < end:
            bucket = start // BUCKET
            stop = min(end, (bucket + 1) * BUCKET)
            self.counts[bucket] = self.counts.get(bucket, 0) + stop - start
            start = stop
        self._next = end
        return gap

    def add(self, positions: Sequence[int]) -> None:
        """Take positions."""
        if positions and positions[0] == self._next and positions[-1] - positions[0] == len(positions) - 1:
            self._next = positions[-1] + 1  # no holes, as in most batches: they ascend, so these are all
            self.first = positions[0] if self.first is None else self.first
            return
        for position in positions:
            self.before(position)

    def groups(self) -> dict[int, int]:
        """Return the holes of each group that has some."""
        groups: dict[int, int] = {}
        for bucket, holes in self.counts.items():
            groups[bucket // BUCKETS] = groups.get(bucket // BUCKETS, 0) + holes
        return groups


NO_HOLES = Holes(GROUP, ())
"""The holes of a dense dataset."""
