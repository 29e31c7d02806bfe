"""Values as the store keeps them: tokens of JSON, and cells of text in the columns that are textual."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from service.domain.columns import Column, ColumnType

NULL: Final = b"null"
EMPTY_CELL: Final = b'""'

# RFC 8259, section 6.
_GRAMMARS = {
    ColumnType.INTEGER: re.compile(rb"-?(?:0|[1-9][0-9]*)"),
    ColumnType.NUMBER: re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"),
    ColumnType.BOOLEAN: re.compile(rb"true|false"),
}

_string = msgspec.json.Decoder(str)


def is_string(token: bytes) -> bool:
    """Whether a token is a string."""
    return token[:1] == b'"'


def is_nothing(token: bytes, *, textual: bool) -> bool:
    """Whether a token says that there is no value: null, or an empty cell."""
    return token == NULL or (textual and token == EMPTY_CELL)


def text_of(token: bytes) -> bytes | None:
    """Return a string's text, or the token of a number or boolean; None for null, arrays and objects."""
    if is_string(token):
        return _string.decode(token).encode() if b"\\" in token else token[1:-1]
    return None if token == NULL or token[:1] in {b"[", b"{"} else token


def same(left: bytes, right: bytes, column: Column) -> bool:
    """Whether two values of a column are one to a client.

    In a textual column no value is null, and `"5"` is 5 unless it may hold both.
    """
    if left == right:
        return True
    if not column.textual:
        return False
    if is_nothing(left, textual=True):
        return is_nothing(right, textual=True)
    text = text_of(left)
    return column.type is not ColumnType.JSON and text is not None and text == text_of(right)


def cast(token: bytes, to: ColumnType, *, textual: bool) -> bytes | None:
    """Return a value as one of an integer, number, boolean or string column, or None where it is no such.

    A value keeps its digits; in a textual column it stays a cell of text. What says that there is no value
    goes on to say so.
    """
    if is_nothing(token, textual=textual):
        return token
    text = text_of(token)
    if text is None:
        return None
    if to is ColumnType.STRING:
        return token if is_string(token) else b'"%b"' % token
    if _GRAMMARS[to].fullmatch(text) is None:
        return None
    return token if textual else text
