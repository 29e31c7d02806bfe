"""SQL: which database a statement goes to, what its sender may do there, and how many run at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Self

from service.domain.access import Caller, Scope
from service.domain.errors import Busy, InvalidContent, WriteRefused
from service.ports.database import Database, Parameters, Rows, Statement, Table
from service.ports.storage import Datasets
from service.usecases.views import Views

READER = "datasets"
"""What selects the reader of datasets, which every deployment has."""

WAIT_S = 2.0
"""How long a statement waits for its turn before it is told to come back."""

MAX_WAITING = 256
"""More than these are told at once."""


@dataclass(frozen=True, slots=True)
class Order:
    """A statement that a client wants to be run; `database` None is the configured one."""

    sql: str
    parameters: Parameters = ()
    database: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A database as a client sees it: its kind, whether the client may write, and datasets' other names.

    `aliases` are those of columns, `names` those of datasets themselves: by dataset.
    """

    kind: str
    writing: bool
    names: Mapping[str, str]
    aliases: Mapping[str, Mapping[str, str]]


class Queries:
    """Runs clients' SQL; `async with` opens the databases.

    `reader` is DuckDB over the datasets; it may be the configured `database`, too, of the kind `kind`. At
    most `concurrency` statements run at the same time.
    """

    def __init__(
        self,
        database: Database,
        reader: Database,
        datasets: Datasets,
        views: Views,
        *,
        kind: str,
        concurrency: int,
        wait_s: float = WAIT_S,
    ) -> None:
        self._database = database
        self._reader = reader
        self._datasets = datasets
        self._views = views
        self._kind = kind
        self._concurrency = concurrency
        self._places = asyncio.Semaphore(concurrency)
        self._wait_s = wait_s
        self._waiting = 0
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Open the databases; no server is called."""
        async with AsyncExitStack() as stack:
            for database in dict.fromkeys((self._database, self._reader)):
                await stack.enter_async_context(database)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close them."""
        await self._stack.aclose()

    async def run(self, caller: Caller, day: date | None, order: Order) -> Rows | None:
        """Run a statement for a caller who sees datasets as of a day; None where it answers no rows.

        It may write if the caller may. Raises what `Database.run` raises; `Unauthenticated` or `Forbidden`
        where it would write and the caller may not, `Busy`, and `InvalidContent` for an unknown database.
        """
        database = self._chosen(order.database)
        writing = self._writes(caller, database)
        async with self._place():
            try:
                return await database.run(
                    Statement(order.sql, order.parameters, writing), partial(self._tables, day)
                )
            except WriteRefused:
                if database is not self._reader:
                    caller.require(Scope.SQL_WRITE)
                raise

    async def shown(self, caller: Caller, day: date | None, name: str | None) -> Shown:
        """Tell of a database. Raises `InvalidContent` for an unknown one, and what the storage raises."""
        database = self._chosen(name)
        kind = "duckdb" if database is self._reader else self._kind
        aliases = dict(await database.aliases(partial(self._tables, day)))
        names = {dataset: alias for alias, dataset in aliases.pop("", {}).items()}
        return Shown(kind, self._writes(caller, database), names, aliases)

    def _chosen(self, name: str | None) -> Database:
        if name is None:
            return self._database
        if name != READER:
            raise InvalidContent(
                f"There is no database {name[:64]!r}: leave `database` out, or name {READER!r}.",
                pointer="/database",
                valid=[READER],
            )
        return self._reader

    def _writes(self, caller: Caller, database: Database) -> bool:
        return database is not self._reader and caller.may(Scope.SQL_WRITE)

    async def _tables(self, day: date | None) -> Sequence[Table]:
        found = await self._datasets.datasets()
        return [Table(dataset, self._views.of(dataset, day).derivations) for dataset in found]

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """Take one of the places. Raises `Busy` where none gets free in time."""
        if self._waiting >= MAX_WAITING:
            raise self._busy()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_s):
                await self._places.acquire()
        except TimeoutError:
            raise self._busy() from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._places.release()

    def _busy(self) -> Busy:
        return Busy(f"{self._concurrency} SQL statements are under way; try again in a moment.")
