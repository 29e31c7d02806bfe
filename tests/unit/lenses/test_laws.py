"""The laws of lenses, for each operation and for random chains of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.columns import Column, ColumnType
from service.domain.datasets import Schema
from service.domain.errors import TypeMismatch
from service.formats.fitting import fits
from service.formats.shape import compile_shape
from service.lenses.tokens import EMPTY_CELL, NULL, cast, text_of
from service.lenses.view import View

from .cases import decoded, meant, rows, seen, views

KINDS = ["rename", "hide", "add", "cast", "map", None]
pytestmark = pytest.mark.timeout(3600)  # the nightly run is twenty times as long
laws = settings(max_examples=max(500, settings.default.max_examples))


@pytest.mark.parametrize("kind", KINDS)
def test_writing_back_what_was_read_changes_nothing(kind: str | None) -> None:
    """Get-put: the record that a client reads, typed or not, and puts back is stored to the byte as it was."""

    @laws
    @given(st.data())
    def law(data: st.DataObject) -> None:
        schema, view, _ = data.draw(views(kind))
        stored = data.draw(rows(schema.columns))
        for typed in (False, True):
            shape = compile_shape(view.columns, typed=typed, lens=view.lens)
            shown = stored if shape is None else shape([stored])[0]
            assert view.put(shown, stored) == _respelled(view, shown, stored)

    law()


def _respelled(view: View, shown: bytes, stored: bytes) -> bytes:
    """Return the record, with such values of columns without steps as the client has spelled them (`5` for `"5"`)."""
    members = msgspec.json.decode(stored, type=dict[str, msgspec.Raw])
    written = msgspec.json.decode(shown, type=dict[str, msgspec.Raw])
    for each in view.seen:
        if not each.steps and each.stored in members:
            members[each.stored] = written[each.name]
    return msgspec.json.encode(members)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_written_is_what_is_read(kind: str | None) -> None:
    """Put-get: what a client puts, and is not refused, it reads; what it does not see stays as it was."""

    @laws
    @given(st.data())
    def law(data: st.DataObject) -> None:
        schema, view, _ = data.draw(views(kind))
        stored = data.draw(rows(schema.columns))
        always = frozenset(each.name for each in view.seen if each.defaulted)
        written = data.draw(rows(view.columns, always))
        try:
            after = view.put(written, stored)
        except TypeMismatch:
            return
        assert seen(view, after) == meant(view, written)
        hidden = {column.name for column in schema.columns} - {each.stored for each in view.seen}
        for name in hidden:
            assert decoded(after).get(name, ...) == decoded(stored).get(name, ...)

    law()


@laws
@given(st.data())
def test_new_records_are_read_as_they_were_written(data: st.DataObject) -> None:
    """Put-get holds for appended records, many at once, too."""
    _, view, _ = data.draw(views())
    always = frozenset(each.name for each in view.seen if each.defaulted)
    written = data.draw(st.lists(rows(view.columns, always), max_size=3))
    shape = compile_shape((), typed=False, lens=view.inward)
    assert shape is not None
    try:
        stored = shape(written)
    except TypeMismatch:
        return
    assert [seen(view, record) for record in stored] == [meant(view, record) for record in written]


@laws
@given(st.data())
def test_the_composed_view_is_one_operation_after_the_other(data: st.DataObject) -> None:
    """Leading a record through the view gives what the operations give, applied to it in their order."""
    schema, view, operations = data.draw(views())
    stored = data.draw(rows(schema.columns))
    shape = compile_shape(view.columns, typed=False, lens=view.lens)
    shown = stored if shape is None else shape([stored])[0]
    assert decoded(shown) == decoded(msgspec.json.encode(_applied(schema, operations, stored)))


def _applied(schema: Schema, operations: list[dict[str, Any]], record: bytes) -> dict[str, msgspec.Raw]:
    """Apply operations to a record in the plainest way."""
    added = {each["column"] for each in operations if each["op"] == "add"}
    raw = msgspec.json.decode(record, type=dict[str, msgspec.Raw])
    kept = {name: bytes(value) for name, value in raw.items() if name in added}
    row = {name: bytes(value) for name, value in raw.items() if name not in added}
    columns = {column.name: column for column in schema.columns}
    for each in operations:
        name = each.get("column", each.get("from"))
        column = columns[name]
        if each["op"] == "rename":
            columns[each["to"]] = column
            row = {(each["to"] if key == name else key): value for key, value in row.items()}
        elif each["op"] == "hide":
            row.pop(name, None)
        elif each["op"] == "add":
            value = kept.get(name, NULL)
            nothing = value == NULL or (column.textual and value == EMPTY_CELL)
            row[name] = msgspec.json.encode(each["value"]) if nothing else value
            columns[name] = View.compile(
                Schema(
                    (column,), changes=({"date": "2027-01-01", "description": "x", "operations": [each]},)
                ),
                1,
                fits,
            ).columns[0]
        elif name in row:
            to = ColumnType(each.get("to", "string"))
            if each["op"] == "cast" or column.type is not ColumnType.STRING:
                found = cast(row[name], to, textual=column.textual)
                row[name] = (EMPTY_CELL if column.textual else NULL) if found is None else found
            if each["op"] == "map":
                text = text_of(row[name])
                new = None if text is None else each["values"].get(text.decode())
                row[name] = row[name] if new is None else msgspec.json.encode(new)
        if each["op"] in {"cast", "map"}:
            columns[name] = Column(name, ColumnType(each.get("to", "string")), column.textual)
    return {name: msgspec.Raw(value) for name, value in row.items()}
