"""First contacts that race, over processes and on each backend: one pin is stored, and everybody gets it."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from datetime import date, timedelta
from pathlib import Path

import pytest

from service.domain.access import Scope
from service.domain.errors import InvalidContent
from service.ports.storage import Storage
from service.usecases.access import Access
from tests.clocks import FakeClock

from .backends.base import ProcessBackend
from .contacts import FIRST

ROOT = Path(__file__).parents[2]
DAYS = ("2026-11-30", "2026-12-01", "2026-12-02")
"""Each process has a clock of its own, so a second pin could not hide behind an equal day."""


def access_to(storage: Storage, clock: FakeClock) -> Access:
    """Return the use case on a store."""
    return Access(storage.documents, clock, anonymous_scopes=frozenset(), admin_key=None, first=FIRST)


async def test_fifty_first_contacts_of_a_process_make_one_pin(storage: Storage, clock: FakeClock) -> None:
    """Whoever comes first decides, and all others are told the same day."""
    access = access_to(storage, clock)
    key, secret = await access.create("robot", frozenset({Scope.READ}))

    async def contact(number: int) -> str:
        if number == 25:
            clock.move(days=1)
        return str((await access.authenticate(f"Bearer {secret}", contact=True)).pin)

    pins = set(await asyncio.gather(*map(contact, range(50))))
    assert pins == {str((await access.get(key.id)).pin)}


async def test_fifty_first_contacts_over_three_processes_make_one_pin(
    shared_name: str, shared: ProcessBackend, clock: FakeClock
) -> None:
    """Three processes whose clocks stand on different days agree on one of them, for good."""
    async with shared.open() as storage:
        await storage.ping()
        access = access_to(storage, clock)
        key, secret = await access.create("robot", frozenset({Scope.READ}))
        processes = [
            await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.contract.contacts", shared_name, shared.address, secret, day, "17",
                stdin=PIPE, stdout=PIPE, cwd=ROOT,
            )
            for day in DAYS
        ]  # fmt: skip
        for process in processes:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
        outputs = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
        pins = {pin for output, _ in outputs for pin in output.decode().split()}
        assert len(pins) == 1
        assert pins <= set(DAYS)
        assert {str((await access.get(key.id)).pin)} == pins


async def test_moves_that_race_leave_one_of_them(storage: Storage, clock: FakeClock) -> None:
    """Of many moves at the same time the latest day stands, and the way back leads to where a move began."""
    access = access_to(storage, clock)
    key, _ = await access.create("robot", frozenset({Scope.READ}))
    await access.set_pin(key.id, FIRST)
    days = [FIRST.replace(day=day) for day in range(2, 10)]
    await asyncio.gather(*(access.move_pin(key.id, day) for day in days), return_exceptions=True)
    pin = (await access.get(key.id)).pin
    assert pin == max(days)


async def test_a_key_moves_forward_and_an_admin_anywhere(storage: Storage, clock: FakeClock) -> None:
    """A key's own way back ends after 72 hours; an admin goes back and forth, and ends that way at once."""
    access = access_to(storage, clock)
    key, _ = await access.create("robot", frozenset({Scope.READ}))
    today, middle = clock.now().date(), date(2024, 2, 29)
    for day in (today, FIRST, middle, FIRST):
        assert (await access.set_pin(key.id, day)).pin == day
        clock.move(hours=100)
    assert (await access.move_pin(key.id, today)).pin == today
    assert (await access.move_pin(key.id, FIRST)).pin == FIRST
    await access.move_pin(key.id, today)
    clock.move(hours=72)
    with pytest.raises(InvalidContent):
        await access.move_pin(key.id, FIRST)
    await access.set_pin(key.id, FIRST)
    await access.move_pin(key.id, middle)
    assert (await access.set_pin(key.id, today)).pin == today
    with pytest.raises(InvalidContent):
        await access.move_pin(key.id, FIRST)
    for day in (FIRST - timedelta(days=1), clock.now().date() + timedelta(days=1)):
        with pytest.raises(InvalidContent):
            await access.set_pin(key.id, day)
    assert (await access.get(key.id)).pin == today
