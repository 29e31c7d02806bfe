"""Steps value by value: what a client sees, what is stored, what is refused."""

from __future__ import annotations

import pytest

from service.domain.columns import Column, ColumnType
from service.formats.fitting import fits
from service.lenses.steps import Cast, Default, Map, Unfit

T = ColumnType
TEXTUAL = Column("a", T.STRING, textual=True)


@pytest.mark.parametrize(
    ("before", "to", "stored", "seen"),
    [
        (TEXTUAL, T.INTEGER, b'"5"', b'"5"'),
        (TEXTUAL, T.INTEGER, b'"007"', b'""'),
        (TEXTUAL, T.INTEGER, b'""', b'""'),
        (TEXTUAL, T.NUMBER, b'"1e5"', b'"1e5"'),
        (Column("a", T.STRING), T.INTEGER, b'"5"', b"5"),
        (Column("a", T.STRING), T.INTEGER, rb'"\u0035"', b"5"),
        (Column("a", T.STRING), T.INTEGER, b'""', b"null"),
        (Column("a", T.STRING), T.BOOLEAN, b'"true"', b"true"),
        (Column("a", T.NUMBER), T.STRING, b"50.775000", b'"50.775000"'),
        (Column("a", T.NUMBER), T.INTEGER, b"1.0", b"null"),
        (Column("a", T.JSON), T.STRING, b"[1]", b"null"),
        (Column("a", T.JSON), T.STRING, b"null", b"null"),
    ],
)
def test_a_cast_keeps_digits_or_sees_nothing(
    before: Column, to: ColumnType, stored: bytes, seen: bytes
) -> None:
    """A value of the other type is seen to its last digit, any other as none."""
    assert Cast(before, to, fits).get(stored) == seen


@pytest.mark.parametrize(
    ("before", "to", "written", "stored"),
    [
        (TEXTUAL, T.INTEGER, b"5", b'"5"'),
        (TEXTUAL, T.INTEGER, b'""', b'""'),
        (Column("a", T.INTEGER), T.STRING, b'"5"', b"5"),
        (Column("a", T.STRING), T.INTEGER, b'""', b"null"),
        (Column("a", T.DATE), T.STRING, b'"2024-02-29"', b'"2024-02-29"'),
        (Column("a", T.JSON), T.STRING, b'"x"', b'"x"'),
        (Column("a", T.EMPTY), T.INTEGER, b"5", b"5"),
    ],
)
def test_a_cast_is_undone_where_it_can_be(
    before: Column, to: ColumnType, written: bytes, stored: bytes
) -> None:
    """What is written is stored as a value of the type before."""
    assert Cast(before, to, fits).put(written) == stored


@pytest.mark.parametrize(
    ("before", "to", "written"),
    [
        (TEXTUAL, T.INTEGER, b'"x"'),
        (Column("a", T.INTEGER), T.STRING, b'"x"'),
        (Column("a", T.INTEGER), T.STRING, b'""'),
        (Column("a", T.INTEGER), T.NUMBER, b"1.5"),
        (Column("a", T.DATE), T.STRING, b'"2024-02-30"'),
        (TEXTUAL, T.STRING, b"[1]"),
    ],
)
def test_a_value_without_a_place_is_refused(before: Column, to: ColumnType, written: bytes) -> None:
    """What is none of one of the two types cannot be stored."""
    with pytest.raises(Unfit):
        Cast(before, to, fits).put(written)


def test_a_map_goes_both_ways() -> None:
    """Named texts are replaced, also where they are spelled with escapes or as numbers; others stay."""
    step = Map({"A": "B", "5": "five"})
    assert [step.get(token) for token in (b'"A"', rb'"\u0041"', b"5", b'"x"', b"null", b"[1]")] == [
        b'"B"', b'"B"', b'"five"', b'"x"', b"null", b"[1]",
    ]  # fmt: skip
    assert [step.put(token) for token in (b'"B"', b'"five"', b'"x"', b"null")] == [
        b'"A"',
        b'"5"',
        b'"x"',
        b"null",
    ]
    with pytest.raises(Unfit):
        step.put(b'"A"')
    assert [step.loses(token) for token in (b'"B"', b'"A"', b'"x"', b"null")] == [True, False, False, False]
    assert Map({"a": "z", "b": "z"}).put(b'"z"') == b'"a"'
    assert not Map({"a": "b", "b": "a"}).loses(b'"b"')


def test_a_default_stands_where_nothing_is() -> None:
    """Null, and an empty cell of a textual column, show the default."""
    assert [Default(5, textual=True).get(token) for token in (b"null", b'""', b'"7"')] == [b"5", b"5", b'"7"']
    assert Default("x", textual=False).get(b'""') == b'""'
    assert Default(None, textual=False).put(b"7") == b"7"
