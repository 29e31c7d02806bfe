"""The current revision of a dataset, on every request, for the price of a fraction of a lookup."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from service.adapters.postgres.connections import Server
from service.adapters.postgres.errors import translated
from service.adapters.postgres.rows import COLUMNS, Seen, dataset_of
from service.domain.datasets import Dataset
from service.domain.errors import AeroliteError, StoreUnavailable

# No row for what is as it was seen; a row of nulls for what was seen and is no more (another database).
_LOOKUP = f"""
SELECT seen.name AS asked, {COLUMNS}
FROM unnest($1::text[], $2::bigint[]) AS seen (name, revision)
LEFT JOIN aerolite.datasets AS d ON d.name = seen.name COLLATE "C"
WHERE d.revision IS DISTINCT FROM seen.revision
"""  # noqa: S608 - constants

# A session that has ended is idle, too. With `track_activities` off nobody is.
IDLE = """
SELECT asked.pid, activity.state_change AS since
FROM unnest($1::integer[]) AS asked (pid) LEFT JOIN pg_stat_activity AS activity USING (pid)
WHERE activity.pid IS NULL OR activity.state LIKE 'idle%'
"""

_Question = str | tuple[int, ...]
"""The name of a dataset, or the process ids of sessions."""

_Waiter = tuple[_Question, "asyncio.Future[Any]"]


class Freshness:
    """Asks on a connection of its own, one lookup after the other.

    A lookup serves all that were waiting when it was sent, and none that came later: so nobody gets an
    answer that is older than his question. `limit_s` bounds a lookup, a new connection included.
    """

    def __init__(self, server: Server, seen: Seen, *, limit_s: float) -> None:
        self._server = server
        self._seen = seen
        self._limit_s = limit_s
        self._connection: Any = None
        self._waiting: list[_Waiter] = []
        self._turns: asyncio.Task[None] | None = None
        self._closed = False

    async def dataset(self, name: str) -> Dataset | None:
        """Return the current revision."""
        found: Dataset | None = await self._ask(name)
        return found

    async def idle(self, backends: Sequence[int]) -> Mapping[int, datetime | None]:
        """Return those of these sessions that are not at work, and since when (None: they have ended)."""
        found: Mapping[int, datetime | None] = await self._ask(tuple(backends))
        return found

    async def close(self) -> None:
        """End it; whoever waits, or asks later, is told that the store is unavailable."""
        self._closed = True
        if self._turns is not None:
            self._turns.cancel()
            await asyncio.wait([self._turns])
        self._leave(self._waiting)  # it may not have begun
        self._drop()

    def _ask(self, question: _Question) -> asyncio.Future[Any]:
        waiter = asyncio.get_running_loop().create_future()
        if self._closed:
            self._leave([(question, waiter)])
            return waiter
        self._waiting.append((question, waiter))
        if self._turns is None:
            self._turns = asyncio.create_task(self._take_turns())
        return waiter

    async def _take_turns(self) -> None:
        waiting: Sequence[_Waiter] = ()
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, []
                await self._serve(waiting)
        finally:
            self._turns = None
            self._leave([*waiting, *self._waiting])
            self._waiting = []

    async def _serve(self, waiting: Sequence[_Waiter]) -> None:
        limit = asyncio.timeout(self._limit_s)
        try:
            with translated(self._server.place):
                async with limit:
                    found = await self._look({question for question, _ in waiting})
        except AeroliteError as error:
            if limit.expired():  # who came meanwhile must not wait as long again
                waiting, self._waiting = [*waiting, *self._waiting], []
            _fail(waiting, error)
            return
        for question, waiter in waiting:
            if not waiter.done():  # who was cancelled waits no more
                waiter.set_result(found[question])

    async def _look(self, questions: set[_Question]) -> dict[_Question, Any]:
        found: dict[_Question, Any] = {}
        names = [question for question in questions if isinstance(question, str)]
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._server.connect()
            if names:
                found.update(await self._datasets(names))
            for question in questions.difference(names):
                rows = await self._connection.fetch(IDLE, question)
                found[question] = {row["pid"]: row["since"] for row in rows}
        except BaseException:
            self._drop()
            raise
        return found

    async def _datasets(self, names: Sequence[str]) -> dict[str, Dataset | None]:
        found = {name: self._seen.get(name) for name in names}
        revisions = [None if dataset is None else dataset.revision for dataset in found.values()]
        for row in await self._connection.fetch(_LOOKUP, names, revisions):
            name = row["asked"]
            found[name] = dataset_of(row)
            self._seen.put(name, found[name])
        return found

    def _leave(self, waiting: Sequence[_Waiter]) -> None:
        _fail(waiting, StoreUnavailable(f"{self._server.place.text} is being left."))

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def _fail(waiting: Sequence[_Waiter], error: AeroliteError) -> None:
    for _, waiter in waiting:
        if not waiter.done():
            # One exception for each: raised in several tasks, one would gather all their tracebacks.
            waiter.set_exception(type(error)(error.detail))
