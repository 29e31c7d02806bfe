"""Copying the small documents of a store: keys, pins, jobs, usage, whatever its kinds are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

from service.domain.errors import Conflict, StoreError
from service.domain.jobs import JobState
from service.ports.clock import Clock
from service.ports.storage import Document, Documents
from service.usecases.batches import closing
from service.usecases.jobs.store import JOBS

COPY = "copy"
"""The type of job that copies: the one that runs does not go along, or it would run in the target, too."""

_PAGE = 32
"""So many documents are in memory at a time, of a mebibyte each at most."""

_PRECISION = timedelta(milliseconds=5)
"""Stores keep the time of an expiry to the millisecond, some as a fraction."""

Pair = tuple[Document, Document | None]


class DocumentCopy:
    """Copies documents with their versions, tags and expiries; `replaces` those that the target has."""

    def __init__(self, source: Documents, target: Documents, clock: Clock, *, replaces: bool) -> None:
        self._source = source
        self._target = target
        self._clock = clock
        self._replaces = replaces

    async def check(self) -> None:
        """Refuse documents that the target has otherwise. Raises `Conflict`."""
        if self._replaces:
            return
        for kind in await self._source.kinds():
            async with closing(self._pairs(kind)) as pairs:
                async for ours, theirs in pairs:
                    _refuse_other(kind, ours, theirs)

    async def run(self) -> int:
        """Copy what the target does not have, verify it, and return how many are the same now."""
        count = 0
        for kind in await self._source.kinds():
            waiting: list[Document] = []
            async with closing(self._pairs(kind)) as pairs:
                async for ours, theirs in pairs:
                    count += 1
                    if not self._replaces:
                        _refuse_other(kind, ours, theirs)
                    if not _same(ours, theirs):
                        waiting.append(ours)
                    if len(waiting) == _PAGE:
                        await self._store(kind, waiting)
                        waiting = []
            if waiting:
                await self._store(kind, waiting)
        return count

    async def _store(self, kind: str, documents: list[Document]) -> None:
        await self._target.restore(kind, documents)
        stored = await asyncio.gather(*(self._target.get(kind, one.id) for one in documents))
        now = self._clock.now()
        for ours, theirs in zip(documents, stored, strict=True):
            if not _same(ours, theirs) and (ours.expires is None or ours.expires > now):
                raise StoreError(
                    f"The copy of a document of the kind {kind!r} differs from its source, or was changed"
                    " meanwhile. Stop whoever writes to the target, and copy again with --replace."
                )

    async def _pairs(self, kind: str) -> AsyncIterator[Pair]:
        """Yield the source's documents, each beside the target's of the same id."""
        async with closing(_all(self._target, kind)) as others, closing(_all(self._source, kind)) as own:
            theirs = await anext(others, None)
            async for ours in own:
                while theirs is not None and theirs.id < ours.id:
                    theirs = await anext(others, None)
                if not _copies(kind, ours):
                    yield ours, theirs if theirs is not None and theirs.id == ours.id else None


async def _all(documents: Documents, kind: str) -> AsyncIterator[Document]:
    after = ""
    while page := await documents.list(kind, after=after, limit=_PAGE):
        for document in page:
            yield document
        after = page[-1].id


def _copies(kind: str, document: Document) -> bool:
    """Tell whether a document is a job that copies and has not ended."""
    ended = {state.value for state in JobState if state.finished}
    return kind == JOBS and document.body.get("type") == COPY and document.tag not in ended


def _same(ours: Document, theirs: Document | None) -> bool:
    if theirs is None or ours != theirs or (ours.expires is None) != (theirs.expires is None):
        return False
    if ours.expires is None or theirs.expires is None:
        return True
    return abs(ours.expires - theirs.expires) <= _PRECISION


def _refuse_other(kind: str, ours: Document, theirs: Document | None) -> None:
    if theirs is not None and not _same(ours, theirs):
        raise Conflict(
            f"The target has other documents of the kind {kind!r}. Copy with --replace to have those of the"
            " source in their place."
        )
