"""Ranks and positions, against counting one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.ranks import BUCKET, GROUP, NO_HOLES, Gaps, Holes

SIZES = st.integers(1, 7)
LIVE = st.lists(st.booleans(), max_size=90)


def holes_of(live: list[bool], size: int) -> Holes:
    """Return the holes of these positions, in segments of a size."""
    starts = range(0, len(live), size)
    return Holes(size, [(start // size, live[start : start + size].count(False)) for start in starts])


@given(live=LIVE, size=SIZES)
def test_a_rank_is_found_in_its_segment(live: list[bool], size: int) -> None:
    """Each record is found in its segment, at its rank among the live ones there."""
    holes = holes_of(live, size)
    positions = [position for position, alive in enumerate(live) if alive]
    for rank, position in enumerate(positions):
        segment, inside = holes.find(rank)
        assert segment == position // size
        assert [one for one in positions if one // size == segment][inside] == position


@given(live=LIVE, size=SIZES)
def test_the_live_before_a_segment_are_counted(live: list[bool], size: int) -> None:
    """Before each segment there are as many live records as one counts, and holes add up."""
    holes = holes_of(live, size)
    for segment in range(len(live) // size + 1):
        assert holes.live_before(segment) == live[: segment * size].count(True)
    assert holes.total == live.count(False)


def test_without_holes_rank_and_position_are_the_same() -> None:
    """A dense dataset needs no counts."""
    for rank in (0, 65_535, 65_536, 9_900_000):
        segment, inside = NO_HOLES.find(rank)
        assert segment * 65_536 + inside == rank
        assert NO_HOLES.live_before(segment) == segment * 65_536
    assert NO_HOLES.total == 0


def test_segments_that_are_all_holes_are_passed_over() -> None:
    """A rank is never found where nothing is left."""
    holes = Holes(4, [(0, 4), (1, 0), (2, 4), (3, 3), (9, 1)])
    assert [holes.find(rank) for rank in (0, 3, 4, 5, 6)] == [(1, 0), (1, 3), (3, 0), (4, 0), (4, 1)]
    assert holes.find(4 + 1 + 5 * 4) == (9, 0)
    assert holes.find(4 + 1 + 5 * 4 + 3) == (10, 0)


@given(st.sets(st.integers(0, 3 * GROUP), max_size=40), st.integers(0, 300), st.integers(1, 9))
def test_gaps_are_what_is_not_there(some: set[int], dense: int, size: int) -> None:
    """Positions that come in parts leave the holes that one counts, in each bucket and each group."""
    taken = sorted(some | set(range(dense)))
    end = 3 * GROUP + 1
    gaps = Gaps()
    for start in range(0, len(taken), size):
        gaps.add(taken[start : start + size])
    gaps.until(end)
    for segment_size, counts in ((BUCKET, gaps.counts), (GROUP, gaps.groups())):
        for segment in range(-(-end // segment_size)):
            positions = range(segment * segment_size, min((segment + 1) * segment_size, end))
            live = sum(position in positions for position in taken)
            assert counts.get(segment, 0) == len(positions) - live


def test_gaps_are_given_as_they_come() -> None:
    """Each position tells the holes before it, and none goes back."""
    gaps = Gaps()
    assert [gaps.before(position) for position in (2, 3, 7)] == [range(2), range(3, 3), range(4, 7)]
    assert gaps.until(9) == range(8, 9)
    with pytest.raises(ValueError, match="Position 8 does not ascend"):
        gaps.before(8)
