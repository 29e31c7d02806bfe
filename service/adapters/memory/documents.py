"""Documents in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from service.adapters.codec import dump_body, load_body
from service.adapters.memory.state import Expiring, MemoryState
from service.ports.clock import Clock
from service.ports.storage import Document


class MemoryDocuments:
    """Small JSON documents; nothing awaits inside a method, so each is atomic."""

    def __init__(self, state: MemoryState, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    async def get(self, kind: str, id: str) -> Document | None:
        """Return the document, or None."""
        await self._state.reach()
        return self._live(kind, id)

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
        await self._state.reach()
        if self._live(kind, id) is not None:
            return None
        return self._store(kind, Document(id, body, 1, tag, expires))

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
        await self._state.reach()
        before = self._live(kind, id)
        if before is None or before.version != version:
            return None
        return self._store(kind, Document(id, body, version + 1, tag, expires))

    async def remove(self, kind: str, id: str, *, version: int | None = None) -> bool:
        """Remove a document."""
        await self._state.reach()
        before = self._live(kind, id)
        if before is None or version not in {None, before.version}:
            return False
        del self._state.documents[kind, id]
        return True

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
        await self._state.reach()
        ids = sorted((key[1] for key in self._state.documents if key[0] == kind), reverse=newest_first)
        behind = [name for name in ids if not after or (name < after if newest_first else name > after)]
        documents = [self._live(kind, name) for name in behind]
        return [one for one in documents if one is not None and tag in {None, one.tag}][:limit]

    async def add(self, kind: str, id: str, amounts: dict[str, int]) -> None:
        """Add to the numeric members of a document of counters."""
        await self._state.reach()
        before = self._live(kind, id) or Document(id, {}, 0)
        body = before.body
        for member, amount in amounts.items():
            body[member] = body.get(member, 0) + amount
        self._store(kind, Document(id, body, before.version + 1, before.tag))

    async def kinds(self) -> Sequence[str]:
        """Return every kind that has documents."""
        await self._state.reach()
        return sorted({kind for kind, _ in self._state.documents})

    async def restore(self, kind: str, documents: Sequence[Document]) -> None:
        """Store documents as they are elsewhere."""
        await self._state.reach()
        for document in documents:
            self._store(kind, document)

    def _live(self, kind: str, id: str) -> Document | None:
        kept = self._state.documents.get((kind, id))
        if kept is None or not kept.live(self._clock.now()):
            return None
        return _copied(kept.value)

    def _store(self, kind: str, document: Document) -> Document:
        document = _copied(document)
        self._state.documents[kind, document.id] = Expiring(document, document.expires)
        return _copied(document)


def _copied(document: Document) -> Document:
    """Return a document that shares nothing with this one, as if it had been to a store and back."""
    return replace(document, body=load_body(dump_body(document.body)))
