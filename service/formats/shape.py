"""From canonical records to what a client sees: other columns, types applied, fewer fields.

Typing changes quotes, never a token: `"50.775000"` becomes `50.775000`. Records go through it by the
hundred, column by column, so that the work per value is done in C.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, groupby
from typing import TypeAlias

import msgspec

from service.domain.columns import Column, ColumnType

Tokens: TypeAlias = Sequence[bytes | msgspec.Raw]
Passage: TypeAlias = Callable[[Tokens], Tokens]
Route: TypeAlias = tuple[str, int | None, Passage | None]
"""A member on its way: its name, which of the record's members it is (None: none), what is done to values."""

Lens: TypeAlias = Callable[[tuple[str, ...]], Sequence[Route]]
"""Leads a record that has members of these names; `service.lenses.view.View` gives such lenses."""

# More records than this at a time no longer fit a processor's cache, and go slower.
_CHUNK_RECORDS = 200

_MAX_WAYS = 1000
"""Different sets of members for which the way is remembered."""

_members = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_string = msgspec.json.Decoder(str)
_NULL = msgspec.Raw(b"null")
_UNQUOTED = frozenset({ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.BOOLEAN})


class Shape:
    """Turns canonical records into what a client sees, any number at a time."""

    def __init__(self, typings: dict[str, Passage], fields: Sequence[str] | None, lens: Lens | None) -> None:
        self._typings = typings
        self._fields = None if fields is None else tuple(fields)
        self._lens = lens
        self._ways: dict[tuple[str, ...], _Way] = {}

    def __call__(self, records: Sequence[bytes]) -> list[bytes]:
        """Return the records as they are seen; the order of members stays, or is that of the fields."""
        starts = range(0, len(records), _CHUNK_RECORDS)
        chunks = (self._shaped(records[start : start + _CHUNK_RECORDS]) for start in starts)
        return list(chain.from_iterable(chunks))

    def _shaped(self, records: Sequence[bytes]) -> list[bytes]:
        rows = _members.decode(b"[%b]" % b",".join(records))
        shaped: list[bytes] = []
        for names, alike in groupby(rows, key=tuple):
            shaped += _led(self._way(names), [tuple(row.values()) for row in alike])
        return shaped

    def _way(self, names: tuple[str, ...]) -> _Way:
        way = self._ways.get(names)
        if way is None:
            if len(self._ways) >= _MAX_WAYS:
                self._ways.clear()
            way = self._ways[names] = self._found_way(names)
        return way

    def _found_way(self, names: tuple[str, ...]) -> _Way:
        routes: Sequence[Route] = [(name, at, None) for at, name in enumerate(names)]
        if self._lens is not None:
            routes = self._lens(names)
        if self._fields is not None:
            by_name = {route[0]: route for route in routes}
            routes = [by_name[name] for name in dict.fromkeys(self._fields) if name in by_name]
        way = []
        for place, (name, at, passage) in enumerate(routes):
            before = (b"," if place else b"{") + msgspec.json.encode(name) + b":"
            passages = [each for each in (passage, self._typings.get(name)) if each is not None]
            way.append((before, at, passages))
        return way


_Way: TypeAlias = Sequence[tuple[bytes, int | None, Sequence[Passage]]]
"""For each member that goes out: what stands before its value, where that comes from, what is done to it."""


def _led(way: _Way, rows: Sequence[Tokens]) -> list[bytes]:
    """Return records of which each has the same members, given as rows of values."""
    count = len(rows)
    if not way:
        return [b"{}"] * count
    # One flat list of what stands in each record, `{"name":`, value, `,"id":`, value, `}`: one join.
    width = 2 * len(way) + 1
    parts: list[bytes | msgspec.Raw] = [b"}\n"] * (width * count)
    columns: list[Tokens] = list(zip(*rows, strict=True))
    for place, (before, at, passages) in enumerate(way):
        values: Tokens = [_NULL] * count if at is None else columns[at]
        for passage in passages:
            values = passage(values)
        parts[2 * place :: width] = [before] * count
        parts[2 * place + 1 :: width] = values
    return b"".join(parts).split(b"\n")[:-1]


def compile_shape(
    columns: Sequence[Column],
    *,
    typed: bool,
    fields: Sequence[str] | None = None,
    lens: Lens | None = None,
) -> Shape | None:
    """Return what turns canonical records into what a client sees; None where that is the same bytes.

    `lens` leads a record's members to those of the client's view, whose `columns` these are. `typed` applies
    their types: a cell of an integer, number or boolean column loses its quotes, `""` becomes null in a
    textual column; dates stay strings. `fields` are the members wanted, in this order.
    """
    typings = {column.name: _typing(column) for column in columns if typed and column.textual}
    if not typings and fields is None and lens is None:
        return None
    return Shape(typings, fields, lens)


def _typing(column: Column) -> Passage:
    if column.type in _UNQUOTED:
        return _unquoted
    return _text if column.type is ColumnType.STRING else _nulled


def _unquoted(values: Tokens) -> Tokens:
    """Return cells as tokens: without quotes, empty ones null."""
    joined = b"\n".join(values)
    if b"\\" in joined:
        # A client may spell a digit as an escape.
        return [_string_unquoted(token) for token in joined.split(b"\n")]
    return joined.replace(b'""', b"null").replace(b'"', b"").split(b"\n")


def _string_unquoted(token: bytes) -> bytes:
    return (_string.decode(token).encode() or b"null") if token[:1] == b'"' else token


def _nulled(values: Tokens) -> Tokens:
    """Return cells as strings, empty ones null."""
    joined = b"\n".join(values)
    # Quotes side by side are an empty string, or an escaped quote at the end of another.
    if b'""' not in joined:
        return values
    return [b"null" if token == b'""' else token for token in joined.split(b"\n")]


def _text(values: Tokens) -> Tokens:
    """Return cells as strings, empty ones null, and as text what is no string.

    A number in a column that was numeric when it came and has widened since.
    """
    joined = b"\n".join(values)
    if joined.count(b'"\n"') == len(values) - 1 and joined[:1] == joined[-1:] == b'"':
        return _nulled(values)
    return [
        token if token[:1] == b'"' or token == b"null" else b'"%b"' % token
        for token in map(bytes, _nulled(values))
    ]
