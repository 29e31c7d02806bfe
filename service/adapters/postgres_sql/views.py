"""Which views show the datasets: made anew where the columns have changed, kept in mind where not."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service.adapters.postgres_sql.columns import plain, select
from service.adapters.postgres_sql.guard import DATASETS, Sight
from service.adapters.postgres_sql.names import sql_names
from service.adapters.postgres_sql.spelling import identifier
from service.ports.database import Table
from service.ports.engine import Derivation

MAX_COLUMNS = 1600
"""What a view of PostgreSQL can have; a dataset's further columns are not seen by SQL."""

_KEPT = 4096


@dataclass(frozen=True, slots=True)
class View:
    """A view: its schema and name, what it selects, and a digest of that."""

    schema: str
    name: str
    sql: str
    digest: str

    @property
    def key(self) -> tuple[str, str]:
        """What it is found by."""
        return self.schema, self.name

    @property
    def created(self) -> str:
        """SQL that creates it."""
        # The barrier: no function of a client sees a row before it is known to be the dataset's.
        name = f"{identifier(self.schema)}.{identifier(self.name)}"
        return f"CREATE VIEW {name} WITH (security_barrier) AS {self.sql}"


@dataclass(frozen=True, slots=True)
class Shown:
    """The views that a client needs, and what its session is to see.

    `stored` are those of all datasets with their stored columns, the same for all clients; `seen` those with
    the columns of the client's day, each in a schema of its own that is named by its digest, with the digest
    of the dataset's stored columns.
    """

    sight: Sight = field(default_factory=Sight)
    stored: tuple[View, ...] = ()
    seen: tuple[tuple[View, str], ...] = ()


class Views:
    """Makes the SQL of views, once for each version of a dataset's columns."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._kept: OrderedDict[tuple[str, str, int, int], tuple[object, View]] = OrderedDict()

    async def shown(self, tables: Sequence[Table]) -> Shown:
        """Return the views of these datasets."""
        async with self._turn:
            return await asyncio.to_thread(self._shown, tables)

    def _shown(self, tables: Sequence[Table]) -> Shown:
        tables = with_columns(tables)
        names = sql_names(table.dataset.name for table in tables)
        stored = [self._view(name, table, None) for name, table in zip(names, tables, strict=True)]
        seen = [
            (self._view(name, table, table.view), base.digest)
            for name, table, base in zip(names, tables, stored, strict=True)
            if table.view is not None
        ]
        digest = _digest("\n".join(f"{view.name} {view.digest}" for view in stored))
        return Shown(Sight(digest, tuple(view.schema for view, _ in seen)), tuple(stored), tuple(seen))

    def _view(self, name: str, table: Table, seen: tuple[Derivation, ...] | None) -> View:
        # Derivations cannot be hashed; while they are kept here, nothing else has their identity.
        key = (name, table.dataset.name, table.dataset.schema.version, 0 if seen is None else id(seen))
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][1]
        sql = _select(table, seen)
        digest = _digest(f"{name}\n{sql}")
        schema = DATASETS if seen is None else f"{name[:40]}@{digest[:16]}"
        view = View(schema, name, sql, digest)
        self._kept[key] = (seen, view)
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return view


def with_columns(tables: Sequence[Table]) -> Sequence[Table]:
    """Return the datasets that have columns: one without is no table yet."""
    return [table for table in tables if table.dataset.schema.columns and table.view != ()]


def aliases(tables: Sequence[Table]) -> Mapping[str, Mapping[str, str]]:
    """Return which names are others in SQL, as `Database.aliases` does."""
    tables = with_columns(tables)
    own = [table.dataset.name for table in tables]
    found = {"": _others(sql_names(own), own)}
    for table in tables:
        columns = [column.column.name for column in _columns(table, table.view)]
        found[table.dataset.name] = _others(sql_names(columns), columns)
    return {name: others for name, others in found.items() if others}


def _others(aliases: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    return {alias: name for alias, name in zip(aliases, names, strict=True) if alias != name}


def _columns(table: Table, seen: tuple[Derivation, ...] | None) -> Sequence[Derivation]:
    if seen is None:
        return [plain(column) for column in table.dataset.schema.columns[:MAX_COLUMNS]]
    return seen[:MAX_COLUMNS]


def _select(table: Table, seen: tuple[Derivation, ...] | None) -> str:
    columns = _columns(table, seen)
    return select(columns, sql_names(column.column.name for column in columns), table.dataset)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
