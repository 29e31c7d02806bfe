"""Cells of text on their way to values: a column at a time, or records of nothing but cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

import msgspec

from service.domain.columns import Column, ColumnType
from service.formats.alike import encoder, row_type, rows_of

Tokens: TypeAlias = Sequence[bytes | msgspec.Raw]
Passage: TypeAlias = Callable[[Tokens], Tokens]

_string = msgspec.json.Decoder(str)
_UNQUOTED = frozenset({ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.BOOLEAN})


def typing_of(column: Column) -> Passage:
    """Return what makes values of a textual column's cells."""
    if column.type in _UNQUOTED:
        return unquoted
    return _text if column.type is ColumnType.STRING else _nulled


def unquoted(values: Tokens) -> Tokens:
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


TYPINGS: Final = frozenset({unquoted, _nulled, _text})


class Member(NamedTuple):
    """A cell on its way out: under which name, from which place, and whether as a string."""

    name: str
    at: int
    quoted: bool


class Cells:
    """Leads out records of nothing but cells of text: what is empty as null, numbers without their quotes.

    `names` are those of all their members, in this order; `members` are what goes out of them.
    """

    def __init__(self, names: tuple[str, ...], members: Sequence[Member]) -> None:
        """Raise `ValueError` where the names cannot be those of a type, or one looks like an empty cell."""
        self._decoder = msgspec.json.Decoder(row_type(names, of=str))
        self._members = members
        shown = [encoder.encode(member.name).decode() + ":" for member in members]
        if not shown or '""' in "".join(shown):
            raise ValueError("Of these names one cannot be told from an empty cell.")
        quotes = ['"' if member.quoted else "" for member in members]
        self._first = "{" + shown[0] + quotes[0]
        self._next = [
            f"{end},{name}{begin}"
            for end, name, begin in zip(quotes[:-1], shown[1:], quotes[1:], strict=True)
        ]
        self._end = quotes[-1] + "}"

    def records(self, records: Sequence[bytes]) -> list[bytes] | None:
        """Return the records, or None where one has other members, another order, or what is no cell."""
        led = self._led(records, "\n")
        return None if led is None else led.encode().split(b"\n")

    def joined(self, records: Sequence[bytes]) -> bytes | None:
        """Return the same with commas between them."""
        led = self._led(records, ",")
        return None if led is None else led.encode()

    def _led(self, records: Sequence[bytes], between: str) -> str | None:
        lines = b"\n".join([*records, b""])
        # Without escapes, text stands in a string as it is, and two quotes are an empty one.
        rows = None if b"\\" in lines else rows_of(self._decoder, lines)
        if rows is None:
            return None
        # One flat list of what stands in each record, `{"name":"`, cell, `","id":`, cell, `}`: one join.
        width = 2 * len(self._members)
        parts = [""] * (width * len(rows))
        columns: list[Sequence[str]] = list(zip(*rows, strict=True))
        before = [self._end + between + self._first, *self._next]
        emptied = False
        for place, member in enumerate(self._members):
            cells = columns[member.at]
            if not all(cells):
                emptied = True
                cells = cells if member.quoted else [cell or "null" for cell in cells]
            parts[2 * place :: width] = [before[place]] * len(rows)
            parts[2 * place + 1 :: width] = cells
        parts[0] = self._first
        text = "".join(parts) + self._end
        return text.replace('""', "null") if emptied else text
