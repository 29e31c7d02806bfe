"""What the service and the child process say to each other: MessagePack behind its length."""

from __future__ import annotations

import os
from enum import StrEnum
from struct import Struct
from typing import Any, TypeAlias

import msgspec

FRAME = Struct("<I")


class Limits(msgspec.Struct, frozen=True):
    """What a child may take: see `service.ports.database.Bounds`, and the size of its memory and file."""

    timeout_s: float
    max_rows: int
    max_bytes: int
    heap_bytes: int
    file_bytes: int


class Setup(msgspec.Struct, frozen=True):
    """The files: the database, and the storage whose datasets it shows."""

    path: str
    storage_path: str | None
    limits: Limits


class ColumnSpec(msgspec.Struct, frozen=True, array_like=True):
    """A column of a dataset's view: its name in SQL, where it is stored, and what is done to values.

    `type` is that of the view; `steps` are those of `service.ports.engine.Derivation`.
    """

    alias: str
    source: str | None
    type: str
    textual: bool
    steps: tuple[tuple[str, Any], ...] = ()


class TableSpec(msgspec.Struct, frozen=True):
    """A dataset as a view: its name in SQL, and the version of the schema that the columns are of."""

    alias: str
    dataset: str
    schema_version: int
    columns: tuple[ColumnSpec, ...]


class Run(msgspec.Struct, tag=True, frozen=True):
    """Run a statement."""

    sql: str
    parameters: list[Any] | dict[str, Any]
    writing: bool


class Tables(msgspec.Struct, tag=True, frozen=True):
    """The datasets that a statement may mean."""

    tables: tuple[TableSpec, ...]


class Commit(msgspec.Struct, tag=True, frozen=True):
    """Commit: from here on the write counts, whoever waits for it."""


class Mentions(msgspec.Struct, tag=True, frozen=True):
    """The statement has these names, in lower case; tell which are datasets."""

    names: tuple[str, ...]


class Batch(msgspec.Struct, tag=True, frozen=True):
    """Some rows; the columns come with the first."""

    rows: list[tuple[Any, ...]]
    columns: tuple[str, ...] = ()


class Written(msgspec.Struct, tag=True, frozen=True):
    """All is done but the commit."""


class Done(msgspec.Struct, tag=True, frozen=True):
    """The statement has been run; `truncated` says that there were more rows."""

    truncated: bool = False


class Kind(StrEnum):
    """What went wrong."""

    QUERY = "query"
    WRITE = "write"
    STALE = "stale"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"
    SPACE = "space"


class Failed(msgspec.Struct, tag=True, frozen=True):
    """The statement has failed; `position` is the character where, from 1."""

    kind: Kind
    message: str
    position: int | None = None


Question: TypeAlias = Run | Tables | Commit
Answer: TypeAlias = Mentions | Batch | Written | Done | Failed

_encode = msgspec.msgpack.Encoder().encode
questions = msgspec.msgpack.Decoder(Run | Tables | Commit)
answers = msgspec.msgpack.Decoder(Mentions | Batch | Written | Done | Failed)


def framed(message: Question | Answer) -> bytes:
    """Return a message as it goes over a pipe."""
    body = _encode(message)
    return FRAME.pack(len(body)) + body


class Channel:
    """The child's ends of its pipes; blocking."""

    def __init__(self, reader: int, writer: int) -> None:
        self._reader = open(reader, "rb", closefd=False)  # noqa: SIM115 - a descriptor, for life
        self._writer = writer

    def receive(self) -> Question | None:
        """Return the next message, or None where there is none any more."""
        head = self._reader.read(FRAME.size)
        if len(head) < FRAME.size:
            return None
        question: Question = questions.decode(self._reader.read(FRAME.unpack(head)[0]))
        return question

    def send(self, message: Answer) -> None:
        """Send a message whole."""
        left = memoryview(framed(message))
        while left:
            left = left[os.write(self._writer, left) :]
