"""Records of nothing but cells are led out whole, and come out as column by column."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.columns import Column
from service.domain.columns import ColumnType as T
from service.formats.cells import Cells, Member
from service.formats.shape import Route, Shape, compile_shape

COLUMNS = (
    Column("name", T.STRING, textual=True),
    Column("mass (g)", T.NUMBER, textual=True),
    Column("é%s{}", T.DATE, textual=True),
    Column("id", T.INTEGER, textual=True),
)
NAMES = tuple(column.name for column in COLUMNS)

_texts = st.sampled_from(["", "x", ":,", "},{", "null", 'a"b', "\\", "\n", "ü", "🌍"]) | st.text(max_size=4)
_tables = st.lists(st.tuples(_texts, st.sampled_from(["", "1.50"]), _texts, st.sampled_from(["", "-7"])))


def swapped(names: tuple[str, ...]) -> Sequence[Route]:
    """Lead the first member behind the others, under another name, and the second nowhere."""
    routes: list[Route] = [(name, at, None) for at, name in enumerate(names) if at > 1]
    return [*routes, (f"new {names[0]}", 0, None)] if names else []


def shape(lens: bool) -> Shape:
    """Return what types cells, of a view or of the columns as they stand."""
    columns = (*COLUMNS[2:], Column("new name", T.STRING, textual=True)) if lens else COLUMNS
    compiled = compile_shape(columns, typed=True, lens=swapped if lens else None)
    assert compiled is not None
    return compiled


@given(_tables, st.booleans())
def test_whoever_knows_the_members_gives_the_same_bytes(table: list[tuple[str, ...]], lens: bool) -> None:
    """Whatever the cells hold, a shape that has learned their names leads them as one that has not."""
    records = [msgspec.json.encode(dict(zip(NAMES, row, strict=True))) for row in table]
    usual = msgspec.json.encode(dict.fromkeys(NAMES, "1"))
    learned = shape(lens)
    for _ in range(3):
        learned([usual])
    expected = [shape(lens)([record])[0] for record in records]
    assert learned(records) == expected
    assert learned.joined(records) == b",".join(expected)


def cells(*names: str) -> Cells:
    """Return what leads out members of these names, the first as a string."""
    return Cells(names, [Member(name, at, quoted=not at) for at, name in enumerate(names)])


def test_an_empty_cell_is_null_and_a_number_has_no_quotes() -> None:
    """In records apart and joined."""
    records = [b'{"a":"x","b":"5"}', b'{"a":"","b":""}']
    expected = [b'{"a":"x","b":5}', b'{"a":null,"b":null}']
    assert cells("a", "b").records(records) == expected
    assert cells("a", "b").joined(records) == b",".join(expected)
    assert Cells(("a",), [Member("z", 0, quoted=False)]).records([b'{"a":""}']) == [b'{"z":null}']


@pytest.mark.parametrize(
    "record",
    [
        b'{"b":"5","a":"x"}',
        b'{"a":"x"}',
        b'{"a":"x","b":"5","c":"y"}',
        b'{"a":"x","b":5}',
        b'{"a":null,"b":"5"}',
        b'{"a": "x","b":"5"}',
        rb'{"a":"\u0078","b":"5"}',
        rb'{"a":"\"","b":"5"}',
    ],
)
def test_what_is_not_all_cells_is_left_to_others(record: bytes) -> None:
    """Other members or another order, values that are no strings, spaces between them, and escapes."""
    both = [b'{"a":"x","b":"5"}', record]
    assert cells("a", "b").records(both) is None
    assert cells("a", "b").joined(both) is None


@pytest.mark.parametrize("names", [(), ("",), ("a", "")])
def test_names_that_look_like_an_empty_cell_are_refused(names: tuple[str, ...]) -> None:
    """As are none at all, and, in what goes out, a name that ends in a quote."""
    with pytest.raises(ValueError, match="name"):
        cells(*names)
    with pytest.raises(ValueError, match="empty cell"):
        Cells(("a",), [Member('a"', 0, quoted=True)])
