"""Large numbers are computed in child processes: the event loop and its interpreter lock stay free."""

from __future__ import annotations

import os
import sys
from asyncio.subprocess import Process
from contextlib import suppress
from typing import Self

from service.domain.fibonacci import fibonacci
from service.processes import Children, pipes

INLINE_INDEX = 10_000
"""Up to here it takes less than 0.2 ms."""

_MODULE = "service.worker.children"


class ChildFibonacci:
    """Computes numbers, at most `processes` at a time; `async with` ends the children."""

    def __init__(self, processes: int | None = None) -> None:
        self._children = Children((sys.executable, "-m", _MODULE), processes or os.cpu_count() or 1)

    async def __aenter__(self) -> Self:
        """Start none yet."""
        await self._children.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """End all."""
        await self._children.__aexit__(*exc)

    async def __call__(self, index: int) -> str:
        """Return the digits of F(index). Raises `ChildProcessError` where the child dies of it."""
        if index <= INLINE_INDEX:
            return fibonacci(index)
        async with self._children.borrowed() as child:
            line = await _answer(child, index)
        return line.decode()


async def _answer(child: Process, index: int) -> bytes:
    sent, said = pipes(child)
    with suppress(ConnectionError):  # a dead child is told by its silence
        sent.write(b"%d\n" % index)
        await sent.drain()
    line = await said.readline()
    if not line.endswith(b"\n"):
        raise ChildProcessError(f"The child that computed F({index}) died.")
    return line[:-1]


def _give_way() -> None:
    """Compute only when nobody else wants the processor: who waits for a page comes first."""
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except (AttributeError, PermissionError):  # not on this system, or not in this sandbox
        os.nice(19)


def main() -> None:
    """Answer each line of standard input, an index, with a line of digits, until the input ends."""
    _give_way()
    for line in sys.stdin:
        print(fibonacci(int(line)), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
