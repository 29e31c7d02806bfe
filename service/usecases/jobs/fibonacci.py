"""Fibonacci numbers: asked for by many, computed by workers, each value stored once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import date
from typing import Any, Self

from service.domain.errors import InvalidContent
from service.domain.fibonacci import MAX_INDEX
from service.ports.seen import Seen
from service.ports.storage import Documents
from service.usecases.jobs.kinds import Attempt, JobType, no_more_than

VALUES = "fibonacci"
SEEN = "fibonacci-seen"

_WIDTH = len(str(MAX_INDEX))
_VALUES_AT_ONCE = 64
"""So many values are held in memory at a time, of 209,000 digits each at most."""

Compute = Callable[[int], Awaitable[str]]
"""Returns the digits of the Fibonacci number of an index, without blocking the event loop."""


class FibonacciJob(JobType):
    """Computes one number. Its effect is a document that is created once and never changed."""

    name = "fibonacci"

    def __init__(self, documents: Documents, seen: Seen, compute: Compute) -> None:
        self._documents = documents
        self._seen = seen
        self._compute = compute

    def check(self, params: dict[str, Any]) -> dict[str, Any]:
        """Take `index`, a whole number from 0 to 1,000,000. Raises `InvalidContent`."""
        no_more_than(params, "index")
        index = params.get("index")
        if type(index) is not int or not 0 <= index <= MAX_INDEX:
            raise InvalidContent(f"`index` is a whole number from 0 to {MAX_INDEX}.", pointer="/index")
        return {"index": index}

    async def accept(self, params: dict[str, Any], day: date | None) -> None:
        """Note the index: from now on it has been seen."""
        del day
        await self._seen.add(params["index"])

    async def run(self, attempt: Attempt) -> dict[str, Any]:
        """Store the value."""
        index = attempt.job.params["index"]
        digits = await self._compute(index)
        await attempt.fence()
        await self._documents.create(VALUES, _id(index), {"digits": digits})
        return {"index": index, "digits": len(digits)}


class FibonacciValues:
    """The values that are known."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def all(self) -> AsyncIterator[tuple[int, str]]:
        """Yield each index whose value is known, ascending, and its digits."""
        after = ""
        while documents := await self._documents.list(VALUES, after=after, limit=_VALUES_AT_ONCE):
            for document in documents:
                yield int(document.id), document.body["digits"]
            after = documents[-1].id


class StoredSeen:
    """Indexes in the storage: a document each."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def __aenter__(self) -> Self:
        """Do nothing: the storage is opened by others."""
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Do nothing."""

    async def add(self, index: int) -> None:
        """Note an index."""
        await self._documents.create(SEEN, _id(index), {})

    async def all(self) -> AsyncIterator[Sequence[int]]:
        """Yield all indexes."""
        after = ""
        while documents := await self._documents.list(SEEN, after=after, limit=1000):
            yield [int(document.id) for document in documents]
            after = documents[-1].id


def _id(index: int) -> str:
    """Return an id that sorts as the index does."""
    return f"{index:0{_WIDTH}}"
