"""Another process on the same store: `python -m tests.contract.child BACKEND ADDRESS ACTION LABEL COUNT`.

It prints a line for each write that was acknowledged, once it was; the parent reads them, or kills it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

from service.adapters.clock import SystemClock
from service.domain.errors import OutcomeUnknown, StoreUnavailable
from service.domain.records import Batch
from service.ports.storage import Commit, Storage

from .backends import BACKENDS
from .steps import SCHEMA

PER_APPEND = 25
PER_LOAD = 9_000
"""With 500 bytes each, enough to be staged in several steps."""


def appended(label: str, number: int) -> list[bytes]:
    """Return the records of one append."""
    return [b'{"by": "%s", "a": %d, "n": %d}' % (label.encode(), number, n) for n in range(PER_APPEND)]


def loaded(label: str, number: int) -> list[bytes]:
    """Return the records of one load."""
    head = b'{"by": "%s", "a": %d, ' % (label.encode(), number)
    return [head + b'"n": %d, "fill": "%s"}' % (n, b"f" * 450) for n in range(PER_LOAD)]


async def _append(storage: Storage, label: str, number: int) -> Commit:
    async with storage.datasets.append("d") as writer:
        await writer.add(Batch(appended(label, number)))
        return await writer.commit(SCHEMA)


async def _load(storage: Storage, label: str, number: int) -> Commit:
    content = loaded(label, number)
    async with storage.datasets.replace("d") as writer:
        for start in range(0, PER_LOAD, 2_000):
            await writer.add(Batch(content[start : start + 2_000]))
        return await writer.commit(SCHEMA)


async def _grow(storage: Storage, label: str, number: int) -> Commit:
    """Append as much as a load."""
    content = loaded(label, number)
    async with storage.datasets.append("d") as writer:
        for start in range(0, PER_LOAD, 2_000):
            await writer.add(Batch(content[start : start + 2_000]))
        return await writer.commit(SCHEMA)


ACTIONS: dict[str, Callable[[Storage, str, int], Awaitable[Commit]]] = {
    "append": _append,
    "load": _load,
    "grow": _grow,
}


async def write(storage: Storage, action: str, label: str, count: int) -> None:
    """Do the action `count` times, trying again while the store is too busy to answer."""
    for number in range(count):
        while True:
            try:
                commit = await ACTIONS[action](storage, label, number)
            except OutcomeUnknown:
                break
            except StoreUnavailable:
                await asyncio.sleep(0.01)
            else:
                print(number, commit.dataset.revision, flush=True)
                break


async def main(backend: str, address: str, action: str, label: str, count: str) -> None:
    """Open the store and write."""
    connect = BACKENDS[backend].connect
    assert connect is not None
    async with connect(address, SystemClock()) as storage:
        print("ready", flush=True)
        await write(storage, action, label, int(count))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
