"""A process that makes first contacts: `python -m tests.contract.contacts BACKEND ADDRESS KEY DAY COUNT`.

It says `ready`, waits for a line, and then prints the pins that its `COUNT` requests at once were given.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, date, datetime

from service.usecases.access import Access
from tests.clocks import FakeClock

from .backends import BACKENDS

FIRST = date(2023, 4, 1)


async def main(backend: str, address: str, key: str, day: str, count: str) -> None:
    """Open the store, wait, and be many."""
    connect = BACKENDS[backend].connect
    assert connect is not None
    clock = FakeClock(datetime.fromisoformat(day).replace(tzinfo=UTC))
    async with connect(address, clock) as storage:
        await storage.ping()
        access = Access(storage.documents, clock, anonymous_scopes=frozenset(), admin_key=None, first=FIRST)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        callers = await asyncio.gather(
            *(access.authenticate(f"Bearer {key}", contact=True) for _ in range(int(count)))
        )
    print(*sorted({str(caller.pin) for caller in callers}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
