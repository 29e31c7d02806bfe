"""The SQLite backend: one file, one process or several on one machine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Self

from service.adapters.sqlite import sweeping
from service.adapters.sqlite.database import Database
from service.adapters.sqlite.datasets import SqliteDatasets
from service.adapters.sqlite.documents import SqliteDocuments
from service.ports.clock import Clock

TIMEOUT_S = 1.5
"""How long a write waits for its turn; it must be answered within 2 s."""


class SqliteStorage:
    """Storage in the SQLite file at `path`, which is made on entering if it is absent.

    `readers` is how many reads go on at the same time, `timeout_s` how long a write waits for others,
    `max_bytes` what the file may grow to (None: what the disk has).
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        readers: int = 4,
        timeout_s: float = TIMEOUT_S,
        max_bytes: int | None = None,
    ) -> None:
        self._database = Database(path, readers=readers, timeout_s=timeout_s, max_bytes=max_bytes)
        self._leases: set[int] = set()
        self.datasets = SqliteDatasets(self._database, clock, self._leases)
        self.documents = SqliteDocuments(self._database, clock)

    async def __aenter__(self) -> Self:
        """Open the file. Raises `StoreError` where it cannot be our database."""
        await self._database.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close it."""
        await self._database.close()

    async def ping(self) -> None:
        """Return if the file can be read."""
        await self._database.read(
            lambda connection: connection.execute("SELECT 1 FROM datasets LIMIT 1").fetchall()
        )

    async def sweep(self, now: datetime) -> int:
        """Remove what nobody can reach any more."""
        return await sweeping.sweep(self._database, self._leases, now)

    def warnings(self) -> Sequence[str]:
        """Say nothing: what this backend needs of the file system it has refused to start without."""
        return ()
