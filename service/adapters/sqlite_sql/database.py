"""SQLite as a database for clients."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct
from typing import Any, NoReturn, Self

import msgspec

from service.adapters.sqlite_child.messages import (
    Answer,
    Batch,
    Commit,
    Done,
    Failed,
    Kind,
    Limits,
    Mentions,
    Run,
    Setup,
    Written,
)
from service.adapters.sqlite_child.messages import Tables as TableSpecs
from service.adapters.sqlite_file import connect
from service.adapters.sqlite_sql.exchange import Child, Ended
from service.adapters.sqlite_sql.tables import aliases, specs
from service.domain.errors import (
    OutcomeUnknown,
    OutOfSpace,
    QueryFailed,
    StoreError,
    StoreUnavailable,
    WriteRefused,
)
from service.ports.database import Bounds, Rows, Statement, Tables
from service.processes import Children

HEAP_BYTES = 128 << 20
"""SQLite's memory for a statement: sorts, temporary tables, values."""

FILE_BYTES = 4 << 30

CHILD = "service.adapters.sqlite_child"
MAX_CHILDREN = 1024
"""More than any setting lets run at once."""

_ATTEMPTS = 5
_SPARE_S = 5.0
"""A child ends by itself soon after a statement's time; this is for one that does not even do that."""

_COMMIT_S = 30.0
"""How long a commit may take before it counts as lost."""

_APPLICATION_ID = Struct(">68xi")  # https://sqlite.org/fileformat.html, section 1.3
_STORAGE_ID = 0x4165726F


class Stale(Exception):
    """A dataset's columns changed between the look at them and the statement."""


@dataclass(slots=True)
class Told:
    """What a child has told of a statement so far; `columns` is None where it has no rows."""

    child: Child
    columns: tuple[str, ...] | None = None
    rows: list[tuple[Any, ...]] = field(default_factory=list)


