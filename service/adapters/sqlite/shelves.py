"""Shelves: where records stand, who may still write to them, and when they can be removed.

A staged shelf has a lease. Its writer renews it with each stage, and its process with each sweep, so that of
a living process never ends; that of a dead one does, and any process then removes the shelf. A writer whose
process stood still finds its shelf taken at the commit, in the same transaction, and is refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime

from service.adapters import commits

LEASE_S = 300.0
"""Five sweeps."""

RETENTION_S = 600.0
"""How long a replaced or deleted generation stays."""


def stage(connection: sqlite3.Connection, now: datetime) -> int:
    """Return a new shelf to stage on."""
    return _new(connection, "staged", now.timestamp() + LEASE_S)


def fill(connection: sqlite3.Connection) -> int:
    """Return a new shelf that is live with the end of this transaction."""
    return _new(connection, "live", None)


def _new(connection: sqlite3.Connection, state: str, due: float | None) -> int:
    row = connection.execute(
        "INSERT INTO shelves (state, due) VALUES (?, ?) RETURNING shelf", (state, due)
    ).fetchone()
    shelf: int = row[0]
    return shelf


def renew(connection: sqlite3.Connection, shelf: int, now: datetime) -> None:
    """Prolong the lease. Raises `StoreUnavailable` where it ended and the shelf was taken."""
    _take(connection, shelf, "staged", now.timestamp() + LEASE_S)


def prolong(connection: sqlite3.Connection, leases: Iterable[int], now: datetime) -> None:
    """Prolong the leases of a living process; those that were lost stay lost."""
    due = now.timestamp() + LEASE_S
    connection.executemany(
        "UPDATE shelves SET due = ? WHERE shelf = ? AND state = 'staged'",
        [(due, shelf) for shelf in leases],
    )


def publish(connection: sqlite3.Connection, shelf: int) -> None:
    """Make a staged shelf live. Raises `StoreUnavailable` where its lease ended and it was taken."""
    _take(connection, shelf, "live", None)


def _take(connection: sqlite3.Connection, shelf: int, state: str, due: float | None) -> None:
    changed = connection.execute(
        "UPDATE shelves SET state = ?, due = ? WHERE shelf = ? AND state = 'staged'",
        (state, due, shelf),
    )
    if changed.rowcount != 1:
        raise commits.lease_lost()


def retire(connection: sqlite3.Connection, shelf: int, now: datetime) -> None:
    """Have the shelf of a replaced or deleted generation removed after its time; 0 is none."""
    due = now.timestamp() + RETENTION_S
    connection.execute("UPDATE shelves SET state = 'retired', due = ? WHERE shelf = ?", (due, shelf))


def drop(connection: sqlite3.Connection, shelf: int) -> None:
    """Have a staged shelf that nobody needs any more removed by the next sweep; 0 is none."""
    connection.execute(
        "UPDATE shelves SET state = 'retired', due = 0 WHERE shelf = ? AND state = 'staged'",
        (shelf,),
    )


def claim(connection: sqlite3.Connection, now: datetime) -> int | None:
    """Take a shelf that is due to be removed; for the time of a lease nobody else does."""
    row = connection.execute(
        "UPDATE shelves SET state = 'removing', due = ?"
        " WHERE shelf = (SELECT shelf FROM shelves WHERE due <= ? LIMIT 1) RETURNING shelf",
        (now.timestamp() + LEASE_S, now.timestamp()),
    ).fetchone()
    return None if row is None else row[0]
