"""Sessions of clients' statements: each is used once, so nothing of one reaches the next."""

from __future__ import annotations

import asyncio
from typing import Any

from service.adapters.postgres.driver import asyncpg
from service.adapters.postgres.vigil import Vigil
from service.adapters.postgres_sql.role import Role
from service.adapters.postgres_sql.wire import Answer, Wire
from service.ports.database import Bounds

GRACE_S = 0.5
"""How long after its time a statement has to end by itself, before its session is ended."""

_ENTERING = 8
"""Who logs in at the same time: a server that answers a crowd slowly is not gone."""

_CHECKS_CLIENT = 14  # the first release that looks, while it works, whether its client is still there


class _Taken(asyncpg.Connection):  # type: ignore[misc]  # the driver has no types
    """A connection that tells its transport, which it is to be asked on."""

    def __init__(self, protocol: Any, transport: Any, *rest: Any, **others: Any) -> None:
        super().__init__(protocol, transport, *rest, **others)
        self.transport = transport


class Session:
    """A session on the server, used for one statement; `backend` is its process there."""

    def __init__(self, connection: Any, wire: Wire, vigil: Vigil, limit_s: float) -> None:
        self.backend: int = connection.get_server_pid()
        self._wire = wire
        self._connection = connection
        self._vigil = vigil
        self._limit_s = limit_s

    async def ask(self, request: bytes, answer: Answer | None = None) -> Answer:
        """Send and await the answer.

        Raises `Refused`, `Lost`, `Overflow`, and `TimeoutError` where the server does not answer any more.
        """
        (found,) = await self.ask_all((request, answer or Answer()))
        return found.checked()

    async def ask_all(self, *questions: tuple[bytes, Answer]) -> list[Answer]:
        """Send all at once and await the answers, of which any may be a failure. Raises `TimeoutError`."""
        futures = [self._wire.ask(*question) for question in questions]
        await self._vigil.attend(futures[-1], self._limit_s, self)  # they are answered in turn
        return [future.result() for future in futures]

    @property
    def idle(self) -> bool:
        """Whether the server has answered all that it was asked."""
        return self._wire.idle

    @property
    def lost(self) -> bool:
        """Whether it is over."""
        return self._wire.ended

    def end(self) -> None:
        """Hang up, which rolls back what was not committed."""
        self._connection.terminate()


class Sessions:
    """Opens sessions as a role; `timeout_s` is how long a server may take to let in."""

    def __init__(self, url: str, vigil: Vigil, bounds: Bounds, *, timeout_s: float) -> None:
        self._url = url
        self._vigil = vigil
        self._bounds = bounds
        self._timeout_s = timeout_s
        self._entering = asyncio.Semaphore(_ENTERING)

    async def open(self, role: Role, version: int) -> Session:
        """Log in, on a server of this major version. Raises the driver's errors."""
        async with self._entering:
            connection = await asyncpg.connect(
                self._url,
                user=role.name,
                password=role.password,
                timeout=self._timeout_s,
                connection_class=_Taken,
                server_settings=_settings(self._bounds.timeout_s, version),
            )
        wire = Wire(connection.transport, max_bytes=self._bounds.max_bytes)
        return Session(connection, wire, self._vigil, self._bounds.timeout_s + 2 * GRACE_S)


def _settings(timeout_s: float, version: int) -> dict[str, str]:
    """Return what a session begins with; what bounds the server's work, and how values are written."""
    limit_ms = str(max(1, round(timeout_s * 1000)))
    settings = {
        "application_name": "aerolite-sql",
        "statement_timeout": limit_ms,
        "lock_timeout": limit_ms,
        "idle_in_transaction_session_timeout": str(round((timeout_s + 10) * 1000)),
        "max_parallel_workers_per_gather": "0",
        "jit": "off",
        "search_path": "pg_catalog",
        "client_min_messages": "error",
        "standard_conforming_strings": "on",
        "synchronous_commit": "on",
        "DateStyle": "ISO, YMD",
        "IntervalStyle": "postgres",
        "TimeZone": "UTC",
        "bytea_output": "hex",
        "extra_float_digits": "1",
    }
    if version >= _CHECKS_CLIENT:
        settings["client_connection_check_interval"] = "1000"
    return settings
