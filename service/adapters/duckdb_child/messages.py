"""What the service and the child say to each other: MessagePack behind its length."""

from __future__ import annotations

from decimal import Decimal
from struct import Struct
from typing import Any, TypeAlias

import msgspec

LENGTH = Struct("<I")

_NUMBER = 1
"""The MessagePack extension for a number that no other type holds exactly: its digits."""


class Shape(msgspec.Struct, frozen=True, array_like=True):
    """A dataset for listings: its name, and names and SQL types of its columns."""

    name: str
    columns: tuple[tuple[str, str], ...]


class Run(msgspec.Struct, frozen=True):
    """Run a statement.

    `parameters` are JSON. `tables` says in which files, one after the other, each dataset is that is known to
    be needed, under the name that SQL has for it; `considered` are all names that were asked for, in lower
    case, datasets or not. `listed` are the datasets that a listing shows beside them (None: not asked for
    yet). `cpu_s` bounds the processor's time.
    """

    sql: str
    parameters: bytes
    tables: dict[str, tuple[str, ...]]
    considered: frozenset[str]
    listed: tuple[Shape, ...] | None
    max_rows: int
    max_bytes: int
    cpu_s: int


class Ready(msgspec.Struct, tag=True, frozen=True):
    """The child has started."""


class Needs(msgspec.Struct, tag=True, frozen=True):
    """The statement names these: which are datasets? `listing` says that it asks what datasets there are."""

    names: tuple[str, ...]
    listing: bool = False


class Columns(msgspec.Struct, tag=True, frozen=True):
    """The answer begins: its columns."""

    names: tuple[str, ...]


class Some(msgspec.Struct, tag=True, frozen=True):
    """Some rows, each an array."""

    rows: list[msgspec.Raw]


class Done(msgspec.Struct, tag=True, frozen=True):
    """The answer ends; `truncated` says that there was more."""

    truncated: bool


class Failed(msgspec.Struct, tag=True, frozen=True):
    """The statement has failed, at the character `position` from 1.

    `writes`: because it would write. `spent`: the child has suffered from it and is not to be used again.
    """

    message: str
    position: int | None = None
    writes: bool = False
    spent: bool = False


Answer: TypeAlias = Ready | Needs | Columns | Some | Done | Failed

_encode = msgspec.msgpack.Encoder().encode
decode_run = msgspec.msgpack.Decoder(Run).decode
decode_answer = msgspec.msgpack.Decoder(Ready | Needs | Columns | Some | Done | Failed).decode
encode_row = _encode


def exact(number: int | Decimal) -> msgspec.msgpack.Ext:
    """Return a number that 64 bits or a double cannot hold as it goes over the pipe."""
    return msgspec.msgpack.Ext(_NUMBER, str(number).encode())


def _exactly(code: int, digits: memoryview) -> Decimal:
    if code != _NUMBER:
        raise msgspec.ValidationError(f"There is no extension {code}.")
    try:
        return Decimal(bytes(digits).decode("ascii"))
    except (ValueError, ArithmeticError):
        raise msgspec.ValidationError("A number is none.") from None


_decode_row = msgspec.msgpack.Decoder(tuple[Any, ...], ext_hook=_exactly).decode


def decode_row(row: msgspec.Raw) -> tuple[Any, ...]:
    """Return a row's values."""
    return _decode_row(row)


def framed(message: Run | Answer) -> bytes:
    """Return a message as it goes over a pipe."""
    body = _encode(message)
    return LENGTH.pack(len(body)) + body
