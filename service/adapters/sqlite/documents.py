"""Documents in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from service.adapters.codec import dump_body, load_body
from service.adapters.sqlite.database import Database
from service.ports.clock import Clock
from service.ports.storage import Document

_LIVE = "(expires IS NULL OR expires > ?)"

_NEXT_KIND = "SELECT min(kind) FROM documents WHERE kind > ?"


class SqliteDocuments:
    """Small JSON documents."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def get(self, kind: str, id: str) -> Document | None:
        """Return the document, or None."""
        return await self._database.read(lambda connection: self._get(connection, kind, id))

    async def create(
        self,
        kind: str,
        id: str,
        body: dict[str, Any],
        *,
        tag: str = "",
        expires: datetime | None = None,
    ) -> Document | None:
        """Store a document unless the id is taken."""

        def change(connection: sqlite3.Connection) -> Document | None:
            if self._get(connection, kind, id) is not None:
                return None
            return _put(connection, kind, Document(id, body, 1, tag, expires))

        return await self._database.write(change)

    async def update(
        self,
        kind: str,
        id: str,
        body: dict[str, Any],
        *,
        version: int,
        tag: str = "",
        expires: datetime | None = None,
    ) -> Document | None:
        """Change a document that still has this version."""

        def change(connection: sqlite3.Connection) -> Document | None:
            before = self._get(connection, kind, id)
            if before is None or before.version != version:
                return None
            return _put(connection, kind, Document(id, body, version + 1, tag, expires))

        return await self._database.write(change)

    async def remove(self, kind: str, id: str, *, version: int | None = None) -> bool:
        """Remove a document."""

        def change(connection: sqlite3.Connection) -> bool:
            before = self._get(connection, kind, id)
            if before is None or version not in {None, before.version}:
                return False
            connection.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, id))
            return True

        return await self._database.write(change)

    async def list(
        self,
        kind: str,
        *,
        tag: str | None = None,
        after: str = "",
        limit: int = 1000,
        newest_first: bool = False,
    ) -> Sequence[Document]:
        """Return documents of a kind, sorted by id."""
        conditions, parameters = ["kind = ?", _LIVE], [kind, self._now()]
        if tag is not None:
            conditions.append("tag = ?")
            parameters.append(tag)
        if after:
            conditions.append("id < ?" if newest_first else "id > ?")
            parameters.append(after)
        statement = (
            f"SELECT id, body, version, tag, expires FROM documents WHERE {' AND '.join(conditions)}"  # noqa: S608 - constants
            f" ORDER BY id {'DESC' if newest_first else 'ASC'} LIMIT ?"
        )

        def query(connection: sqlite3.Connection) -> list[Document]:
            return [_document(row) for row in connection.execute(statement, (*parameters, limit))]

        return await self._database.read(query)

    async def add(self, kind: str, id: str, amounts: dict[str, int]) -> None:
        """Add to the numeric members of a document of counters."""

        def change(connection: sqlite3.Connection) -> None:
            before = self._get(connection, kind, id) or Document(id, {}, 0)
            added = {name: before.body.get(name, 0) + amount for name, amount in amounts.items()}
            after = Document(id, before.body | added, before.version + 1, before.tag)
            _put(connection, kind, after)

        await self._database.write(change)

    async def kinds(self) -> Sequence[str]:
        """Return every kind that has documents."""
        return await self._database.read(_kinds)

    async def restore(self, kind: str, documents: Sequence[Document]) -> None:
        """Store documents as they are elsewhere, in one transaction."""

        def change(connection: sqlite3.Connection) -> None:
            for document in documents:
                _put(connection, kind, document)

        await self._database.write(change)

    def _get(self, connection: sqlite3.Connection, kind: str, id: str) -> Document | None:
        row = connection.execute(
            f"SELECT id, body, version, tag, expires FROM documents WHERE kind = ? AND id = ? AND {_LIVE}",  # noqa: S608 - constant
            (kind, id, self._now()),
        ).fetchone()
        return None if row is None else _document(row)

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _document(row: tuple[str, bytes, int, str, float | None]) -> Document:
    id_, body, version, tag, end = row
    expires = None if end is None else datetime.fromtimestamp(end, UTC)
    return Document(id_, load_body(body), version, tag, expires)


def _kinds(connection: sqlite3.Connection) -> Sequence[str]:
    """Return the kinds in order, each by one step in the index."""
    kinds: list[str] = []
    after = ""
    while (row := connection.execute(_NEXT_KIND, (after,)).fetchone())[0] is not None:
        kinds.append(after := row[0])
    return kinds


def _put(connection: sqlite3.Connection, kind: str, document: Document) -> Document:
    body = dump_body(document.body)
    end = None if document.expires is None else document.expires.timestamp()
    connection.execute(
        "REPLACE INTO documents (kind, id, version, tag, expires, body) VALUES (?, ?, ?, ?, ?, ?)",
        (kind, document.id, document.version, document.tag, end, body),
    )
    return _document((document.id, body, document.version, document.tag, end))
