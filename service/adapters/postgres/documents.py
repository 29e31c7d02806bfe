"""Small versioned documents."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from service.adapters.codec import dump_body, load_body
from service.adapters.postgres import transactions
from service.adapters.postgres.connections import Connections, Lane, Row
from service.ports.clock import Clock
from service.ports.storage import Document

_COLUMNS = "id, body, version, tag, expires"

_LIVE = "(expires IS NULL OR expires > $3)"

_GET = f"SELECT {_COLUMNS} FROM aerolite.documents WHERE kind = $1 AND id = $2 AND {_LIVE}"  # noqa: S608 - constants

# What has expired is as if absent, so it gives way.
_CREATE = f"""
INSERT INTO aerolite.documents AS d (kind, id, version, body, tag, expires) VALUES ($1, $2, 1, $4, $5, $6)
ON CONFLICT (kind, id) DO UPDATE
SET version = 1, body = excluded.body, tag = excluded.tag, expires = excluded.expires
WHERE d.expires <= $3
RETURNING {_COLUMNS}
"""  # noqa: S608 - constants

_UPDATE = f"""
UPDATE aerolite.documents SET version = version + 1, body = $4, tag = $5, expires = $6
WHERE kind = $1 AND id = $2 AND {_LIVE} AND version = $7
RETURNING {_COLUMNS}
"""  # noqa: S608 - constants

_REMOVE = f"""
DELETE FROM aerolite.documents
WHERE kind = $1 AND id = $2 AND {_LIVE} AND ($4::bigint IS NULL OR version = $4)
RETURNING {_COLUMNS}
"""  # noqa: S608 - constants

_LIST = f"""
SELECT {_COLUMNS} FROM aerolite.documents
WHERE kind = $1 AND (expires IS NULL OR expires > $2)
"""  # noqa: S608 - constants

# Counting is to take the row, and to write it: of those who come at once each waits for the one before.
_TAKE = f"""
INSERT INTO aerolite.documents AS d (kind, id, version, body, tag) VALUES ($1, $2, 0, '{{}}', '')
ON CONFLICT (kind, id) DO UPDATE SET version = d.version
RETURNING {_COLUMNS}
"""  # noqa: S608 - constants
_KINDS = """
WITH RECURSIVE known (kind) AS (
    (SELECT kind FROM aerolite.documents ORDER BY kind LIMIT 1)
    UNION ALL
    SELECT (SELECT d.kind FROM aerolite.documents AS d WHERE d.kind > known.kind ORDER BY d.kind LIMIT 1)
    FROM known WHERE known.kind IS NOT NULL
)
SELECT kind FROM known WHERE kind IS NOT NULL ORDER BY kind
"""

_RESTORE = """
INSERT INTO aerolite.documents (kind, id, version, body, tag, expires) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (kind, id) DO UPDATE
SET version = excluded.version, body = excluded.body, tag = excluded.tag, expires = excluded.expires
"""

_COUNT = "UPDATE aerolite.documents SET version = version + 1, body = $3 WHERE kind = $1 AND id = $2"


class PostgresDocuments:
    """Documents in PostgreSQL."""

    def __init__(self, connections: Connections, clock: Clock) -> None:
        self._connections = connections
        self._clock = clock

    async def get(self, kind: str, id: str) -> Document | None:
        """Return the document, or None."""
        async with self._connections.link(Lane.READ) as link:
            row = await link.fetchrow(_GET, kind, id, self._clock.now())
        return None if row is None else _document(row)

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
        return await self._write(_CREATE, kind, id, self._clock.now(), dump_body(body), tag, expires)

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
        now = self._clock.now()
        return await self._write(_UPDATE, kind, id, now, dump_body(body), tag, expires, version)

    async def remove(self, kind: str, id: str, *, version: int | None = None) -> bool:
        """Remove a document."""
        return await self._write(_REMOVE, kind, id, self._clock.now(), version) is not None

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
        query, arguments = _LIST, [kind, self._clock.now()]
        if tag is not None:
            arguments.append(tag)
            query += f" AND tag = ${len(arguments)}"
        if after:
            arguments.append(after)
            query += f" AND id {'<' if newest_first else '>'} ${len(arguments)}"
        query += f" ORDER BY id {'DESC' if newest_first else 'ASC'} LIMIT ${len(arguments) + 1}"
        async with self._connections.link(Lane.READ) as link:
            rows = await link.fetch(query, *arguments, limit)
        return [_document(row) for row in rows]

    async def add(self, kind: str, id: str, amounts: dict[str, int]) -> None:
        """Add to the numeric members of a document of counters."""
        async with self._connections.link(Lane.WRITE) as link:
            await link.execute(transactions.BEGIN)
            row = await link.one(_TAKE, kind, id)
            body = load_body(row["body"])
            for member, amount in amounts.items():
                body[member] = body.get(member, 0) + amount
            await link.execute(_COUNT, kind, id, dump_body(body))
            await link.commit()

    async def kinds(self) -> Sequence[str]:
        """Return every kind that has documents."""
        async with self._connections.link(Lane.READ) as link:
            return [row["kind"] for row in await link.fetch(_KINDS)]

    async def restore(self, kind: str, documents: Sequence[Document]) -> None:
        """Store documents as they are elsewhere, in one transaction."""
        async with self._connections.link(Lane.WRITE) as link:
            await link.execute(transactions.BEGIN)
            for one in documents:
                body = dump_body(one.body)
                await link.execute(_RESTORE, kind, one.id, one.version, body, one.tag, one.expires)
            await link.commit()

    async def _write(self, query: str, *arguments: object) -> Document | None:
        """Run a statement that writes one document or none, and return which."""
        async with self._connections.link(Lane.WRITE) as link:
            await link.execute(transactions.BEGIN)
            row = await link.fetchrow(query, *arguments)
            if row is None:
                return None
            await link.commit()
            return _document(row)


def _document(row: Row) -> Document:
    return Document(row["id"], load_body(row["body"]), row["version"], row["tag"], row["expires"])
