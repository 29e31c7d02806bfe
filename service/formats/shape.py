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

from service.domain.columns import Column
from service.formats.alike import Reader, Renaming, Writer
from service.formats.cells import TYPINGS, Cells, Member, Passage, Tokens, typing_of, unquoted

Route: TypeAlias = tuple[str, int | None, Passage | None]
"""A member on its way: its name, which of the record's members it is (None: none), what is done to values."""

Lens: TypeAlias = Callable[[tuple[str, ...]], Sequence[Route]]
"""Leads a record that has members of these names; `service.lenses.view.View` gives such lenses."""

# More records than this at a time no longer fit a processor's cache, and go slower.
_CHUNK_RECORDS = 200

_MAX_WAYS = 1000
"""Different sets of members for which the way is remembered."""

_members = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_NULL = msgspec.Raw(b"null")


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
        led = None if self._road is None else self._road.records(records)
        return self._led_apart(records, ways) if led is None else led

    def _shaped_whole(self, records: Sequence[bytes], ways: _Ways) -> bytes:
        led = None if self._road is None else self._road.joined(records)
        return b",".join(self._led_apart(records, ways)) if led is None else led

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
    """The way of records that all have the same members.

    `writer` where nothing is done to values, `cells` where each of them gets its type and nothing else.
    """

    way: _Way
    reader: Reader
    writer: Writer | None
    cells: Cells | None

    @classmethod
    def of(cls, names: tuple[str, ...], way: _Way) -> _Road | None:
        """Return the road, if there is one for these names."""
        places = [step.at for step in way if step.at is not None and not step.passages]
        straight = len(places) == len(way)
        try:
            writer = Writer(tuple(step.name for step in way), places) if straight else None
            return cls(way, Reader(names), writer, _cells(names, way))
        except ValueError:
            return None

    def records(self, records: Sequence[bytes]) -> list[bytes] | None:
        """Return the records as they go out, or None where they are not alike."""
        led = None if self.cells is None else self.cells.records(records)
        if led is not None:
            return led
        rows = self.reader.rows(records)
        if rows is None:
            return None
        return _led(self.way, rows) if self.writer is None else self.writer.records(rows)

    def joined(self, records: Sequence[bytes]) -> bytes | None:
        """Return the same with commas between them."""
        led = None if self.cells is None else self.cells.joined(records)
        if led is not None:
            return led
        rows = self.reader.rows(records)
        if rows is None:
            return None
        return b",".join(_led(self.way, rows)) if self.writer is None else self.writer.joined(rows)


def _cells(names: tuple[str, ...], way: _Way) -> Cells | None:
    """Return what leads records of nothing but cells, if their values get types and nothing else."""
    members = [
        Member(step.name, step.at, quoted=step.passages[0] is not unquoted)
        for step in way
        if step.at is not None and len(step.passages) == 1 and step.passages[0] in TYPINGS
    ]
    if len(members) < len(way):
        return None
    with suppress(ValueError):
        return Cells(names, members)
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
    typings = {column.name: typing_of(column) for column in columns if typed and column.textual}
    if not typings and fields is None and lens is None:
        return None
    renaming = None
    if renamed is not None and not typings and fields is None:
        with suppress(ValueError):
            renaming = Renaming(tuple(renamed), tuple(column.name for column in columns))
    return Shape(typings, fields, lens, renaming)
