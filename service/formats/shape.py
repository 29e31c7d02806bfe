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

Members: TypeAlias = dict[str, msgspec.Raw]
Tokens: TypeAlias = Sequence[bytes | msgspec.Raw]
Typing: TypeAlias = Callable[[Tokens], Tokens]

# More records than this at a time no longer fit a processor's cache, and go slower.
_CHUNK_RECORDS = 200

_members = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_string = msgspec.json.Decoder(str)
_UNQUOTED = frozenset({ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.BOOLEAN})


class Shape:
    """Turns canonical records into what a client sees, any number at a time."""

    def __init__(
        self,
        typings: dict[str, Typing],
        fields: Sequence[str] | None,
        lens: Callable[[Members], Members] | None,
    ) -> None:
        self._typings = typings
        self._fields = None if fields is None else tuple(fields)
        self._lens = lens

    def __call__(self, records: Sequence[bytes]) -> list[bytes]:
        """Return the records as they are seen; the order of members stays, or is that of the fields."""
        starts = range(0, len(records), _CHUNK_RECORDS)
        chunks = (self._shaped(records[start : start + _CHUNK_RECORDS]) for start in starts)
        return list(chain.from_iterable(chunks))

    def _shaped(self, records: Sequence[bytes]) -> list[bytes]:
        rows = _members.decode(b"[%b]" % b",".join(records))
        if self._lens is not None:
            rows = list(map(self._lens, rows))
        if self._fields is not None:
            rows = [{name: row[name] for name in self._fields if name in row} for row in rows]
        shaped: list[bytes] = []
        for names, alike in groupby(rows, key=tuple):
            shaped += self._alike(names, [tuple(row.values()) for row in alike])
        return shaped

    def _alike(self, names: tuple[str, ...], rows: Sequence[Tokens]) -> list[bytes]:
        """Return records of which each has the same members, given as rows of values."""
        if not names:
            return [b"{}"] * len(rows)
        # One flat list of what stands in each record, `{"name":`, value, `,"id":`, value, `}`: one join.
        width = 2 * len(names) + 1
        parts: list[bytes | msgspec.Raw] = [b"}\n"] * (width * len(rows))
        for at, (name, values) in enumerate(zip(names, zip(*rows, strict=True), strict=True)):
            typing = self._typings.get(name)
            before = (b"," if at else b"{") + msgspec.json.encode(name) + b":"
            parts[2 * at :: width] = [before] * len(rows)
            parts[2 * at + 1 :: width] = values if typing is None else typing(values)
        return b"".join(parts).split(b"\n")[:-1]


def compile_shape(
    columns: Sequence[Column],
    *,
    typed: bool,
    fields: Sequence[str] | None = None,
    lens: Callable[[Members], Members] | None = None,
) -> Shape | None:
    """Return what turns canonical records into what a client sees; None where that is the same bytes.

    `lens` maps a record's members to those of the client's view, whose `columns` these are. `typed` applies
    their types: a cell of an integer, number or boolean column loses its quotes, `""` becomes null in a
    textual column; dates stay strings. `fields` are the members wanted, in this order.
    """
    typings = {column.name: _typing(column) for column in columns if typed and column.textual}
    if not typings and fields is None and lens is None:
        return None
    return Shape(typings, fields, lens)


def _typing(column: Column) -> Typing:
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
