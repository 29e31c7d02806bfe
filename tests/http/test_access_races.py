"""Keys that are changed by others in the same moment, and counters that are cut off."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import pytest

from service.adapters.memory import MemoryState
from service.adapters.memory.documents import MemoryDocuments
from service.domain.access import Scope
from service.domain.errors import Busy, InvalidContent, KeyNotFound, Unauthenticated
from service.ports.storage import Document
from service.usecases.access import KEYS, Access
from service.usecases.usage import KIND, Usage
from tests.clocks import FakeClock
from tests.waiting import until

FIRST = date(2023, 4, 1)


class Contended(MemoryDocuments):
    """Documents that somebody else changes (or removes) just before each of the next `losses` updates."""

    losses = 0
    removes = False

    async def update(self, kind: str, id: str, body: dict[str, Any], **options: Any) -> Document | None:
        """Lose the race, or update."""
        if self.losses > 0:
            self.losses -= 1
            if self.removes:
                await self.remove(kind, id)
            return None
        return await super().update(kind, id, body, **options)


@pytest.fixture
def documents(clock: FakeClock) -> Contended:
    """Give the documents."""
    return Contended(MemoryState(), clock)


@pytest.fixture
def access(documents: Contended, clock: FakeClock) -> Access:
    """Give the use case."""
    return Access(documents, clock, anonymous_scopes=frozenset(), admin_key=None, first=FIRST)


async def test_a_pin_is_stored_however_often_the_race_is_lost(access: Access, documents: Contended) -> None:
    """A first contact tries again until a pin is there: its own or another's."""
    _, secret = await access.create("robot", frozenset({Scope.READ}))
    documents.losses = 3
    caller = await access.authenticate(f"Bearer {secret}", contact=True)
    assert caller.pin == date(2026, 12, 1)


async def test_a_key_that_is_revoked_meanwhile_is_refused(access: Access, documents: Contended) -> None:
    """A first contact does not bring a revoked key back."""
    key, secret = await access.create("robot", frozenset({Scope.READ}))
    documents.losses, documents.removes = 1, True
    with pytest.raises(Unauthenticated, match="was revoked"):
        await access.authenticate(f"Bearer {secret}", contact=True)
    with pytest.raises(KeyNotFound):
        await access.get(key.id)
    assert await documents.list(KEYS) == []


async def test_a_move_that_never_comes_through_says_so(access: Access, documents: Contended) -> None:
    """It is tried again some times, and then left to the client."""
    key, _ = await access.create("robot", frozenset({Scope.READ}))
    documents.losses = 3
    assert (await access.set_pin(key.id, FIRST)).pin == FIRST
    documents.losses = 100
    with pytest.raises(Busy):
        await access.move_pin(key.id, date(2024, 1, 1))


async def test_a_pin_that_cannot_be_is_refused_before_it_is_stored(access: Access) -> None:
    """The sentence names both ends of what can be."""
    key, _ = await access.create("robot", frozenset({Scope.READ}))
    with pytest.raises(InvalidContent, match="from 2023-04-01, the first contract, to 2026-12-01"):
        await access.set_pin(key.id, date(2023, 3, 31))


class Stuck(MemoryDocuments):
    """Documents whose next addition never returns."""

    stuck = True

    async def add(self, kind: str, id: str, amounts: dict[str, int]) -> None:
        """Wait for ever, the first time."""
        if self.stuck:
            self.stuck = False
            await asyncio.Event().wait()
        await super().add(kind, id, amounts)


async def test_a_flush_that_is_cut_off_loses_nothing(clock: FakeClock) -> None:
    """What was under way when the process was told to end is written at the end."""
    documents = Stuck(MemoryState(), clock)
    async with Usage(documents, clock, flush_s=0.001) as usage:
        usage.count("2023-04-01", "pin", "a")
        await until(lambda: not documents.stuck)
    document = await documents.get(KIND, "2026-12-01/2023-04-01/pin")
    assert document is not None
    assert document.body == {"a": 1}
