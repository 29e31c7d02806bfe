"""Messages of PostgreSQL's protocol, as far as one statement needs them; every value is text.

https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

SYNC: Final = b"S\x00\x00\x00\x04"
TERMINATE: Final = b"X\x00\x00\x00\x04"

_INT16 = struct.Struct("!h")
_INT32 = struct.Struct("!i")


class Field(NamedTuple):
    """A column of an answer: its name, and the OID of its type."""

    name: str
    type: int


def query(sql: str) -> bytes:
    """Ask by the simple protocol: any number of statements, no parameters."""
    return _message(b"Q", _text(sql))


def parse(sql: str) -> bytes:
    """Parse one statement; the server chooses the types of its parameters."""
    return _message(b"P", b"\0" + _text(sql) + _INT16.pack(0))


def describe_statement() -> bytes:
    """Ask for the types of the parameters and for the columns."""
    return _message(b"D", b"S\0")


def bind(values: Sequence[bytes | None]) -> bytes:
    """Give the parameters, as text; the answer's columns come as text, too."""
    sent = [_INT32.pack(-1) if value is None else _INT32.pack(len(value)) + value for value in values]
    return _message(b"B", b"\0\0" + _INT16.pack(0) + _count(len(values)) + b"".join(sent) + _INT16.pack(0))


def execute(max_rows: int) -> bytes:
    """Run the statement, or go on with it, until so many rows came."""
    return _message(b"E", b"\0" + _INT32.pack(max_rows))


def error_fields(body: bytes) -> dict[str, str]:
    """Read an error: its fields, by the letters of their kinds."""
    fields = (part.decode("utf-8", "replace") for part in body.split(b"\0") if part)
    return {field[0]: field[1:] for field in fields}


def parameter_types(body: bytes) -> tuple[int, ...]:
    """Read the OIDs of the types of a statement's parameters."""
    (count,) = struct.unpack_from("!H", body)
    return struct.unpack_from(f"!{count}I", body, 2)


def row_fields(body: bytes) -> list[Field]:
    """Read which columns an answer has."""
    fields, at = [], 2
    for _ in range(_INT16.unpack_from(body)[0]):
        end = body.index(b"\0", at)
        (type_,) = struct.unpack_from("!I", body, end + 7)
        fields.append(Field(body[at:end].decode("utf-8", "replace"), type_))
        at = end + 19
    return fields


def row_values(body: bytes) -> list[bytes | None]:
    """Read the values of a row."""
    values: list[bytes | None] = []
    at = 2
    while at < len(body):
        (length,) = _INT32.unpack_from(body, at)
        at += 4
        if length < 0:
            values.append(None)
        else:
            values.append(body[at : at + length])
            at += length
    return values


def tag(body: bytes) -> str:
    """Read how a command calls what it has done."""
    return body.rstrip(b"\0").decode("ascii", "replace")


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + _INT32.pack(len(body) + 4) + body


def _text(text: str) -> bytes:
    return text.encode() + b"\0"


def _count(number: int) -> bytes:
    return struct.pack("!H", number)
