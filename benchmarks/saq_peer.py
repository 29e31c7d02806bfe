"""SAQ as the peer of our jobs: `python -m benchmarks.saq_peer URL` runs a worker of empty tasks."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvloop
from saq import Queue, Worker

CONCURRENCY = 10


async def nothing(_: Any) -> None:
    """Do nothing."""


async def main(url: str) -> None:
    """Work until killed."""
    queue = Queue.from_url(url)
    await queue.connect()
    print("working", flush=True)
    await Worker(queue, functions=[("nothing", nothing)], concurrency=CONCURRENCY).start()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1]))
