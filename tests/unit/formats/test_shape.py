"""Typing changes quotes and never a value; what needs no change goes out as it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.columns import Column, ColumnType
from service.formats.fitting import canonical
from service.formats.shape import Route, Shape, compile_shape
from tests.unit.formats.files import read

T = ColumnType


def shape(*columns: Column, **options: Any) -> Shape:
    """Return the compiled shape of a view that is not the records themselves."""
    compiled = compile_shape(columns, typed=options.pop("typed", True), **options)
    assert compiled is not None
    return compiled


def straight(names: tuple[str, ...]) -> Sequence[Route]:
    """Lead all members to themselves."""
    return [(name, at, None) for at, name in enumerate(names)]


def typed(type_: ColumnType, *tokens: bytes) -> list[bytes]:
    """Return values of a textual column as a typed record has them."""
    records = shape(Column("a", type_, textual=True))([b'{"a":%b}' % token for token in tokens])
    return [record[5:-1] for record in records]


def test_without_a_change_there_is_nothing_to_do() -> None:
    """Untyped records, and typed ones of columns that came as JSON, go out verbatim."""
    cells = [Column("a", T.INTEGER, textual=True)]
    assert compile_shape(cells, typed=False) is None
    assert compile_shape([Column("a", T.INTEGER), Column("b", T.JSON)], typed=True) is None
    assert compile_shape([], typed=True) is None
    assert compile_shape(cells, typed=True) is not None
    assert compile_shape(cells, typed=False, fields=["a"]) is not None
    assert compile_shape(cells, typed=False, lens=straight) is not None


@pytest.mark.parametrize(
    ("type_", "cell", "token"),
    [
        (T.INTEGER, b'"5"', b"5"),
        (T.INTEGER, b'"-0"', b"-0"),
        (T.INTEGER, b'"123456789012345678901234567890"', b"123456789012345678901234567890"),
        (T.INTEGER, b'""', b"null"),
        (T.INTEGER, b"null", b"null"),
        (T.INTEGER, b"7", b"7"),
        (T.INTEGER, rb'"\u0035"', b"5"),
        (T.NUMBER, b'"50.775000"', b"50.775000"),
        (T.NUMBER, b'"1e400"', b"1e400"),
        (T.NUMBER, b'"5"', b"5"),
        (T.BOOLEAN, b'"true"', b"true"),
        (T.BOOLEAN, b"false", b"false"),
        (T.DATE, b'"2024-02-29"', b'"2024-02-29"'),
        (T.DATE, b'""', b"null"),
        (T.TIMESTAMP, b'"2024-02-29T10:00:00Z"', b'"2024-02-29T10:00:00Z"'),
        (T.STRING, b'"5"', b'"5"'),
        (T.STRING, b'""', b"null"),
        (T.STRING, b"null", b"null"),
        (T.STRING, rb'"a\""', rb'"a\""'),
        (T.STRING, rb'"\"\""', rb'"\"\""'),
        (T.STRING, b"5", b'"5"'),
        (T.STRING, b"true", b'"true"'),
        (T.EMPTY, b'""', b"null"),
        (T.JSON, b'""', b"null"),
        (T.JSON, b"5", b"5"),
        (T.JSON, b'"5"', b'"5"'),
        (T.JSON, b'[1,""]', b'[1,""]'),
    ],
)
def test_a_cell_becomes_its_value(type_: ColumnType, cell: bytes, token: bytes) -> None:
    """Numbers and booleans lose their quotes and keep each digit; an empty cell is null; text stays."""
    assert typed(type_, cell) == [token]
    assert typed(type_, b'""', cell, b'""', b'""', cell) == [b"null", token, b"null", b"null", token]


def test_other_columns_and_the_order_stay() -> None:
    """Members keep their order, and those of columns that came as JSON keep their bytes."""
    shaped = shape(Column("a", T.INTEGER, textual=True), Column("b", T.STRING), Column("c", T.JSON))
    record = b'{"c":{"a":"1","x":""},"unknown":"","b":"","a":"1"}'
    assert shaped([record]) == [b'{"c":{"a":"1","x":""},"unknown":"","b":"","a":1}']


def test_records_may_differ_in_their_members() -> None:
    """Records are shaped each with the members that it has."""
    shaped = shape(Column("a", T.INTEGER, textual=True), Column("mass (g)", T.NUMBER, textual=True))
    records = [b'{"a":"1","mass (g)":"2"}', b'{"mass (g)":"2","a":"1"}', b'{"a":"1"}', b"{}", b'{"a":"2"}']
    assert shaped(records) == [
        b'{"a":1,"mass (g)":2}',
        b'{"mass (g)":2,"a":1}',
        b'{"a":1}',
        b"{}",
        b'{"a":2}',
    ]
    assert shaped([]) == []


def test_names_are_escaped_as_json_needs() -> None:
    """A name with a quote or a newline comes out as the JSON it went in as."""
    shaped = shape(Column('a "b"\n', T.INTEGER, textual=True))
    assert shaped([rb'{"a \"b\"\n":"1"}']) == [rb'{"a \"b\"\n":1}']


def test_fields_are_chosen_in_their_order() -> None:
    """Only the fields asked for come, in the order asked for, and none that a record lacks."""
    columns = [Column("a", T.INTEGER, textual=True), Column("b", T.STRING, textual=True)]
    records = [b'{"a":"1","b":"x","c":"y"}', b'{"a":"2"}', b"{}"]
    assert shape(*columns, fields=["b", "a"])(records) == [b'{"b":"x","a":1}', b'{"a":2}', b"{}"]
    assert shape(*columns, fields=["b", "a", "b"], typed=False)(records[:1]) == [b'{"b":"x","a":"1"}']


def test_a_lens_comes_before_types_and_fields() -> None:
    """The columns are those of the view: a renamed member is typed and chosen by its new name."""

    def renamed(names: tuple[str, ...]) -> Sequence[Route]:
        return [("mass" if name == "m" else name, at, None) for at, name in enumerate(names)]

    shaped = shape(Column("mass", T.NUMBER, textual=True), lens=renamed, fields=["mass"])
    assert shaped([b'{"m":"1.50","x":"y"}']) == [b'{"mass":1.50}']


def test_a_lens_leads_members_to_others() -> None:
    """A lens moves members, does something to their values, leaves some out and adds others."""

    def lens(names: tuple[str, ...]) -> Sequence[Route]:
        return [("new", None, lambda values: [b"7"] * len(values)), ("none", None, None)] + [
            (name, at, lambda values: [b"-%b" % value for value in values])
            for at, name in enumerate(names)
            if name != "hidden"
        ]

    shaped = shape(lens=lens, typed=False)
    records = [b'{"hidden":1,"a":2}', b'{"a":3,"b":4}', b"{}"]
    assert shaped(records) == [
        b'{"new":7,"none":null,"a":-2}',
        b'{"new":7,"none":null,"a":-3,"b":-4}',
        b'{"new":7,"none":null}',
    ]


def test_ways_are_forgotten_when_there_are_many() -> None:
    """Records of any number of different members are shaped, without all their names being kept."""
    shaped = shape(lens=straight, typed=False)
    records = [b'{"a%d":1}' % i for i in range(2500)]
    assert shaped(records) == records


def test_many_records_are_shaped_like_one() -> None:
    """However many records go through at once, each comes out as it would alone."""
    shaped = shape(Column("a", T.INTEGER, textual=True))
    records = [b'{"a":"%d"}' % i if i % 7 else b'{"b":""}' for i in range(1000)]
    assert shaped(records) == [shaped([record])[0] for record in records]


cells = st.sampled_from(
    ["", "0", "-1", "1.50", "1e5", "true", "false", "2024-02-29", 'a"b', "\\", "\n", "null"]
)
rows = st.lists(st.tuples(cells | st.text(max_size=5), cells, st.sampled_from(["", "1", "2.0"])), max_size=8)


@given(rows)
def test_typing_never_changes_a_value(table: Sequence[tuple[str, str, str]]) -> None:
    """A typed value is the number, boolean or text that its cell says, to the last digit; empty is null."""
    header = b'"a ""x""",b,c\n'
    escaped = [[f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row] for row in table]
    found = read(header + "\n".join(map(",".join, escaped)).encode()) if _is_text(table) else None
    if found is None:
        return
    compiled = shape(*found.reader.columns)
    types = list(found.types.values())
    for record, row in zip(compiled(found.records), table, strict=True):
        values = json.loads(record, parse_int=Decimal, parse_float=Decimal).values()
        for value, cell, type_ in zip(values, row, types, strict=True):
            if not cell:
                assert value is None
            elif type_ in {"integer", "number"}:
                assert (value, str(value)) == (Decimal(cell), str(Decimal(cell)))
            elif type_ == "boolean":
                assert json.dumps(value) == cell
            else:
                assert value == cell


def _is_text(table: Sequence[tuple[str, str, str]]) -> bool:
    return not any("\0" in cell for row in table for cell in row)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "ü"]), values), max_size=5))
def test_choosing_all_fields_gives_the_same_tokens(documents: Sequence[dict[str, Any]]) -> None:
    """Without types, taking records apart and putting them together again changes no byte."""
    records = [canonical(json.dumps(document).encode()) for document in documents]
    names = sorted({name for document in documents for name in document})
    shaped = shape(lens=straight, typed=False)
    assert [json.loads(record) for record in shaped(records)] == list(documents)
    chosen = shape(typed=False, fields=names)
    assert [json.loads(record) for record in chosen(records)] == list(documents)
