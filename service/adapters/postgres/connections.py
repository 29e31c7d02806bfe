"""Connections: how many there are at most for what, and what they can be asked."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from enum import Enum
from typing import Any, TypeVar

from service.adapters.postgres.driver import asyncpg, no_reset
from service.adapters.postgres.errors import Place, translated
from service.adapters.postgres.migrations import Migrations
from service.adapters.postgres.vigil import Vigil
from service.domain.errors import AeroliteError, Busy, StoreError

T = TypeVar("T")

Row = Any
"""A row as the driver gives it: values by name. (The driver has no types.)"""


class Lane(Enum):
    """What a connection is for; none takes another's, so that long work never keeps a page from being read.

    The values are the share of `pool_size` and the time in seconds after which one use is hopeless.
    """

    READ = (1.0, 10.0)
    WRITE = (0.5, 600.0)
    LOAD = (0.5, 3600.0)
    SNAPSHOT = (2.0, 600.0)

    def size(self, pool_size: int) -> int:
        """Return how many connections there are of this kind."""
        return max(1, round(self.value[0] * pool_size))

    @property
    def limit_s(self) -> float:
        """How long one command may take while the server is alive."""
        return self.value[1]


class Link:
    """A connection that somebody has to himself for a while."""

    def __init__(self, connection: Any, connections: Connections, lane: Lane) -> None:
        self._connection = connection
        self._connections = connections
        self._lane = lane

    async def fetch(self, query: str, *arguments: object) -> list[Row]:
        """Return all rows."""
        return await self._answer(lambda: self._connection.fetch(query, *arguments))

    async def fetchrow(self, query: str, *arguments: object) -> Row | None:
        """Return the first row, or None."""
        return await self._answer(lambda: self._connection.fetchrow(query, *arguments))

    async def one(self, query: str, *arguments: object) -> Row:
        """Return the row of a query that has one."""
        return await self._answer(lambda: self._connection.fetchrow(query, *arguments))

    async def execute(self, query: str, *arguments: object) -> int:
        """Return how many rows were written."""
        status: str = await self._answer(lambda: self._connection.execute(query, *arguments))
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def copy(
        self, table: tuple[str, str], columns: Sequence[str], rows: Iterable[tuple[object, ...]]
    ) -> None:
        """Load rows into a table (its schema and name) by COPY."""
        schema, name = table
        await self._answer(
            lambda: self._connection.copy_records_to_table(
                name, schema_name=schema, columns=columns, records=_in_turns(rows)
            )
        )

    async def commit(self) -> None:
        """Commit. Raises `OutcomeUnknown` where the connection dies meanwhile."""
        await self._answer(lambda: self._connection.execute("COMMIT"), committing=True)

    async def close(self) -> None:
        """Roll back what was not committed."""
        if not self.lost and self._connection.is_in_transaction():
            # Where this fails the connection is closed, which rolls back too.
            with suppress(AeroliteError):
                await self.execute("ROLLBACK")

    @property
    def backend(self) -> int | None:
        """The process id of the session, or None behind PgBouncer, which makes one up."""
        return int(self._connection.get_server_pid()) if self._connections.direct else None

    @property
    def lost(self) -> bool:
        """Whether the connection is closed."""
        try:
            return bool(self._connection.is_closed())
        except asyncpg.InterfaceError:
            return True  # terminated: the pool has it back

    async def _answer(self, command: Callable[[], Awaitable[T]], *, committing: bool = False) -> T:
        with translated(self._connections.place, committing=committing):
            try:
                return await self._connections.vigil.attend(command(), self._lane.limit_s, self)
            except asyncpg.PostgresError:
                raise  # the server has answered: the connection is as good as before
            except TimeoutError:
                self._connection.terminate()
                await self._connections.distrust()
                raise
            except BaseException:
                # Cancelled or cut off inside a command. To wait for the driver's own way of cancelling
                # would be to wait for the server.
                self._connection.terminate()
                raise


class Server:
    """A PostgreSQL server: its URL for the driver, its place for sentences."""

    def __init__(self, url: str, *, timeout_s: float, setting: str = "STORAGE_URL") -> None:
        self._url = url
        self._timeout_s = timeout_s
        self.place = Place.of(url, setting)

    async def connect(self) -> Any:
        """Return a new connection. Raises the driver's errors, and `StoreError` where the URL is wrong."""
        try:
            return await asyncpg.connect(
                self._url, timeout=self._timeout_s, server_settings={"application_name": "aerolite"}
            )
        except ssl.SSLError:
            raise  # that of a certificate is a ValueError, too
        except ValueError as error:
            cause = self.place.redacted(error)
            raise StoreError(f"{self.place.text} cannot be reached by this URL: {cause}.") from None


class Connections:
    """The connections of a process, made when they are first needed.

    `migrations` are applied by the first, `vigil` watches who waits, `timeout_s` is how long to wait for a
    connection that others use.
    """

    def __init__(
        self,
        server: Server,
        migrations: Migrations,
        vigil: Vigil,
        *,
        timeout_s: float,
        pool_size: int,
    ) -> None:
        self._server = server
        self.place = server.place
        self._migrations = migrations
        self.vigil = vigil
        self.direct = True
        self._timeout_s = timeout_s
        self._free = {lane: asyncio.Semaphore(lane.size(pool_size)) for lane in Lane}
        self._size = sum(lane.size(pool_size) for lane in Lane)
        self._pool: Any = None

    async def open(self) -> None:
        """Make the pool, which connects to nothing yet."""
        self._pool = await asyncpg.create_pool(
            connect=self._connect, reset=no_reset, min_size=0, max_size=self._size
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._pool is None:
            return
        await self.vigil.close()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._pool.close()
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._pool.terminate()

    async def distrust(self) -> None:
        """Use no idle connection again: what has cut off one may have cut off all."""
        await self._pool.expire_connections()

    async def _connect(self, *_: object, **__: object) -> Any:
        connection = await self._server.connect()
        try:
            backend = await connection.fetchval("SELECT pg_backend_pid()")
            self.direct = backend == connection.get_server_pid()
            await self._migrations.apply(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    @asynccontextmanager
    async def link(self, lane: Lane) -> AsyncIterator[Link]:
        """Lend a connection. Raises `Busy` where all of this kind are in use for too long."""
        with translated(self.place):
            connection = await self.vigil.attend(self._take(lane), lane.limit_s)
        link = Link(connection, self, lane)
        try:
            yield link
        finally:
            try:
                await link.close()
                await self._pool.release(connection)
            finally:
                self._free[lane].release()

    async def _take(self, lane: Lane) -> Any:
        free = self._free[lane]
        try:
            async with asyncio.timeout(self._timeout_s if free.locked() else None):
                await free.acquire()
        except TimeoutError:
            raise Busy(f"All connections to {self.place.text} for this are in use. Try again.") from None
        try:
            return await self._pool.acquire()
        except BaseException:
            free.release()
            raise


async def _in_turns(rows: Iterable[tuple[object, ...]]) -> AsyncIterator[tuple[object, ...]]:
    """Yield the rows, and let other tasks run after every 500."""
    for number, row in enumerate(rows):
        if number % 500 == 499:
            await asyncio.sleep(0)
        yield row
