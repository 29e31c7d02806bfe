"""Datasets as read-only views over the storage's file.

A view has two floors, so that nobody else gets at the storage: the upper has the dataset's name, the lower a
name that nobody can guess, and only what stands in the lower may read (`guards`). The dataset's name alone
would not do: to SQLite, what stands in `WITH landings AS (…)` stands in something of that name, too.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path

from service.adapters.sqlite_child.guards import RECORDS
from service.adapters.sqlite_child.messages import TableSpec
from service.adapters.sqlite_child.values import Records
from service.adapters.sqlite_file import uri_of

_SHELF_BITS = 36  # `service.adapters.sqlite.tables.SHELF_BITS`, whose package the child does not import

_WIDE = 32
"""Columns from which on it pays to ask first whether a record is known."""


class Stale(Exception):
    """The columns of a dataset are others by now."""


def attach(connection: sqlite3.Connection, storage: Path) -> str:
    """Attach the storage's file to read only, and return what it is called here."""
    schema = f"s{secrets.token_hex(8)}"  # whoever cannot name it cannot name its tables
    connection.execute(f"ATTACH ? AS {schema}", (uri_of(storage, "ro"),))
    return schema


def show(connection: sqlite3.Connection, schema: str, tables: Sequence[TableSpec]) -> frozenset[str]:
    """Make a view of each dataset, within a transaction: all are of one state of the storage.

    Return the names of the lower floors. Raises `Stale`.
    """
    return frozenset(_show(connection, schema, table) for table in tables)


def hidden(connection: sqlite3.Connection, schema: str, shown: Collection[str]) -> frozenset[str]:
    """Return the storage's tables that a bare name would reach: the database has none of that name."""
    names = connection.execute(
        f"SELECT lower(name) FROM {schema}.sqlite_schema WHERE type = 'table'"  # noqa: S608 - a name of ours
        " EXCEPT SELECT lower(name) FROM main.sqlite_schema"
    )
    return frozenset(name for (name,) in names) - frozenset(shown)


def _show(connection: sqlite3.Connection, schema: str, table: TableSpec) -> str:
    shelf = _shelf(connection, schema, table)
    inner = f"v{secrets.token_hex(16)}"
    records = Records(table.columns)
    connection.create_function(inner, 1, records.unknown, deterministic=True)
    connection.create_function(inner, 2, records.value, deterministic=True)
    # A long record is handed over once, and not for each of its columns.
    record = "record" if len(table.columns) < _WIDE else f"CASE WHEN {inner}(id) THEN record END"
    values = ", ".join(f"{inner}({record}, {place}) AS c{place}" for place in range(len(table.columns)))
    connection.execute(
        f"CREATE TEMP VIEW {inner} AS SELECT {values} FROM {schema}.{RECORDS}"  # noqa: S608 - names of ours
        f" WHERE id >= {shelf << _SHELF_BITS} AND id < {shelf + 1 << _SHELF_BITS}"
    )
    names = ", ".join(quoted(column.alias) for column in table.columns)
    connection.execute(
        f"CREATE TEMP VIEW {quoted(table.alias)} ({names}) AS SELECT * FROM {inner}"  # noqa: S608 - quoted
    )
    return inner


def _shelf(connection: sqlite3.Connection, schema: str, table: TableSpec) -> int:
    row = connection.execute(
        f"SELECT shelf, schema_version FROM {schema}.datasets WHERE name = ?",  # noqa: S608 - a name of ours
        (table.dataset,),
    ).fetchone()
    if row is None or row[0] == 0 or row[1] != table.schema_version:
        raise Stale
    shelf: int = row[0]
    return shelf


def quoted(name: str) -> str:
    """Return a name as SQL takes any."""
    return '"' + name.replace('"', '""') + '"'
