"""The service's tables: numbered SQL files, each applied once, in order."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from typing import Any

_LOCK = "SELECT pg_advisory_xact_lock(hashtext('aerolite.migrations'))"

_FIRST = """
CREATE SCHEMA IF NOT EXISTS aerolite;
REVOKE ALL ON SCHEMA aerolite FROM PUBLIC;
CREATE TABLE IF NOT EXISTS aerolite.migrations (
    number integer PRIMARY KEY,
    applied timestamptz NOT NULL DEFAULT now()
);
"""


class Migrations:
    """Brings a database up to date, once per process and after its tables were lost.

    A database that is ahead of this release is left as it is: during a rolling update both releases run.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self.done = False

    async def apply(self, connection: Any) -> None:
        """Apply what is missing; processes that start at once wait for each other.

        Raises the driver's errors.
        """
        async with self._lock:
            if self.done:
                return
            statements = await asyncio.to_thread(_statements)
            if await _newest(connection) < len(statements):
                async with connection.transaction():
                    await connection.execute(_LOCK)
                    await connection.execute(_FIRST)
                    for number in range(await _newest(connection), len(statements)):
                        await connection.execute(statements[number])
                        await connection.execute(
                            "INSERT INTO aerolite.migrations (number) VALUES ($1)", number + 1
                        )
            self.done = True


async def _newest(connection: Any) -> int:
    """Return the number of the newest migration that was applied, 0 where there is none."""
    if await connection.fetchval("SELECT to_regclass('aerolite.migrations')") is None:
        return 0
    newest: int = await connection.fetchval("SELECT coalesce(max(number), 0) FROM aerolite.migrations")
    return newest


def _statements() -> list[str]:
    """Return the text of each file; `0001_….sql` is the first."""
    found = [file for file in files(__package__).iterdir() if file.name.endswith(".sql")]
    return [file.read_text("utf-8") for file in sorted(found, key=lambda file: file.name)]
