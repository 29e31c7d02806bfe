"""Parquet files of what matches, written to the engine's own directory and sent from there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from uuid import uuid4

from service.adapters.duckdb.connections import Lease, literal
from service.adapters.duckdb.expressions import Bound, Expression
from service.adapters.duckdb.names import identifier, sql_names
from service.adapters.duckdb.statements import Relation
from service.domain.columns import ColumnType
from service.ports.engine import Question, Window

_CHUNK_BYTES = 1 << 20
_PLAIN = frozenset({ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.BOOLEAN, ColumnType.DATE})


async def parquet_file(
    lease: Lease,
    directory: Path,
    relation: Relation,
    question: Question,
    window: Window,
    fields: tuple[str, ...],
    *,
    typed: bool,
) -> AsyncGenerator[bytes, None]:
    """Write the window's records to a file and yield it; the file goes, however it ends.

    Integers beyond 64 bits are text, times are in UTC to the microsecond, arrays and objects JSON text. Not
    `typed`, all columns that came as text are text.
    """
    path = directory / f"{uuid4().hex}.parquet"
    bound = Bound()
    columns = [_column(relation.columns[name], bound, typed=typed) for name in fields]
    names = map(identifier, sql_names(fields))
    selected = ", ".join(f"{sql} AS {name}" for sql, name in zip(columns, names, strict=True))
    statement = relation.rows(question, window, selected, bound)
    # Our own path: letters and digits in a directory that we have made.
    sql = f"COPY ({statement.sql}) TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd)"
    try:
        await lease.run(lambda cursor: cursor.execute(sql, statement.values).fetchall())
        sent_bytes = 0
        while chunk := await asyncio.to_thread(_piece, path, sent_bytes):
            yield chunk
            sent_bytes += len(chunk)
    finally:
        await lease.settled()
        path.unlink(missing_ok=True)


def _piece(path: Path, start: int) -> bytes:
    """Read some bytes; it closes the file itself, for nobody may be waiting for it any more."""
    with path.open("rb") as file:
        file.seek(start)
        return file.read(_CHUNK_BYTES)


def _column(expression: Expression, bound: Bound, *, typed: bool) -> str:
    kind = expression.column.type
    if not typed and expression.column.textual:
        return expression.text(bound)
    if kind is ColumnType.TIMESTAMP:
        return f"make_timestamp({expression.sql})"
    if kind is ColumnType.JSON:
        return expression.json(bound)
    if expression.wide or kind not in _PLAIN:
        return expression.text(bound)
    return expression.sql
