"""Removing what nobody can reach any more, in steps so small that no writer waits for one."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterable
from datetime import datetime
from functools import partial

from service.adapters.sqlite import shelves
from service.adapters.sqlite.database import Database
from service.adapters.sqlite.heads import first_id
from service.adapters.sqlite_file import Work

STEP_S = 0.02
"""How long a step holds the write lock; the pause after it is as long."""

STEP_ROWS = 50
"""Rows that one statement removes; sixteen-mebibyte ones take some milliseconds each."""

_DUE = """
SELECT EXISTS (SELECT 1 FROM shelves WHERE due <= :now)
    OR EXISTS (SELECT 1 FROM documents WHERE expires <= :now)
    OR EXISTS (SELECT 1 FROM remembered WHERE expires <= :now)
"""

_EXPIRED = [
    f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE expires <= ? LIMIT {STEP_ROWS})"  # noqa: S608 - constants
    for table in ("documents", "remembered")
]

_SHELVED = [
    f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE id >= ? AND id < ? LIMIT {STEP_ROWS})"  # noqa: S608 - constants
    for table in ("records", "staged")
]


async def sweep(database: Database, leases: Iterable[int], now: datetime) -> int:
    """Renew this process's leases, then remove what is due: return how many rows that was."""
    if own := list(leases):
        await database.write(lambda connection: shelves.prolong(connection, own, now))
    if not await database.read(lambda connection: _any_due(connection, now)):
        return 0
    removed = 0
    for statement in _EXPIRED:
        removed += await _in_steps(database, statement, (now.timestamp(),))
    while (shelf := await database.write(partial(shelves.claim, now=now))) is not None:
        removed += await _clear(database, shelf)
    return removed


def _any_due(connection: sqlite3.Connection, now: datetime) -> bool:
    return bool(connection.execute(_DUE, {"now": now.timestamp()}).fetchone()[0])


async def _clear(database: Database, shelf: int) -> int:
    removed = 0
    for statement in _SHELVED:
        removed += await _in_steps(database, statement, (first_id(shelf), first_id(shelf + 1)))

    def finish(connection: sqlite3.Connection) -> int:
        holes = connection.execute("DELETE FROM holes WHERE shelf = ?", (shelf,)).rowcount
        return holes + connection.execute("DELETE FROM shelves WHERE shelf = ?", (shelf,)).rowcount

    return removed + await database.write(finish)


async def _in_steps(database: Database, statement: str, parameters: tuple[float, ...]) -> int:
    """Repeat a statement, some milliseconds in each transaction, until it finds nothing to remove."""
    removed, done = 0, False
    while not done:
        start = time.monotonic()
        count, done = await database.write(_step(statement, parameters))
        removed += count
        if not done:
            await asyncio.sleep(time.monotonic() - start)
    return removed


def _step(statement: str, parameters: tuple[float, ...]) -> Work[tuple[int, bool]]:
    def work(connection: sqlite3.Connection) -> tuple[int, bool]:
        removed, end = 0, time.monotonic() + STEP_S
        while time.monotonic() < end:
            count = connection.execute(statement, parameters).rowcount
            removed += count
            if count < STEP_ROWS:
                return removed, True
        return removed, False

    return work
