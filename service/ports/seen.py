"""The Fibonacci indexes that anybody has ever asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol, Self


class Seen(Protocol):
    """A set of indexes; `async with` opens it. Entering calls no server.

    Durable: an index that `add` returned for is there for ever. Methods raise `StoreUnavailable`.
    """

    async def __aenter__(self) -> Self:
        """Make ready."""
        ...

    async def __aexit__(self, *exc: object) -> None:
        """Close what was opened."""
        ...

    async def add(self, index: int) -> None:
        """Note an index; one that is there already stays as it is."""
        ...

    def all(self) -> AsyncIterator[Sequence[int]]:
        """Yield all indexes, ascending, some at a time."""
        ...
