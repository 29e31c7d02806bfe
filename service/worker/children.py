"""Large numbers are computed in child processes: the event loop and its interpreter lock stay free.

A child is kept for the next number, because to start one (a fork of a large process) holds up the event loop
for longer than anything that it does later.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from typing import Self

from service.domain.fibonacci import fibonacci

INLINE_INDEX = 10_000
"""Up to here it takes less than 0.2 ms."""

_NICENESS = 10
_MODULE = "service.worker.children"
_MAX_LINE_BYTES = 1 << 20


class ChildFibonacci:
    """Computes numbers, at most `processes` at a time; `async with` ends the children."""

    def __init__(self, processes: int | None = None) -> None:
        self._places = asyncio.Semaphore(processes or os.cpu_count() or 1)
        self._idle: list[Process] = []

    async def __aenter__(self) -> Self:
        """Start none yet."""
        return self

    async def __aexit__(self, *exc: object) -> None:
        """End all."""
        while self._idle:
            await _end(self._idle.pop())

    async def __call__(self, index: int) -> str:
        """Return the digits of F(index). Raises `ChildProcessError` where the child dies of it."""
        if index <= INLINE_INDEX:
            return fibonacci(index)
        async with self._places:
            child = self._idle.pop() if self._idle else await _start()
            try:
                line = await _answer(child, index)
            except BaseException:
                # Cancelled, or dead: what it would say next is not for whoever comes next.
                await _end(child)
                raise
            self._idle.append(child)
        return line.decode()


async def _start() -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", _MODULE), stdin=PIPE, stdout=PIPE, stderr=DEVNULL, limit=_MAX_LINE_BYTES
    )


async def _answer(child: Process, index: int) -> bytes:
    assert child.stdin is not None  # noqa: S101 - it was started with pipes
    assert child.stdout is not None  # noqa: S101 - likewise
    with suppress(ConnectionError):  # a dead child is told by its silence
        child.stdin.write(b"%d\n" % index)
        await child.stdin.drain()
    line = await child.stdout.readline()
    if not line.endswith(b"\n"):
        raise ChildProcessError(f"The child that computed F({index}) died.")
    return line[:-1]


async def _end(child: Process) -> None:
    with suppress(ProcessLookupError):
        child.kill()
    await child.communicate()  # to the end of its output, so that nothing stays open


def main() -> None:
    """Answer each line of standard input, an index, with a line of digits, until the input ends."""
    os.nice(_NICENESS)  # who waits for a page comes first
    for line in sys.stdin:
        print(fibonacci(int(line)), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
