"""A type fits the whole column: numbers by JSON's grammar, dates by the calendar, all else is text."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.columns import Column, ColumnType, join
from service.formats.kinds import Cells, kind_of_cell, kind_of_cells, kind_of_string

INTEGERS = ["0", "-0", "7", "-12", "123456789012345678901234567890", "9" * 5000]
NUMBERS = ["1.0", "-0.5", "1e5", "1E+400", "2e-3", "0.10", "50.775000"]
DATES = ["2024-02-29", "0001-01-01", "9999-12-31"]
TIMESTAMPS = [
    "2024-02-29T23:59:59Z",
    "2024-02-29 00:00:00",
    "2024-02-29T00:00:00.123456789",
    "2024-02-29T00:00:00+05:30",
]
STRINGS = [
    "007",
    "+1",
    "1_000",
    "1,000",
    "Infinity",
    "NaN",
    "0x1f",
    ".5",
    "5.",
    "1e",
    "--1",
    "1-2",
    " 1",
    "1\n",
    "1]",
    "[1",
    "٣",
    "True",
    "TRUE",
    "null",
    "2023-02-29",
    "0000-01-01",
    "2024-W09-4",
    "2024-2-29",
    "٢٠٢٤-02-28",
    "2024-02-29T24:00:00Z",
    "2024-02-29T23:59:60Z",
    "2024-02-29T23:59Z",
    "2024-02-29t23:59:59z",
    "2023-02-29T00:00:00Z",
    "2024-02-29T00:00:00+24:00",
    " ",
    "-",
    "é",
]
EXAMPLES = (
    [(text, ColumnType.INTEGER) for text in INTEGERS]
    + [(text, ColumnType.NUMBER) for text in NUMBERS]
    + [(text, ColumnType.BOOLEAN) for text in ("true", "false")]
    + [(text, ColumnType.DATE) for text in DATES]
    + [(text, ColumnType.TIMESTAMP) for text in TIMESTAMPS]
    + [(text, ColumnType.STRING) for text in STRINGS]
    + [("", ColumnType.EMPTY)]
)
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


@pytest.mark.parametrize(("text", "kind"), EXAMPLES)
def test_a_cell_has_the_type_that_its_text_says(text: str, kind: ColumnType) -> None:
    """`007`, `+1`, `1_000`, `Infinity` and days that do not exist are text; JSON's numbers are numbers."""
    assert kind_of_cell(text) is kind
    assert kind_of_cells([text]) is kind
    assert kind_of_cells(["", text, text]) is kind


@pytest.mark.parametrize(("text", "kind"), EXAMPLES)
def test_a_json_string_is_a_date_a_timestamp_or_a_string(text: str, kind: ColumnType) -> None:
    """JSON has numbers and booleans of its own, so that a string is never one."""
    expected = kind if kind in {ColumnType.DATE, ColumnType.TIMESTAMP} else ColumnType.STRING
    assert kind_of_string(text) is expected


cells = st.sampled_from([text for text, _ in EXAMPLES]) | st.text(alphabet="0123456789+-.eE,[] ", max_size=6)


@given(st.lists(cells, max_size=6))
def test_a_column_has_the_join_of_the_types_of_its_cells(texts: Sequence[str]) -> None:
    """Judging a column at once says what judging cell by cell does."""
    expected = ColumnType.EMPTY
    for text in texts:
        expected = join(expected, kind_of_cell(text), textual=True)
    assert kind_of_cells(texts) is expected
    assert Cells([[text] for text in texts], 0).kinds(Column("a")) == ((expected, True),)


@given(st.text(alphabet="0123456789+-.eE", max_size=8))
def test_numbers_are_those_of_json(text: str) -> None:
    """A text is a number exactly if it matches the grammar of RFC 8259, section 6."""
    kinds = {ColumnType.INTEGER, ColumnType.NUMBER}
    assert (kind_of_cells([text]) in kinds) is (NUMBER.fullmatch(text) is not None)
