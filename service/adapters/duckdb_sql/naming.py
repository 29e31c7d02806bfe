"""Which datasets a statement means, and what a listing tells of all of them."""

from __future__ import annotations

from collections.abc import Sequence

from service.adapters.duckdb.columns import sql_type
from service.adapters.duckdb.files import NO_COLUMN
from service.adapters.duckdb.names import sql_names
from service.adapters.duckdb_child.messages import Shape
from service.domain.columns import Column, ColumnType
from service.domain.errors import QueryFailed
from service.ports.database import Table

MAX_TABLES = 32
"""How many datasets one statement may name: each is one or two open files of the child."""

MAX_LISTED = 1000

_OWN_TYPES = frozenset({ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.BOOLEAN})


def columns_of(table: Table) -> list[Column]:
    """Return the columns that a table has for its client."""
    if table.view is None:
        return list(table.dataset.schema.columns)
    return [each.column for each in table.view]


def dataset_aliases(tables: Sequence[Table]) -> dict[str, str]:
    """Return the aliases of datasets whose names differ from others' by case only."""
    own = [table.dataset.name for table in tables]
    return {alias: name for alias, name in zip(sql_names(own), own, strict=True) if alias != name}


def meant(names: Sequence[str], tables: Sequence[Table]) -> dict[str, Table]:
    """Return the datasets that names in SQL mean; a name that means none is for the database to refuse.

    A dataset's own name means it, and so does its alias; otherwise case does not matter, as usual in SQL.
    Raises `QueryFailed` where that leaves several, or where names are the same to DuckDB but not to us.
    """
    own = {table.dataset.name: table for table in tables}
    aliases = {alias: own[name] for alias, name in dataset_aliases(tables).items()}
    found: dict[str, tuple[str, Table]] = {}
    for name in names:
        exact = own.get(name) or aliases.get(name)
        alike = [table for table in tables if table.dataset.name.lower() == name.lower()]
        for table in [exact] if exact is not None else alike:
            if found.setdefault(name.lower(), (name, table))[1] is not table:
                known = sorted({each.dataset.name for each in alike} | set(aliases))
                raise QueryFailed(
                    f"{name} may be any of several that differ by case only: {', '.join(known)}."
                )
    if len(found) > MAX_TABLES:
        raise QueryFailed(f"A statement can name {MAX_TABLES} datasets at most.")
    return dict(found.values())


def shapes(tables: Sequence[Table], without: Sequence[str]) -> tuple[Shape, ...]:
    """Return what a listing shows of datasets, but for those `without`: at most `MAX_LISTED`."""
    taken = {name.lower() for name in without}
    found: list[Shape] = []
    for table in tables:
        name = table.dataset.name
        if name.lower() not in taken and len(found) < MAX_LISTED:
            taken.add(name.lower())
            found.append(_shape(table))
    return tuple(found)


def _shape(table: Table) -> Shape:
    columns = columns_of(table)
    names = sql_names([column.name for column in columns])
    kinds = [sql_type(column.type) if column.type in _OWN_TYPES else "VARCHAR" for column in columns]
    return Shape(table.dataset.name, tuple(zip(names, kinds, strict=True)) or ((NO_COLUMN, "VARCHAR"),))
