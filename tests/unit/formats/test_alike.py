"""What is learned of records changes how fast they are led, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.columns import Column, ColumnType
from service.domain.datasets import Schema
from service.formats.alike import MAX_MEMBERS, Reader, Renaming, Writer
from service.formats.fitting import fits
from service.formats.shape import compile_shape
from service.usecases.views import View
from tests.unit.lenses.cases import rows
from tests.unit.lenses.cases import views as lensed

COLUMNS = [Column(name, ColumnType.INTEGER, textual=True) for name in ("a", "mass (g)", "é", 'q"')]

_record = st.permutations(["a", "mass (g)", "é", 'q"']).flatmap(
    lambda names: st.lists(st.sampled_from(names), unique=True).map(
        lambda some: msgspec.json.encode({name: str(at) for at, name in enumerate(some)})
    )
)


@given(st.lists(_record, min_size=1, max_size=5), st.lists(_record, max_size=5))
def test_who_has_learned_leads_as_who_has_not(usual: list[bytes], records: list[bytes]) -> None:
    """Whatever came before, records of any members in any order come out the same, apart and joined."""
    for columns in (COLUMNS, COLUMNS[:2]):
        learned = compile_shape(columns, typed=True)
        assert learned is not None
        for _ in range(3):
            learned(usual[:1] * 3)
        for asked in (records, usual[:1] * 2, records + usual):
            fresh = compile_shape(columns, typed=True)
            assert fresh is not None
            expected = fresh(asked)
            assert learned(asked) == expected
            assert learned.joined(asked) == b",".join(expected)


@given(st.data())
def test_a_view_leads_as_its_lens_does(data: st.DataObject) -> None:
    """The shapes that a view keeps, asked again and again, give what its lens gives."""
    schema, lens_view, _ = data.draw(lensed())
    view = View.compile(schema, len(schema.changes), fits)
    for typed in (False, True):
        slow = compile_shape(lens_view.columns, typed=typed, lens=lens_view.lens)
        for _ in range(3):
            records = data.draw(st.lists(rows(schema.columns), max_size=4))
            shape = view.shape(typed=typed)
            shown = records if shape is None else shape(records)
            assert shown == (records if slow is None else slow(records))
            assert shape is None or shape.joined(records) == b",".join(shown)


def view_of(*operations: dict[str, Any], columns: str = "abc") -> View:
    """Return what is seen of JSON columns behind operations."""
    change = {"date": "2027-01-01", "description": "x", "operations": list(operations)}
    schema = Schema(tuple(Column(name, ColumnType.STRING) for name in columns), changes=(change,))
    return View.compile(schema, 1, fits)


def test_who_sees_a_change_sees_the_order_of_the_columns() -> None:
    """Renamed members stand where their columns do, hidden ones nowhere, and those that are absent stay absent."""
    view = view_of({"op": "rename", "from": "a", "to": "z"}, {"op": "hide", "column": "b"})
    shape = view.shape(typed=True)
    assert shape is not None
    records = [b'{"c":"1","b":"2","a":"3"}', b'{"c":"4"}', b"{}", rb'{"\u0061":"\u0035"}']
    expected = [b'{"z":"3","c":"1"}', b'{"c":"4"}', b"{}", rb'{"z":"\u0035"}']
    assert shape(records) == expected
    assert shape.joined(records) == b",".join(expected)
    assert (shape([]), shape.joined([])) == ([], b"")


def test_a_put_keeps_the_order_that_its_client_does_not_see() -> None:
    """What stood first in the store stays first; what is new stands behind."""
    view = view_of({"op": "rename", "from": "a", "to": "z"}, {"op": "hide", "column": "b"})
    stored = b'{"c":"1","b":"2","a":"3"}'
    assert view.put(b'{"z":"3","c":"1"}', stored) == stored
    assert view.put(b'{"z":"4","new":"5"}', stored) == b'{"b":"2","a":"4","new":"5"}'


@pytest.mark.parametrize("places", [(1,), (1, 0)])
def test_rows_are_written_by_their_places(places: tuple[int, ...]) -> None:
    """One place or many, apart and joined."""
    rows = Reader(("a", "b")).rows([b'{"a":1,"b":"x"}', b'{"a":2,"b":null}'])
    assert rows is not None
    writer = Writer(("z", "y")[: len(places)], places)
    expected = [b'{"z":"x","y":1}', b'{"z":null,"y":2}']
    if len(places) == 1:
        expected = [b'{"z":"x"}', b'{"z":null}']
    assert writer.records(rows) == expected
    assert writer.joined(rows) == b",".join(expected)


def test_all_may_be_hidden() -> None:
    """Then records are empty objects."""
    shape = view_of(*({"op": "hide", "column": name} for name in "abc")).shape(typed=True)
    assert shape is not None
    for _ in range(3):
        assert shape([b'{"a":"1"}', b"{}"]) == [b"{}", b"{}"]


@pytest.mark.parametrize("names", [(), tuple(map(str, range(MAX_MEMBERS + 1))), ('a"',), ("a\\",), ("a\n",)])
def test_names_that_no_type_has_are_refused(names: tuple[str, ...]) -> None:
    """None, too many, and those that JSON must escape; the records are then led one by one."""
    for refused in (lambda: Reader(names), lambda: Renaming(names, names), lambda: Writer(names, range(3))):
        with pytest.raises(ValueError, match="names"):
            refused()


def test_strange_names_are_led_all_the_same() -> None:
    """A quote in a name or a thousand columns make it slower, and not wrong."""
    many = [f"c{at}" for at in range(1000)]
    for names in (['a"', "b"], many):
        change = {
            "date": "2027-01-01",
            "description": "x",
            "operations": [{"op": "hide", "column": names[-1]}],
        }
        schema = Schema(tuple(Column(name, ColumnType.STRING) for name in names), changes=(change,))
        shape = View.compile(schema, 1, fits).shape(typed=True)
        assert shape is not None
        record = dict.fromkeys(names, "x")
        for _ in range(3):
            (shown,) = shape([msgspec.json.encode(record)])
            assert json.loads(shown) == dict.fromkeys(names[:-1], "x")
