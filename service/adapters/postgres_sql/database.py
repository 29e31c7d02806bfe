"""Clients' SQL in PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Self

from service.adapters.postgres.connections import Server
from service.adapters.postgres.vigil import Vigil
from service.adapters.postgres_sql.entrance import Entrance
from service.adapters.postgres_sql.failures import too_slow
from service.adapters.postgres_sql.parameters import check_count
from service.adapters.postgres_sql.provision import Provision
from service.adapters.postgres_sql.running import Running
from service.adapters.postgres_sql.sessions import GRACE_S, Session, Sessions
from service.adapters.postgres_sql.statements import kind_of
from service.adapters.postgres_sql.views import Shown, Views, aliases
from service.adapters.postgres_sql.watch import Watch
from service.domain.errors import StoreUnavailable
from service.ports.database import Bounds, Rows, Statement, Tables

_MAX_REPAIRS = 2


class PostgresDatabase:
    """The database at `url`, for clients: as a role of its own, in a schema of its own.

    `shows_datasets`: the storage is in the same database, so that views can show them. A server that does
    not answer for `timeout_s` counts as gone. Raises `StoreError` where the URL is none.
    """

    def __init__(self, url: str, bounds: Bounds, *, shows_datasets: bool, timeout_s: float = 2.0) -> None:
        server = Server(url, timeout_s=timeout_s * 0.8, setting="DATABASE_URL")
        self._bounds = bounds
        self._shows_datasets = shows_datasets
        self._place = server.place
        self._watch = Watch(server, limit_s=timeout_s * 0.8)
        self._vigil = Vigil(self._watch.idle, timeout_s=timeout_s)
        sessions = Sessions(url, self._vigil, bounds, timeout_s=timeout_s * 0.8)
        self._entrance = Entrance(url, Provision(server), sessions)
        self._views = Views()
        self._open: set[Session] = set()
        self._ending: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Make ready; no server is called."""
        return self

    async def __aexit__(self, *exc: object) -> None:
        """End what is under way and close what was opened."""
        for session in tuple(self._open):
            session.end()
            self._end_there(session)
        if self._ending:
            await asyncio.wait(self._ending)
        await self._vigil.close()
        self._watch.close()

    async def run(self, statement: Statement, tables: Tables) -> Rows | None:
        """Run a statement."""
        kind = kind_of(statement.sql)
        check_count(statement.parameters)
        shown = await self._views.shown(await tables()) if self._shows_datasets else Shown()
        repairs = 0
        while True:
            seen = self._entrance.repairs
            async with self._session() as session:
                running = Running(session, statement, kind, self._bounds, self._place)
                findings = await running.begin(shown.sight)
                if not findings:
                    return await self._finish(running)
            if repairs == _MAX_REPAIRS:
                raise self._entrance.closed(findings)
            repairs += await self._entrance.repair(findings, shown, seen)

    async def aliases(self, tables: Tables) -> Mapping[str, Mapping[str, str]]:
        """Return which names of datasets' columns are others in SQL."""
        return await asyncio.to_thread(aliases, await tables()) if self._shows_datasets else {}

    async def _finish(self, running: Running) -> Rows | None:
        """Run what has begun, within its time, and commit."""
        try:
            async with asyncio.timeout(self._bounds.timeout_s + GRACE_S) as limit:
                rows = await running.run()
        except TimeoutError:
            if limit.expired():
                raise too_slow(self._bounds.timeout_s) from None
            raise StoreUnavailable(f"{self._place.text} does not answer.") from None
        await running.commit()
        return rows

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Session]:
        """Lend a new session; the server works for it no more when it is given back."""
        session = await self._entrance.enter()
        self._open.add(session)
        try:
            yield session
        finally:
            self._open.discard(session)
            idle = session.idle
            session.end()
            if not idle:
                await asyncio.shield(self._end_there(session))

    def _end_there(self, session: Session) -> asyncio.Task[None]:
        task = asyncio.create_task(self._watch.end(session.backend))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task
