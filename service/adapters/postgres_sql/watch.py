"""The service's own connection beside clients' sessions: it ends them, and tells which are idle.

A client's function may catch the cancelling of its statement, by a time limit as by a request; the end of
its session it cannot catch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from service.adapters.postgres.connections import Server
from service.adapters.postgres.errors import translated
from service.adapters.postgres.freshness import IDLE
from service.domain.errors import AeroliteError

_END = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = $1 AND starts_with(usename, 'aerolite_sql_')
"""


class Watch:
    """One connection as the URL's user, made when it is first needed; questions take turns."""

    def __init__(self, server: Server, *, limit_s: float) -> None:
        self._server = server
        self._limit_s = limit_s
        self._connection: Any = None
        self._turn = asyncio.Lock()

    async def idle(self, backends: Sequence[int]) -> Mapping[int, datetime | None]:
        """Return those of these sessions that are not at work, and since when. Raises `StoreError`."""
        rows = await self._fetch(IDLE, list(backends))
        return {row["pid"]: row["since"] for row in rows}

    async def end(self, pid: int) -> None:
        """End a client's session; a server that does not answer ends it by itself, at the time limit."""
        try:
            await self._fetch(_END, pid)
        except AeroliteError:
            return

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _fetch(self, query: str, *arguments: object) -> Sequence[Any]:
        with translated(self._server.place):
            async with asyncio.timeout(self._limit_s), self._turn:
                try:
                    if self._connection is None or self._connection.is_closed():
                        self._connection = await self._server.connect()
                    rows: Sequence[Any] = await self._connection.fetch(query, *arguments)
                except BaseException:
                    self.close()
                    raise
        return rows
