"""Datasets as the child process shows them: every name one that SQLite can bear."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from service.adapters.duckdb.names import sql_names
from service.adapters.sql_names import ascii_lower, distinct
from service.adapters.sqlite_child.messages import ColumnSpec, TableSpec
from service.domain.columns import Column
from service.ports.database import Table
from service.ports.engine import Derivation

_RESERVED = "sqlite_"


def specs(tables: Sequence[Table], names: Collection[str]) -> tuple[TableSpec, ...]:
    """Return the datasets whose name in SQL, in lower case, is one of the names."""
    return tuple(_spec(alias, table) for alias, table in _named(tables) if ascii_lower(alias) in names)


def aliases(tables: Sequence[Table]) -> Mapping[str, Mapping[str, str]]:
    """Return the names that are others in SQL; see `service.ports.database.Database.aliases`."""
    named = _named(tables)
    found = {"": {alias: table.dataset.name for alias, table in named if alias != table.dataset.name}}
    for alias, table in named:
        columns = zip(_columns(table), _spec(alias, table).columns, strict=True)
        found[table.dataset.name] = {
            spec.alias: column.name for column, spec in columns if spec.alias != column.name
        }
    return {name: renamed for name, renamed in found.items() if renamed}


def _named(tables: Sequence[Table]) -> list[tuple[str, Table]]:
    """Return the datasets that have columns with their names in SQL; one without is no table yet."""
    shown = [table for table in tables if _columns(table)]
    names = [table.dataset.name for table in shown]
    bearable = [f"_{name}" if ascii_lower(name).startswith(_RESERVED) else name for name in names]
    return list(zip(distinct(bearable, key=ascii_lower), shown, strict=True))


def _columns(table: Table) -> list[Column]:
    if table.view is None:
        return list(table.dataset.schema.columns)
    return [derivation.column for derivation in table.view]


def _spec(alias: str, table: Table) -> TableSpec:
    schema = table.dataset.schema
    view = table.view
    if view is None:
        view = tuple(Derivation(column, column.name) for column in schema.columns)
    textual = {column.name: column.textual for column in schema.columns}
    # As DuckDB has them; and what has a zero in it gets a number, as what is empty does.
    names = sql_names(
        ["" if "\0" in derivation.column.name else derivation.column.name for derivation in view]
    )
    columns = tuple(
        ColumnSpec(
            name,
            derivation.source,
            derivation.column.type.value,
            textual.get(derivation.source or "", False),
            derivation.steps,
        )
        for name, derivation in zip(names, view, strict=True)
    )
    return TableSpec(alias, table.dataset.name, schema.version, columns)
