"""Which type a value has: a cell of text, a string of JSON, any other JSON value; one or many at a time.

A column of thousands of cells is judged as a whole first, in C, by the parser that defines the grammar.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from operator import itemgetter
from typing import Final, TypeAlias

import msgspec

from service.domain.columns import Column, ColumnType
from service.formats.wording import quoted

Kind: TypeAlias = tuple[ColumnType, bool]
"""A type, and whether it is that of a cell of text."""

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_HOUR_MINUTE = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
# RFC 3339, section 5.6, without leap seconds: no database would take them.
_TIMESTAMP = re.compile(
    rf"([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})[T ]{_HOUR_MINUTE}:[0-5][0-9](?:\.[0-9]+)?(?:Z|[+-]{_HOUR_MINUTE})?"
)
_BOOLEANS = frozenset({"true", "false"})
_INTEGER_BYTES = b"0123456789-,"
_NUMBER_BYTES = _INTEGER_BYTES + b"+.eE"

_parsed = msgspec.json.Decoder(msgspec.Raw)


def kind_of_cell(text: str) -> ColumnType:
    """Return the type of one cell; an empty one has no value."""
    if not text:
        return ColumnType.EMPTY
    number = _NUMBER.fullmatch(text)
    if number is not None:
        return ColumnType.INTEGER if number.lastindex is None else ColumnType.NUMBER
    return ColumnType.BOOLEAN if text in _BOOLEANS else kind_of_string(text)


def kind_of_string(text: str) -> ColumnType:
    """Return the type of a JSON string: a date, a timestamp, or just a string."""
    if _DATE.fullmatch(text) is not None:
        return ColumnType.DATE if _is_date(text) else ColumnType.STRING
    timestamp = _TIMESTAMP.fullmatch(text)
    if timestamp is not None and _is_date(timestamp[1]):
        return ColumnType.TIMESTAMP
    return ColumnType.STRING


def kind_of_cells(cells: Sequence[str]) -> ColumnType:
    """Return the narrowest type that holds all the cells."""
    filled = list(filter(None, cells))
    if not filled:
        return ColumnType.EMPTY
    kind = kind_of_cell(filled[0])
    if kind is ColumnType.INTEGER or kind is ColumnType.NUMBER:
        return _kind_of_numbers(filled)
    return kind if _all_are(kind, filled) else ColumnType.STRING


class Cells:
    """Cells of text of one column: those at `at` in each of some rows."""

    text: Final = True

    def __init__(self, rows: Sequence[Sequence[str]], at: int) -> None:
        self._rows = rows
        self._at = at

    def __len__(self) -> int:
        return len(self._rows)

    def kinds(self, column: Column) -> Sequence[Kind]:
        """Return types that the column must hold so that it holds all the cells."""
        if column.type is ColumnType.STRING or column.type is ColumnType.JSON:
            return ()  # which hold any cell, so that none need be looked at
        return ((kind_of_cells(list(map(itemgetter(self._at), self._rows))), True),)

    def kind(self, index: int, column: Column) -> Kind:
        """Return the type of one cell, in any column."""
        del column
        return kind_of_cell(self._rows[index][self._at]), True

    def shown(self, index: int) -> str:
        """Return a cell for a message."""
        return quoted(self._rows[index][self._at])


class Values:
    """Decoded JSON values of one column; in a textual column a string counts as a cell of text."""

    text: Final = False

    def __init__(self, values: Sequence[object]) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def kinds(self, column: Column) -> Sequence[Kind]:
        """Return types that the column must hold so that it holds all the values."""
        types = set(map(type, self._values))
        kinds: list[Kind] = [(_KINDS[type_], False) for type_ in types if type_ is not str]
        if str in types:
            kinds.append((self._kind_of_strings(column), column.textual))
        return kinds

    def _kind_of_strings(self, column: Column) -> ColumnType:
        if column.type is ColumnType.STRING or column.type is ColumnType.JSON:
            return ColumnType.STRING  # they hold any string, so that none need be looked at
        strings = [value for value in self._values if isinstance(value, str)]
        return kind_of_cells(strings) if column.textual else _kind_of_strings(strings)

    def kind(self, index: int, column: Column) -> Kind:
        """Return the type of one value."""
        value = self._values[index]
        if not isinstance(value, str):
            return _KINDS[type(value)], False
        return (kind_of_cell(value), True) if column.textual else (kind_of_string(value), False)

    def shown(self, index: int) -> str:
        """Return a value for a message."""
        value = self._values[index]
        return quoted(value) if isinstance(value, str) else f"A value of type {_KINDS[type(value)]}"


_KINDS: dict[type, ColumnType] = {
    type(None): ColumnType.EMPTY,
    bool: ColumnType.BOOLEAN,
    int: ColumnType.INTEGER,
    float: ColumnType.NUMBER,
    dict: ColumnType.JSON,
    list: ColumnType.JSON,
}


def _kind_of_strings(strings: Sequence[str]) -> ColumnType:
    kind = kind_of_string(strings[0])
    return kind if _all_are(kind, strings) else ColumnType.STRING


def _all_are(kind: ColumnType, filled: Sequence[str]) -> bool:
    """Whether all non-empty texts are of a kind that is no number; the same ones are looked at once."""
    if kind is ColumnType.STRING:
        return True
    return all(kind_of_cell(text) is kind for text in set(filled))


def _kind_of_numbers(filled: Sequence[str]) -> ColumnType:
    """Return integer, number or string for cells as one JSON array would have them."""
    joined = ",".join(filled).encode()
    # With no other bytes and no comma within a cell, the array is one of these cells or no JSON.
    if joined.count(b",") != len(filled) - 1 or joined.translate(None, _NUMBER_BYTES):
        return ColumnType.STRING
    try:
        _parsed.decode(b"[%b]" % joined)
    except msgspec.DecodeError:
        return ColumnType.STRING
    return ColumnType.NUMBER if joined.translate(None, _INTEGER_BYTES) else ColumnType.INTEGER


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
