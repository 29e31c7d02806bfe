"""Random datasets, changes and rows for the laws of lenses."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import strategies as st

from service.domain.columns import Column, ColumnType
from service.domain.datasets import Schema
from service.domain.errors import InvalidChange
from service.formats.fitting import fits
from service.formats.shape import compile_shape
from service.lenses.change import draft_of, read_change
from service.lenses.view import View

T = ColumnType
Members = dict[str, Any]

NAMES = ["a", "b", "mass (g)", 'q"', "x/y~z"]
FRESH = ["n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8"]
WORDS = [
    "",
    "x",
    "y",
    "5",
    "-0",
    "007",
    "1.50",
    "2e6",
    "true",
    "TRUE",
    "null",
    "é",
    'q"',
    "a\\b",
    "2024-02-29",
]

_scalars: dict[ColumnType, st.SearchStrategy[Any]] = {
    T.INTEGER: st.integers(-(10**20), 10**20),
    T.NUMBER: st.integers(-9, 9) | st.sampled_from([0.5, -1.25, 2e300]),
    T.BOOLEAN: st.booleans(),
    T.DATE: st.sampled_from(["2024-02-29", "1880-01-01"]),
    T.TIMESTAMP: st.sampled_from(["2024-02-29T10:00:00Z", "2024-02-29 10:00:00.5"]),
    T.STRING: st.sampled_from(WORDS) | st.text(max_size=3),
    T.JSON: st.sampled_from([[1, ""], {"a": None}, 5, "5", True]),
    T.EMPTY: st.none(),
}


def values(column: Column) -> st.SearchStrategy[Any]:
    """Values that fit a column, as a JSON client may write them: of a textual column also as cells."""
    typed = st.none() | _scalars[column.type]
    if not column.textual:
        return typed
    return typed | typed.map(lambda value: "" if value is None else _cell(value))


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


columns = st.lists(
    st.builds(Column, st.sampled_from(NAMES), st.sampled_from(list(T)), st.booleans()),
    min_size=1,
    max_size=4,
    unique_by=lambda column: column.name,
)


def rows(shown: tuple[Column, ...], always: frozenset[str] = frozenset()) -> st.SearchStrategy[bytes]:
    """Draw records of such columns, of which those of `always` have a value and others may lack."""
    present = {column.name: _present(column) for column in shown if column.name in always}
    optional = {column.name: values(column) for column in shown if column.name not in always}
    return st.fixed_dictionaries(present, optional=optional).map(msgspec.json.encode)


def _present(column: Column) -> st.SearchStrategy[Any]:
    if column.type is T.EMPTY:
        return st.none()
    return _scalars[column.type].filter(lambda value: value != "")


_any_name = st.sampled_from(NAMES + FRESH)
_BY_KIND: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "rename": st.fixed_dictionaries(
        {"op": st.just("rename"), "from": _any_name, "to": st.sampled_from(FRESH)}
    ),
    "hide": st.fixed_dictionaries({"op": st.just("hide"), "column": _any_name}),
    "add": st.fixed_dictionaries(
        {
            "op": st.just("add"),
            "column": st.sampled_from(FRESH),
            "value": st.sampled_from([None, True, -3, 1.5, "x", "5", "2024-02-29"]),
        }
    ),
    "cast": st.fixed_dictionaries(
        {
            "op": st.just("cast"),
            "column": _any_name,
            "to": st.sampled_from(["integer", "number", "boolean", "string"]),
            "lossy": st.just(True),
        }
    ),
    "map": st.fixed_dictionaries(
        {
            "op": st.just("map"),
            "column": _any_name,
            "values": st.dictionaries(
                st.sampled_from(WORDS[1:]), st.sampled_from(WORDS[1:]), min_size=1, max_size=4
            ),
            "lossy": st.just(True),
        }
    ),
}


@st.composite
def views(draw: st.DrawFn, kind: str | None = None) -> tuple[Schema, View, list[dict[str, Any]]]:
    """Draw a dataset, a view of it behind some changes, and the operations of these that could be.

    `kind`: of that operation only.
    """
    stored = draw(columns)
    wanted = st.one_of(*_BY_KIND.values()) if kind is None else _BY_KIND[kind]
    drawn = draw(st.lists(wanted, min_size=1, max_size=1 if kind else 8))
    if kind is not None and "column" in drawn[0] and kind != "add":
        drawn[0] = {**drawn[0], "column": stored[0].name}
    if kind == "rename":
        drawn[0] = {**drawn[0], "from": stored[0].name}
    draft = draft_of(stored, (), key=None, fits=fits)
    made: list[dict[str, Any]] = []
    for operation in drawn:
        document = {"date": "2027-01-01", "description": "x", "operations": [operation]}
        try:
            read_change(document).apply(draft, strict=True)
        except InvalidChange:
            continue
        made.append(operation)
    document = {"date": "2027-01-01", "description": "x", "operations": made}
    changes = (document,) if made else ()
    schema = Schema(tuple(draft.stored.values()), changes=changes)
    return schema, View.compile(schema, len(changes), fits), made


def seen(view: View, record: bytes) -> Members:
    """Return what a client gets to see, values typed, numbers as their digits."""
    shape = compile_shape(view.columns, typed=True, lens=view.lens)
    return decoded(record if shape is None else shape([record])[0])


def meant(view: View, record: bytes) -> Members:
    """Return what a client meant by a record that it wrote, in the same terms."""
    shape = compile_shape(view.columns, typed=True)
    return decoded(record if shape is None else shape([record])[0])


def decoded(record: bytes) -> Members:
    """Return a record's values, numbers as their digits."""
    members: Members = json.loads(record, parse_int=_Digits, parse_float=_Digits)
    return members


class _Digits(str):
    """A number as it is spelled, which is no text."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Digits) and str.__eq__(self, other)

    __hash__ = str.__hash__
