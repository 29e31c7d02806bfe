"""What PostgreSQL writes as text, as JSON values; types by their OIDs, which are the same everywhere.

https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_type.dat
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final, TypeAlias

import msgspec

from service.adapters.postgres_sql.messages import Field, row_values

Reader: TypeAlias = Callable[[str], Any]

JSON_TYPES: Final = frozenset({114, 3802})
TEXT_TYPES: Final = frozenset({18, 19, 25, 705, 1042, 1043})

_MARGIN = 64
"""Brackets that a reader may have open when it comes to a document."""

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_TIME = re.compile(r"(\d{4,}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)([+-]\d\d)?(:\d\d(?::\d\d)?)?")


def _boolean(text: str) -> bool:
    return text == "t"


def _number(text: str) -> Any:
    """Read a numeric with all its digits, which no float would keep."""
    if _INTEGER.fullmatch(text):
        return int(text)
    return None if text in {"NaN", "Infinity", "-Infinity"} else Decimal(text)


def _float(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _document(text: str) -> Any:
    r"""Read a document; one that others may not be able to read (nested too deep, half a `\ud800`) is a text.

    PostgreSQL checks its form only.
    """
    document = text.encode()
    try:
        msgspec.json.decode(b"[" * _MARGIN + document + b"]" * _MARGIN)
    except (msgspec.DecodeError, RecursionError):
        return text
    return msgspec.Raw(document)


def _bytes(text: str) -> str:
    r"""Read bytes, as `\x0123`; where the statement has chosen another form, that is what it gets."""
    return base64.b64encode(bytes.fromhex(text[2:])).decode() if text.startswith("\\x") else text


def _timestamp(text: str) -> str:
    """Read a time as ISO 8601 has it; infinity, and years before Christ, stay PostgreSQL's text."""
    found = _TIME.fullmatch(text)
    if found is None:
        return text
    day, time, hours, minutes = found.groups()
    return f"{day}T{time}" + (f"{hours}{minutes or ':00'}" if hours else "")


_SCALARS: dict[int, Reader] = {
    16: _boolean,
    **dict.fromkeys((20, 21, 23, 26), int),
    **dict.fromkeys((700, 701), _float),
    1700: _number,
    **dict.fromkeys(JSON_TYPES, _document),
    17: _bytes,
    **dict.fromkeys((1114, 1184), _timestamp),
}

# The arrays of these and of what is text, by the types of their elements.
_ARRAYS: dict[int, int] = {
    1000: 16,
    1016: 20,
    1005: 21,
    1007: 23,
    1028: 26,
    1021: 700,
    1022: 701,
    1231: 1700,
    199: 114,
    3807: 3802,
    1001: 17,
    1115: 1114,
    1185: 1184,
    1182: 1082,
    1183: 1083,
    1270: 1266,
    1002: 18,
    1003: 19,
    1009: 25,
    1014: 1042,
    1015: 1043,
    2951: 2950,
    1041: 869,
    651: 650,
    1187: 1186,
}

ARRAY_TYPES: Final = frozenset(_ARRAYS)


def read_rows(fields: Sequence[Field], rows: Sequence[bytes]) -> list[tuple[Any, ...]]:
    """Return the values of rows."""
    readers = [_reader(field.type) for field in fields]
    return [
        tuple(
            None if value is None else reader(value.decode("utf-8", "replace"))
            for reader, value in zip(readers, row_values(row), strict=True)
        )
        for row in rows
    ]


def _reader(type_: int) -> Reader:
    element = _ARRAYS.get(type_)
    if element is None:
        return _SCALARS.get(type_, str)
    reader = _SCALARS.get(element, str)
    return lambda text: read_array(text, reader)


_PART = re.compile(r'[{},]|"(?:[^"\\]|\\.)*"|[^{},"]+', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def read_array(text: str, reader: Reader) -> Any:
    """Return an array's elements; where it counts from another number than 1, `[0:1]={…}`, they are all told.

    https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
    """
    top: list[Any] = []
    open_: list[list[Any]] = [top]
    start = text.index("=") + 1 if text.startswith("[") else 0
    for part in _PART.findall(text, start):
        if part == "{":
            inner: list[Any] = []
            open_[-1].append(inner)
            open_.append(inner)
        elif part == "}":
            open_.pop()
        elif part == "NULL":
            open_[-1].append(None)
        elif part.startswith('"'):
            open_[-1].append(reader(_ESCAPED.sub(r"\1", part[1:-1])))
        elif part != ",":
            open_[-1].append(reader(part))
    return top[0]
