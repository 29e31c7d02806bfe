"""SQL over the datasets for strangers: read-only, by DuckDB, in children that are killed in time."""

from __future__ import annotations

import asyncio
import json
import math
import os
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import msgspec

from service.adapters.duckdb.names import sql_names
from service.adapters.duckdb_child.messages import Failed, Needs, Run
from service.adapters.duckdb_sql.exchange import Outcome, exchange, started
from service.adapters.duckdb_sql.files import Files, SchemaMoved
from service.adapters.duckdb_sql.naming import columns_of, dataset_aliases, meant, shapes
from service.domain.errors import Busy, QueryFailed, StoreUnavailable, WriteRefused
from service.ports.database import Bounds, Rows, Statement, Table, Tables
from service.ports.engine import Engine
from service.ports.storage import Datasets
from service.processes import Children

MEMORY_BYTES = 256 << 20
DISK_BYTES = 1 << 30

_CHILD = "service.adapters.duckdb_child"
_ATTEMPTS = 4
_ROUNDS = 16
"""How often a statement may turn out to name one more table: only what the parser does not show does so."""


class DuckdbDatabase:
    """The datasets as DuckDB tables that nobody can write.

    At most `concurrency` statements run at a time, each in a child process with `memory_bytes`; files of
    datasets take at most `disk_bytes` of `spool_dir` (None: the system's for temporary files),
    where the engine has its own.
    """

    def __init__(
        self,
        engine: Engine,
        datasets: Datasets,
        spool_dir: Path | None,
        bounds: Bounds,
        concurrency: int,
        *,
        memory_bytes: int = MEMORY_BYTES,
        disk_bytes: int = DISK_BYTES,
    ) -> None:
        self._bounds = bounds
        self._concurrency = concurrency
        self._memory_bytes = memory_bytes
        self._files = Files(engine, datasets, spool_dir, disk_bytes)
        self._children: Children | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Make the directory of files; no child is started before it is needed."""
        async with AsyncExitStack() as stack:
            files = await stack.enter_async_context(self._files)
            children = Children(
                (sys.executable, "-m", _CHILD, str(files.directory), str(self._memory_bytes)),
                self._concurrency,
                # Nothing of ours: no secret can be read out of it, not even by a fault in DuckDB.
                environment={"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
                ready=started,
                ahead=True,
            )
            self._children = await stack.enter_async_context(children)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """End the children and remove the files."""
        self._children = None
        await self._stack.aclose()

    @property
    def children(self) -> frozenset[int]:
        """The process ids of the children."""
        return frozenset() if self._children is None else self._children.alive

    async def run(self, statement: Statement, tables: Tables) -> Rows:
        """Run a statement that reads; any other is refused, whatever it may. Raises `WriteRefused`, too."""
        for _ in range(_ATTEMPTS):
            try:
                return await self._run(statement, tables)
            except SchemaMoved:
                continue
        raise Busy("A dataset's columns change faster than they can be read; try again in a moment.")

    async def aliases(self, tables: Tables) -> Mapping[str, Mapping[str, str]]:
        """Return which names of datasets' columns are others in SQL."""
        found: dict[str, Mapping[str, str]] = {}
        known = await tables()
        for table in known:
            own = [column.name for column in columns_of(table)]
            renamed = {alias: name for alias, name in zip(sql_names(own), own, strict=True) if alias != name}
            if renamed:
                found[table.dataset.name] = renamed
        if others := dataset_aliases(known):
            found[""] = others
        return found

    async def _run(self, statement: Statement, tables: Tables) -> Rows:
        try:
            statement.sql.encode()
        except UnicodeEncodeError as error:
            message = "The statement has half a character, which UTF-8 cannot write."
            raise QueryFailed(message, position=error.start + 1) from None
        bounds = self._bounds
        run = Run(
            sql=statement.sql,
            parameters=json.dumps(statement.parameters, default=str).encode(),
            tables={},
            considered=frozenset(),
            listed=None,
            max_rows=bounds.max_rows,
            max_bytes=bounds.max_bytes,
            cpu_s=math.ceil(bounds.timeout_s) + 1,
        )
        known: Sequence[Table] | None = None
        async with AsyncExitStack() as held:
            for _ in range(_ROUNDS):
                answer = await self._asked(run)
                if not isinstance(answer, Needs):
                    return answer
                if known is None:
                    known = await tables()
                run = await self._provided(run, answer, known, held)
        raise QueryFailed(f"The statement names more than {_ROUNDS} tables in ways that cannot be foreseen.")

    async def _provided(self, run: Run, needs: Needs, known: Sequence[Table], held: AsyncExitStack) -> Run:
        """Return the statement with the files of what it needs, for as long as the stack is open."""
        files = dict(run.tables)
        for name, table in meant([*files, *needs.names], known).items():
            if name not in files:
                files[name] = await held.enter_async_context(self._files.held(table))
        listing = needs.listing or run.listed is not None
        return msgspec.structs.replace(
            run,
            tables=files,
            considered=run.considered | {name.lower() for name in needs.names},
            listed=shapes(known, list(files)) if listing else None,
        )

    async def _asked(self, run: Run) -> Rows | Needs:
        """Return a child's answer. Raises `QueryFailed`, `WriteRefused`."""
        if self._children is None:
            raise _closed()
        try:
            async with self._children.borrowed() as child:
                answer = await self._in_time(child, run)
                if isinstance(answer, Failed) and answer.spent:
                    raise _failed(answer)  # which ends the child
        except ChildProcessError:
            raise _closed() from None
        if isinstance(answer, Failed):
            raise _failed(answer)
        return answer

    async def _in_time(self, child: Process, run: Run) -> Outcome:
        timeout_s = self._bounds.timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                return await exchange(child, run)
        except TimeoutError:
            raise QueryFailed(f"The statement took more than {timeout_s:g} s and was stopped.") from None


def _closed() -> StoreUnavailable:
    return StoreUnavailable("The reader of SQL is not running.")


def _failed(answer: Failed) -> QueryFailed:
    place: dict[str, Any] = {} if answer.position is None else {"position": answer.position}
    return (WriteRefused if answer.writes else QueryFailed)(answer.message, **place)
