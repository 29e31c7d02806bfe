"""One commit: the guard, the change, the new head and the idempotency record, in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from service.adapters import commits
from service.adapters.codec import dump_remembered, load_remembered
from service.adapters.sqlite import shelves
from service.adapters.sqlite.database import Database
from service.adapters.sqlite.heads import Stored, load, save
from service.ports.clock import Clock
from service.ports.storage import AlreadyCommitted, Commit, Guard, Idempotency, Remembered

Change = Callable[[sqlite3.Connection, Stored], tuple[Commit, int]]
"""Changes the records of what is stored: returns the commit, and the shelf of its records (0: none)."""


class Committer:
    """Makes commits."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    async def commit(self, name: str, guard: Guard, change: Change, *, creates: bool = False) -> Commit:
        """Run a change where the guard lets it, and store what it made of the dataset.

        `creates`: there need not be a dataset.
        """

        def work(connection: sqlite3.Connection) -> Commit:
            self._check_first(connection, name, guard.idempotency)
            stored = load(connection, name)
            commits.check(stored.head, guard, creates=creates)
            commit, shelf = change(connection, stored)
            save(connection, stored, commit.dataset, shelf)
            if stored.shelf != shelf:
                shelves.retire(connection, stored.shelf, self.clock.now())
            if guard.idempotency is not None:
                _remember(connection, guard.idempotency, commit)
            return commit

        return await self.database.write(work)

    async def recall(self, name: str, key: str) -> Remembered | None:
        """Return what an unexpired Idempotency-Key has committed."""
        return await self.database.read(lambda connection: self._recall(connection, name, key))

    def _check_first(
        self, connection: sqlite3.Connection, name: str, idempotency: Idempotency | None
    ) -> None:
        if idempotency is not None:
            remembered = self._recall(connection, name, idempotency.key)
            if remembered is not None:
                raise AlreadyCommitted(remembered)

    def _recall(self, connection: sqlite3.Connection, name: str, key: str) -> Remembered | None:
        row = connection.execute(
            "SELECT outcome FROM remembered WHERE name = ? AND key = ? AND expires > ?",
            (name, key, self.clock.now().timestamp()),
        ).fetchone()
        return None if row is None else load_remembered(row[0])


def _remember(connection: sqlite3.Connection, idempotency: Idempotency, commit: Commit) -> None:
    expires = idempotency.expires.timestamp()
    row = (commit.dataset.name, idempotency.key, expires, dump_remembered(idempotency, commit))
    connection.execute("REPLACE INTO remembered (name, key, expires, outcome) VALUES (?, ?, ?, ?)", row)
