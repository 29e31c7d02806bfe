"""Several processes on one store, some of which are killed: nothing acknowledged is lost, nothing is half."""

from __future__ import annotations

import asyncio
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from service.ports.storage import Storage
from tests.clocks import FakeClock
from tests.faults import trials

from .backends.base import ProcessBackend
from .child import PER_APPEND, appended, loaded
from .steps import everything, load, records

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def child(
    name: str, shared: ProcessBackend, action: str, label: str, count: int
) -> AsyncIterator[Process]:
    """Run another process that writes; it is killed on leaving, if it still runs."""
    module = (sys.executable, "-m", "tests.contract.child")
    process = await asyncio.create_subprocess_exec(
        *module, name, shared.address, action, label, str(count), stdout=PIPE, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def acknowledged(process: Process) -> list[int]:
    """Return the numbers of the writes that the process says were acknowledged, to its end."""
    assert process.stdout is not None
    lines = (await process.stdout.read()).splitlines(keepends=True)
    return [int(line.split()[0]) for line in lines if line.endswith(b"\n")]


async def consistent(storage: Storage) -> list[bytes]:
    """Return all records, once count, positions and sizes were found to agree with them."""
    stored = await everything(storage)
    dataset = await storage.datasets.dataset("d")
    assert dataset is not None
    assert (dataset.count, dataset.next_position) == (len(stored), len(stored))
    assert dataset.size_bytes == sum(map(len, stored))
    return stored


async def test_appends_of_several_processes_lose_and_double_nothing(
    shared_name: str, shared: ProcessBackend
) -> None:
    """Four processes append at the same time: every append is there, once, whole, and each in its order."""
    async with shared.open() as storage:
        await load(storage, [])

        async def run(label: str) -> list[int]:
            async with child(shared_name, shared, "append", label, 30) as process:
                return await acknowledged(process)

        assert await asyncio.gather(*map(run, "wxyz")) == [list(range(30))] * 4
        stored = await consistent(storage)
    groups = [stored[start : start + PER_APPEND] for start in range(0, len(stored), PER_APPEND)]
    for label in "wxyz":
        own = [group for group in groups if b'"by": "%s"' % label.encode() in group[0]]
        assert own == [appended(label, number) for number in range(30)]


@pytest.mark.faults
@pytest.mark.timeout(1800)
async def test_a_killed_appender_loses_nothing_acknowledged(shared_name: str, shared: ProcessBackend) -> None:
    """Killed at any moment, a process leaves every acknowledged append, and at most one more, whole."""
    randomness = random.Random(11)
    async with shared.open() as storage:
        for trial in range(trials(100)):
            await load(storage, records([trial]))
            async with child(shared_name, shared, "append", f"t{trial}", 10_000) as process:
                await asyncio.sleep(randomness.uniform(0, 0.15))
                process.kill()
                done = await acknowledged(process)
            stored = (await consistent(storage))[1:]
            count = len(stored) // PER_APPEND
            assert count in {len(done), len(done) + 1}
            expected = [appended(f"t{trial}", number) for number in range(count)]
            assert stored == [one for group in expected for one in group]


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("action", ["load", "grow"])
async def test_a_killed_loader_leaves_no_part(
    shared_name: str, shared: ProcessBackend, action: str, clock: FakeClock
) -> None:
    """Killed at any moment, a load or large append is whole or not there, and its leftovers are swept."""
    randomness = random.Random(12)
    async with shared.open() as storage:
        await load(storage, [])
        clock.move(hours=1)
        await storage.sweep(clock.now())
        before = await shared.pieces()
        for trial in range(trials(50)):
            await load(storage, [])
            async with child(shared_name, shared, action, f"t{trial}", 10_000) as process:
                await asyncio.sleep(randomness.uniform(0, 0.5))
                process.kill()
                done = await acknowledged(process)
            stored = await consistent(storage)
            wholes = [loaded(f"t{trial}", number) for number in range(len(done) + 1)]
            if action == "grow":
                wholes = [[one for whole in wholes[:n] for one in whole] for n in range(len(wholes) + 1)]
                assert stored in wholes[-2:]
            else:
                assert stored in [[], *wholes][-2:]
        await load(storage, [])
        clock.move(hours=1)
        await storage.sweep(clock.now())
        assert await shared.pieces() <= before
        assert await storage.sweep(clock.now()) == 0
