"""A service whose oldest contract lies some changes back: `python -m benchmarks.chained COUNT`.

Each change migrates the query upward and head and envelope of `GET /data` downward, as real ones do.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import date, timedelta

import uvloop
from dependency_injector import providers

from containers import build_container
from service import logs
from service.contracts import registered
from service.contracts.changes import Change, envelope, head, query
from service.contracts.messages import Query, Records, Reply
from service.contracts.registry import Contract, Registry
from service.settings import Settings

FIRST = date(2024, 1, 1)


def change(number: int) -> type[Change]:
    """Return a change that adds a parameter's default, a header and a member."""

    class Step(Change):
        description = f"The {number}th of many."

        @query("data.read")
        def up(asked: Query) -> None:  # noqa: N805 - converters are plain functions
            asked.parameters.pop(f"was{number}", None)

        @head("data.read")
        def down(reply: Reply) -> None:  # noqa: N805 - as above
            reply.headers.pop(f"X-Step-{number}", None)

        @envelope("data.read")
        def around(records: Records) -> Records:  # noqa: N805 - as above
            records.members.pop(f"step{number}", None)
            return records

    return Step


def chained(count: int) -> Registry:
    """Return so many contracts behind the first, each with one change."""
    later = [
        Contract(FIRST + timedelta(days=number), f"Contract {number}.", (change(number),))
        for number in range(1, count + 1)
    ]
    return Registry([Contract(FIRST, "The first."), *later], registered().operations.values())


def main() -> None:
    """Serve until killed."""
    settings = Settings.from_env(os.environ)
    logs.configure(settings)
    container = build_container(settings)
    container.registry.override(providers.Object(chained(int(sys.argv[1]))))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(container.serve().run())


if __name__ == "__main__":
    main()
