"""A server that is killed: what was acknowledged is there when it comes back, and nothing is half."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from service.domain.errors import OutcomeUnknown, StoreUnavailable
from service.ports.storage import Storage
from tests.faults import trials

from .backends.base import ServerBackend
from .steps import append, everything, load
from .test_failures import works

Write = Callable[[int], Awaitable[object]]


async def outcomes(write: Write) -> tuple[list[int], list[int]]:
    """Write until the store is gone: return the numbers acknowledged, and those whose outcome is unknown."""
    done: list[int] = []
    number = 0
    while True:
        try:
            await write(number)
        except OutcomeUnknown:
            return done, [number]
        except StoreUnavailable:
            return done, []
        done.append(number)
        number += 1


async def killed(
    served: ServerBackend, storage: Storage, delay_s: float, *writes: Write
) -> list[tuple[list[int], list[int]]]:
    """Kill the server while these go on, start it again, and return what each knows of its writes."""
    tasks = [asyncio.create_task(outcomes(write)) for write in writes]
    await asyncio.sleep(delay_s)
    await served.kill()
    told = await asyncio.gather(*tasks)
    await served.start()
    await works(storage)
    return list(told)


def group(writer: int, number: int) -> list[bytes]:
    """Return the records of one append."""
    return [b'{"by": %d, "a": %d, "n": %d}' % (writer, number, n) for n in range(20)]


@pytest.mark.faults
@pytest.mark.timeout(1800)
async def test_a_killed_server_keeps_what_was_acknowledged(served: ServerBackend) -> None:
    """Every acknowledged append is there, whole, once; one of unknown outcome is whole or not there."""
    randomness = random.Random(21)
    async with served.open() as storage, served.open() as other:
        await storage.ping()
        for _ in range(trials(20)):
            await load(storage, [])
            told = await killed(
                served,
                storage,
                randomness.uniform(0.02, 0.4),
                lambda number: append(storage, group(0, number)),
                lambda number: append(other, group(1, number)),
            )
            stored = await everything(storage)
            groups = [stored[start : start + 20] for start in range(0, len(stored), 20)]
            for writer, (done, unknown) in enumerate(told):
                own = [one for one in groups if one[0].startswith(b'{"by": %d,' % writer)]
                surely = [group(writer, number) for number in done]
                assert own in (surely, surely + [group(writer, number) for number in unknown])
            dataset = await other.datasets.dataset("d")
            assert dataset is not None
            assert dataset.count == len(stored)


@pytest.mark.faults
@pytest.mark.timeout(1800)
async def test_a_killed_server_shows_no_part_of_a_load(served: ServerBackend) -> None:
    """After a kill the last acknowledged load is there, whole, or the one of unknown outcome after it."""
    randomness = random.Random(22)

    def content(number: int) -> list[bytes]:
        return [b'{"load": %d, "n": %d, "fill": "%s"}' % (number, n, b"f" * 300) for n in range(8000)]

    async with served.open() as storage:
        await storage.ping()
        for _ in range(trials(20)):
            await load(storage, content(10**6))
            told = await killed(
                served,
                storage,
                randomness.uniform(0.02, 0.8),
                lambda number: load(storage, content(number)),
            )
            done, unknown = told[0]
            stored = await everything(storage)
            surely = done[-1] if done else 10**6
            assert stored in [content(number) for number in (surely, *unknown)]
