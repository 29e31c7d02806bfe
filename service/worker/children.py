"""Large numbers are computed in a child process: the event loop and its interpreter lock stay free."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from contextlib import suppress

from service.domain.fibonacci import fibonacci

INLINE_INDEX = 10_000
"""Up to here it takes less than 0.2 ms, and a child would take 50."""

_NICENESS = 10
_MODULE = "service.worker.children"


class ChildFibonacci:
    """Computes numbers, at most `processes` at a time."""

    def __init__(self, processes: int | None = None) -> None:
        self._places = asyncio.Semaphore(processes or os.cpu_count() or 1)

    async def __call__(self, index: int) -> str:
        """Return the digits of F(index). Cancelled, it ends the child."""
        if index <= INLINE_INDEX:
            return fibonacci(index)
        async with self._places:
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", _MODULE, str(index), stdin=asyncio.subprocess.DEVNULL, stdout=PIPE
            )
            try:
                output, _ = await child.communicate()
            finally:
                if child.returncode is None:
                    with suppress(ProcessLookupError):
                        child.kill()
                    await child.communicate()  # to the end of its output, so that nothing stays open
        if child.returncode != 0:
            raise ChildProcessError(f"The child that computed F({index}) ended with {child.returncode}.")
        return output.decode()


def main() -> None:
    """Write the digits of F(index), index being the argument, to standard output."""
    os.nice(_NICENESS)  # who waits for a page comes first
    sys.stdout.write(fibonacci(int(sys.argv[1])))


if __name__ == "__main__":
    main()
