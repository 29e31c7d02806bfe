"""From canonical records to what a client sees: other columns, types applied, fewer fields.

Typing changes quotes, never a token: `"50.775000"` becomes `50.775000`. Records go through it by the
hundred, column by column, so that the work per value is done in C.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, groupby
from typing import NamedTuple, TypeAlias

import msgspec

from service.domain.columns import Column, ColumnType
from service.formats.alike import Reader, Renaming, Writer

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
    """Turns canonical records into what a client sees, any number at a time.

    What it learns of members that all records have it keeps, so it is worth being kept.
    """

    def __init__(
        self,
        typings: dict[str, Passage],
        fields: Sequence[str] | None,
        lens: Lens | None,
        renaming: Renaming | None = None,
    ) -> None:
        self._typings = typings
        self._renaming = renaming
        self._fields = None if fields is None else tuple(fields)
        self._lens = lens
        self._met: tuple[str, ...] | None = None
        self._road: _Road | None = None

    def __call__(self, records: Sequence[bytes]) -> list[bytes]:
        """Return the records as they are seen; their members stay in order, or in that of lens and fields."""
        if self._renaming is not None:
            return self._renaming.records(records)
        ways: _Ways = {}
        return list(chain.from_iterable(self._shaped(part, ways) for part in _parts(records)))

    def joined(self, records: Sequence[bytes]) -> bytes:
        """Return the same with commas between them."""
        if self._renaming is not None:
            return self._renaming.joined(records)
        ways: _Ways = {}
        return b",".join(self._shaped_whole(part, ways) for part in _parts(records))

    def _shaped(self, records: Sequence[bytes], ways: _Ways) -> list[bytes]:
        road = self._road
        rows = None if road is None else road.reader.rows(records)
        if road is None or rows is None:
            return self._led_apart(records, ways)
        return _led(road.way, rows) if road.writer is None else road.writer.records(rows)

    def _shaped_whole(self, records: Sequence[bytes], ways: _Ways) -> bytes:
        road = self._road
        rows = None if road is None or road.writer is None else road.reader.rows(records)
        if road is None or road.writer is None or rows is None:
            return b",".join(self._shaped(records, ways))
        return road.writer.joined(rows)

    def _led_apart(self, records: Sequence[bytes], ways: _Ways) -> list[bytes]:
        """Lead records that may differ in their members."""
        shaped: list[bytes] = []
        for names, alike in groupby(_members.decode(b"[%b]" % b",".join(records)), key=tuple):
            way = ways.get(names)
            if way is None:
                if len(ways) >= _MAX_WAYS:
                    ways.clear()
                way = ways[names] = self._found_way(names)
            led = _led(way, [tuple(row.values()) for row in alike])
            if len(led) == len(records):
                self._learn(names, way)
            shaped += led
        return shaped

    def _learn(self, names: tuple[str, ...], way: _Way) -> None:
        """Keep the way of members that were met before: a second time there will be more."""
        if names == self._met:
            self._road = _Road.of(names, way)
        self._met = names

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
            way.append(_Step(name, before, at, passages))
        return way


class _Step(NamedTuple):
    """A member that goes out: its name, what stands before its value, where that comes from, what is done."""

    name: str
    before: bytes
    at: int | None
    passages: Sequence[Passage]


_Way: TypeAlias = Sequence[_Step]
_Ways: TypeAlias = dict[tuple[str, ...], _Way]


class _Road(NamedTuple):
    """The way of records that all have the same members; `writer` where nothing is done to values."""

    way: _Way
    reader: Reader
    writer: Writer | None

    @classmethod
    def of(cls, names: tuple[str, ...], way: _Way) -> _Road | None:
        """Return the road, if there is one for these names."""
        places = [step.at for step in way if step.at is not None and not step.passages]
        straight = len(places) == len(way)
        try:
            writer = Writer(tuple(step.name for step in way), places) if straight else None
            return cls(way, Reader(names), writer)
        except ValueError:
            return None


def _parts(records: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(records), _CHUNK_RECORDS):
        yield records[start : start + _CHUNK_RECORDS]


def _led(way: _Way, rows: Sequence[Tokens]) -> list[bytes]:
    """Return records of which each has the same members, given as rows of values."""
    count = len(rows)
    if not way:
        return [b"{}"] * count
    # One flat list of what stands in each record, `{"name":`, value, `,"id":`, value, `}`: one join.
    width = 2 * len(way) + 1
    parts: list[bytes | msgspec.Raw] = [b"}\n"] * (width * count)
    columns: list[Tokens] = list(zip(*rows, strict=True))
    for place, step in enumerate(way):
        values: Tokens = [_NULL] * count if step.at is None else columns[step.at]
        for passage in step.passages:
            values = passage(values)
        parts[2 * place :: width] = [step.before] * count
        parts[2 * place + 1 :: width] = values
    return b"".join(parts).split(b"\n")[:-1]


def compile_shape(
    columns: Sequence[Column],
    *,
    typed: bool,
    fields: Sequence[str] | None = None,
    lens: Lens | None = None,
    renamed: Sequence[str] | None = None,
) -> Shape | None:
    """Return what turns canonical records into what a client sees; None where that is the same bytes.

    `lens` leads a record's members to those of the client's view, whose `columns` these are; where it only
    renames and hides, and shows the members in the order of the columns, `renamed` says how each of these is
    called in the records. `typed` applies
    their types: a cell of an integer, number or boolean column loses its quotes, `""` becomes null in a
    textual column; dates stay strings. `fields` are the members wanted, in this order.
    """
    typings = {column.name: _typing(column) for column in columns if typed and column.textual}
    if not typings and fields is None and lens is None:
        return None
    renaming = None
    if renamed is not None and not typings and fields is None:
        with suppress(ValueError):
            renaming = Renaming(tuple(renamed), tuple(column.name for column in columns))
    return Shape(typings, fields, lens, renaming)


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