class SqliteDatabase:
    """Clients' SQL on the SQLite file at `path`, which the first statement makes if it is absent.

    The datasets of the storage at `storage_path` are there as views (None: no datasets). `heap_bytes` is
    SQLite's memory for a statement, `file_bytes` what the file may grow to.
    """

    def __init__(
        self,
        path: Path,
        storage_path: Path | None,
        bounds: Bounds,
        *,
        heap_bytes: int = HEAP_BYTES,
        file_bytes: int = FILE_BYTES,
    ) -> None:
        self._path = path
        self._storage_path = storage_path
        self._bounds = bounds
        limits = Limits(bounds.timeout_s, bounds.max_rows, bounds.max_bytes, heap_bytes, file_bytes)
        storage = None if storage_path is None else str(storage_path.absolute())
        setup = Setup(str(path.absolute()), storage, limits)
        self._children = Children(
            (sys.executable, "-m", CHILD, msgspec.json.encode(setup).decode()),
            MAX_CHILDREN,
            # Nothing of ours: no secret can be read out of it, not even by a fault in SQLite.
            environment={"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
        )

    async def __aenter__(self) -> Self:
        """Start no child yet. Raises `StoreError` where the file is a storage of ours."""
        await asyncio.to_thread(self._refuse_storage)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """End the children, and leave one file where nobody else has it open."""
        await self._children.__aexit__(*exc)
        await asyncio.to_thread(self._tidy)

    async def run(self, statement: Statement, tables: Tables) -> Rows | None:
        """Run a statement."""
        for attempt in range(_ATTEMPTS):
            try:
                return await self._once(statement, tables)
            except Stale:
                continue
            except ChildProcessError:
                raise StoreUnavailable("The database is being closed.") from None
            except Ended as error:
                if attempt or not error.unheard or error.signal == signal.SIGALRM:
                    raise _ended(error, self._bounds) from None
        raise StoreUnavailable("The columns of a dataset change all the time. Try again.")

    async def aliases(self, tables: Tables) -> Mapping[str, Mapping[str, str]]:
        """Return the names that are others in SQL."""
        if self._storage_path is None:
            return {}
        return await asyncio.to_thread(aliases, await tables())

    async def _once(self, statement: Statement, tables: Tables) -> Rows | None:
        parameters = statement.parameters
        order = Run(
            statement.sql,
            dict(parameters) if isinstance(parameters, Mapping) else list(parameters),
            statement.writing,
        )
        try:
            async with self._children.borrowed() as process:
                told = Told(Child(process))
                async with asyncio.timeout(self._bounds.timeout_s + _SPARE_S):
                    end = await self._follow(told, order, tables)
                if isinstance(end, Written):
                    end = await _commit(told.child)
        except TimeoutError:
            raise _late(self._bounds) from None
        if isinstance(end, Failed):
            _raise(end)
        return None if told.columns is None else Rows(told.columns, told.rows, end.truncated)

    async def _follow(self, told: Told, order: Run, tables: Tables) -> Written | Done | Failed:
        """Lead a child through a statement to its end, or to where it would commit."""
        try:
            await told.child.send(order)
        except OverflowError:
            raise QueryFailed("An integer parameter has more than the 64 bits of SQLite's.") from None
        while True:
            match await told.child.receive():
                case Mentions(names):
                    known = () if self._storage_path is None else specs(await tables(), frozenset(names))
                    await told.child.send(TableSpecs(known))
                case Batch(rows, columns):
                    told.columns = told.columns or columns
                    told.rows += rows
                case end:
                    return end

    def _tidy(self) -> None:
        """Have the log written back, which the children, killed as they were, have left beside the file."""
        with suppress(sqlite3.Error), closing(connect(self._path)) as connection:
            connection.execute("PRAGMA schema_version")

    def _refuse_storage(self) -> None:
        """Raise `StoreError` where a stranger would be let into a storage."""
        storage, own = self._storage_path, self._path
        if storage is not None and storage.resolve() == own.resolve():
            raise StoreError(f"DATABASE_URL names the storage's own file {own}. Name another.")
        try:
            with own.open("rb") as file:
                head = file.read(_APPLICATION_ID.size)
        except OSError:
            return  # it is not there, or every statement will say why it cannot be read
        if len(head) == _APPLICATION_ID.size and _APPLICATION_ID.unpack(head)[0] == _STORAGE_ID:
            raise StoreError(f"DATABASE_URL names the file {own}, which is a storage. Name another.")


async def _commit(child: Child) -> Done | Failed:
    """Let a child commit: from here on the write counts, so that who is cancelled waits for its end, too.

    Raises `OutcomeUnknown` where the child does not tell.
    """
    end = asyncio.ensure_future(_committed(child))
    try:
        async with asyncio.timeout(_COMMIT_S):
            answer = await asyncio.shield(end)
    except asyncio.CancelledError:
        await asyncio.wait({end}, timeout=_COMMIT_S)
        raise
    except (Ended, TimeoutError):
        raise OutcomeUnknown("SQLite did not say how the commit ended: it is whole or not there.") from None
    finally:
        end.cancel()
    assert isinstance(answer, Done | Failed)  # noqa: S101 - nothing else follows
    return answer


async def _committed(child: Child) -> Answer:
    await child.send(Commit())
    return await child.receive()


def _ended(error: Ended, bounds: Bounds) -> QueryFailed:
    if error.signal == signal.SIGALRM:
        return _late(bounds)
    return QueryFailed("The statement brought SQLite's process down; nothing was written.")


def _late(bounds: Bounds) -> QueryFailed:
    return QueryFailed(f"The statement took more than {bounds.timeout_s:g} s and was stopped.")


def _raise(failed: Failed) -> NoReturn:
    match failed.kind:
        case Kind.QUERY:
            members: dict[str, Any] = {} if failed.position is None else {"position": failed.position}
            raise QueryFailed(failed.message, **members)
        case Kind.WRITE:
            raise WriteRefused(failed.message)
        case Kind.STALE:
            raise Stale
        case Kind.UNKNOWN:
            raise OutcomeUnknown(failed.message)
        case Kind.SPACE:
            raise OutOfSpace(failed.message)
        case Kind.UNAVAILABLE:
            raise StoreUnavailable(failed.message)
