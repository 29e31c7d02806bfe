"""Database files of what a client sees of a dataset, for readers that are never let near the engine."""

# ruff: noqa: S608 - names are ours or quoted; whatever a client sends is a bound parameter

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import duckdb

from service.adapters.duckdb.connections import Lease, literal
from service.adapters.duckdb.expressions import Bound, Expression
from service.adapters.duckdb.names import identifier, sql_names
from service.adapters.duckdb.statements import Relation, Statement
from service.domain.columns import ColumnType
from service.ports.engine import Question, Window

TABLE = "t"
"""The name of the table in a file."""

NO_COLUMN = "_"
"""The one column, all null, of a table whose dataset has none: SQL knows no table without."""

_OWN_TYPES = frozenset({ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.BOOLEAN})


async def database_file(
    lease: Lease, directory: Path, relation: Relation, question: Question, window: Window
) -> Path:
    """Write the view's columns, typed, to a database file in the directory; it is the caller's.

    Integers, numbers and booleans are DuckDB's own (integers beyond 64 bits HUGEINT, or text where that does
    not hold them all), all else is text. Rows stand in the order of their positions.
    """
    name = uuid4().hex
    path = directory / f"{name}.duckdb"
    try:
        await lease.run(lambda cursor: _write(cursor, f"f{name}", path, relation, question, window))
    except BaseException:
        await lease.settled()
        for each in (path, path.with_name(path.name + ".wal")):
            each.unlink(missing_ok=True)
        raise
    return path


def _write(
    cursor: duckdb.DuckDBPyConnection,
    schema: str,
    path: Path,
    relation: Relation,
    question: Question,
    window: Window,
) -> None:
    bound = Bound()
    columns = relation.columns
    selected = [f"CAST(NULL AS VARCHAR) AS {NO_COLUMN}"]
    if names := columns.names():
        expressions = [_column(cursor, relation, columns[name], bound) for name in names]
        pairs = zip(expressions, sql_names(names), strict=True)
        selected = [f"{sql} AS {identifier(name)}" for sql, name in pairs]
    statement = relation.rows(question, window, ", ".join(selected), bound)
    # Our own path: letters and digits in a directory that we have made.
    cursor.execute(f"ATTACH {literal(str(path))} AS {schema}")
    try:
        cursor.execute(f"CREATE TABLE {schema}.{TABLE} AS {statement.sql}", statement.values)
    finally:
        cursor.execute(f"DETACH {schema}")


def _column(
    cursor: duckdb.DuckDBPyConnection, relation: Relation, expression: Expression, bound: Bound
) -> str:
    if expression.wide:
        return _wide(cursor, relation, expression, bound)
    if expression.column.type in _OWN_TYPES or expression.column.type is ColumnType.STRING:
        return expression.sql
    return expression.json(bound) if expression.column.type is ColumnType.JSON else expression.text(bound)


def _wide(cursor: duckdb.DuckDBPyConnection, relation: Relation, expression: Expression, bound: Bound) -> str:
    own = Bound()
    text = expression.text(own)
    beyond = Statement(
        f"SELECT count(*) FROM {relation.sql} WHERE {expression.sql} IS NOT NULL "
        f"AND TRY_CAST({text} AS HUGEINT) IS NULL",
        own.values,
    )
    found = cursor.execute(beyond.sql, beyond.values).fetchone()
    held = found is not None and found[0] == 0
    return f"CAST({expression.text(bound)} AS HUGEINT)" if held else expression.text(bound)
