"""Waiting for what is to happen: as long as it takes, and not for ever.

What happens ends the waiting at once, so the bound is for what hangs. It has room for a machine that is many
times slower and busy with other work: what is fast enough is measured in benchmarks/.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

PATIENCE_S = 120.0


def patience() -> asyncio.Timeout:
    """Return a context that raises `TimeoutError` where something hangs."""
    return asyncio.timeout(PATIENCE_S)


async def until(holds: Callable[[], Any]) -> None:
    """Ask until it holds. Raises `TimeoutError` where it never does."""
    async with patience():
        while not holds():
            await asyncio.sleep(0.01)
