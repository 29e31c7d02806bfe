"""Contract dates are read strictly: two forms, ASCII digits, days that exist."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.dates import parse_version
from service.domain.errors import VersionMalformed


@given(st.dates())
def test_every_day_is_read_in_both_forms(day: date) -> None:
    """Each day of the calendar is read back from `YYYY-MM-DD` and from `YYYYMMDD`."""
    iso = day.isoformat()
    assert parse_version(iso) == parse_version(iso.replace("-", "")) == day


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "2026-1-5",
        "2026-11-2",
        "26-11-20",
        "2026-02-30",
        "20260230",
        "2023-02-29",
        "2026-13-01",
        "2026-00-10",
        "2026-11-00",
        "0000-01-01",
        "2026-1120",
        "202611-20",
        "2026/11/20",
        "2026-11-20T00:00:00Z",
        "2026-11-20 ",
        " 2026-11-20",
        "2026-11-20\n",
        "2026-W47-5",
        "2026W475",
        "2026-324",
        "20261120.0",
        "+20261120",
        "-2026-11-20",
        "٢٠٢٦-١١-٢٠",
        "２０２６１１２０",
        "2026\u201011\u201020",
        "2026-11-20\x00",
        "latest",
        "9" * 10_000,
    ],
)
def test_anything_else_is_malformed(text: str) -> None:
    """Whatever is not exactly a day in one of the two forms is refused, though Python may read it."""
    with pytest.raises(VersionMalformed, match="such as 2026-11-20 or 20261120"):
        parse_version(text)


@given(st.text())
def test_no_text_does_worse_than_being_malformed(text: str) -> None:
    """Any text either is a day or raises `VersionMalformed`."""
    try:
        day = parse_version(text)
    except VersionMalformed:
        return
    assert text in {day.isoformat(), day.isoformat().replace("-", "")}
