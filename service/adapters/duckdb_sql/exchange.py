"""A statement over to a child, and its answer back, within bounds whatever the child says."""

from __future__ import annotations

from asyncio import IncompleteReadError, StreamReader
from asyncio.subprocess import Process
from typing import Any, TypeAlias

import msgspec

from service.adapters.duckdb_child.messages import (
    LENGTH,
    Answer,
    Columns,
    Done,
    Failed,
    Needs,
    Ready,
    Run,
    Some,
    decode_answer,
    decode_row,
    framed,
)
from service.domain.errors import QueryFailed, StoreUnavailable
from service.ports.database import Rows
from service.processes import pipes

Outcome: TypeAlias = Rows | Needs | Failed

_OVERHEAD_BYTES = 1 << 20
"""What an answer may take beside its rows: names of columns, frames."""


async def started(said: StreamReader) -> None:
    """Wait until a child has started. Raises `StoreUnavailable`."""
    try:
        answer = await _read(said, _OVERHEAD_BYTES)
    except (IncompleteReadError, msgspec.DecodeError) as error:
        raise StoreUnavailable("The reader of SQL cannot be started.") from error
    if not isinstance(answer, Ready):
        raise StoreUnavailable("The reader of SQL cannot be started.")


async def exchange(child: Process, run: Run) -> Outcome:
    """Return what a child makes of a statement. Raises `QueryFailed` where it dies of it."""
    sent, said = pipes(child)
    try:
        sent.write(framed(run))
        await sent.drain()
        return await _outcome(said, run.max_bytes + _OVERHEAD_BYTES)
    except (ConnectionError, IncompleteReadError) as error:
        raise QueryFailed(
            "DuckDB has died of the statement: it needs too much, or nests too deeply."
        ) from error
    except msgspec.MsgspecError as error:
        raise QueryFailed("DuckDB's answer to the statement cannot be read.") from error


async def _outcome(said: StreamReader, left_bytes: int) -> Outcome:
    names: tuple[str, ...] = ()
    rows: list[tuple[Any, ...]] = []
    while True:
        answer = await _read(said, left_bytes)
        match answer:
            case Columns():
                names = answer.names
            case Some():
                found = [decode_row(row) for row in answer.rows]
                left_bytes -= sum(map(len, answer.rows))
                rows += found
            case Done():
                return Rows(names, rows, answer.truncated)
            case Needs() | Failed():
                return answer
            case _:
                raise msgspec.DecodeError("out of turn")


async def _read(said: StreamReader, max_bytes: int) -> Answer:
    (size,) = LENGTH.unpack(await said.readexactly(LENGTH.size))
    if size > max_bytes:
        raise msgspec.DecodeError("too long")
    answer: Answer = decode_answer(await said.readexactly(size))
    return answer
