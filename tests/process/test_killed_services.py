"""A service that is killed while it writes: what it acknowledged is there, and what it did not can be repeated."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import aiohttp
import pytest

from tests.clocks import FakeClock
from tests.contract.backends import BACKENDS
from tests.contract.backends.base import ProcessBackend
from tests.faults import trials
from tests.servers import Servers
from tests.waiting import patience

from .serving import serving

RECORDS_PER_LOAD = 3_000
RECORDS_PER_APPEND = 20
LONGEST_S = 0.5
"""From a service's readiness to its death: some tens of writes."""

FILL = "f" * 150


@dataclass(frozen=True)
class Write:
    """A load of the whole dataset, or an append; `key` is its Idempotency-Key and marks its records."""

    key: str
    loads: bool

    @property
    def records(self) -> list[str]:
        """What it puts into the dataset, as each record's only telling column."""
        count = RECORDS_PER_LOAD if self.loads else RECORDS_PER_APPEND
        return [f"{self.key}-{number}" for number in range(count)]

    def applied(self, before: list[str]) -> list[str]:
        """Return what is there after it."""
        return self.records if self.loads else before + self.records

    async def send(self, client: aiohttp.ClientSession) -> None:
        """Send it until it is acknowledged. Raises `aiohttp.ClientError` where no answer comes.

        A store that a busy machine keeps from answering counts as gone, and then its key makes it safe to
        send it again.
        """
        while not await self._sent(client):
            pass

    async def _sent(self, client: aiohttp.ClientSession) -> bool:
        method, path = ("PUT", "/datasets/d") if self.loads else ("POST", "/datasets/d/records")
        body = "n,fill\n" + "".join(f"{record},{FILL}\n" for record in self.records)
        headers = {"Content-Type": "text/csv", "Idempotency-Key": self.key}
        async with client.request(method, path, data=body, headers=headers) as answer:
            assert answer.status in {200, 201, 503}, await answer.text()
            return answer.status != 503


@pytest.fixture(params=[name for name, entry in BACKENDS.items() if entry.connect is not None])
async def backend(
    request: pytest.FixtureRequest, tmp_path: Path, servers: Servers
) -> AsyncIterator[ProcessBackend]:
    """Give a store that several services can open: each of them."""
    async with BACKENDS[request.param].make(FakeClock(), tmp_path, servers) as made:
        yield cast("ProcessBackend", made)


def settings_of(backend: ProcessBackend) -> dict[str, str]:
    """Return the settings of a service on the store, whose jobs are its own; SQLite's is in its directory."""
    served = {"STORAGE_URL": backend.address} if "://" in backend.address else {}
    return {**served, "QUEUE_URL": "memory://"}


async def stored(client: aiohttp.ClientSession) -> list[str]:
    """Return what is in the dataset, as soon as the store can tell."""
    headers = {"API-Version": "2026-11-20"}
    async with patience():
        while True:
            async with client.get("/datasets/d/records?limit=all&fields=n", headers=headers) as answer:
                assert answer.status in {200, 503}, await answer.text()
                with suppress(aiohttp.ClientPayloadError):  # the store fell silent in the middle
                    found = await answer.json()
                    if answer.status == 200:
                        return [record["n"] for record in found["records"]]


@pytest.mark.faults
@pytest.mark.timeout(1800)
async def test_a_killed_service_has_written_whole_and_once(backend: ProcessBackend, tmp_path: Path) -> None:
    """After `kill -9` all that was acknowledged is there, the rest whole or not, and sent again it is there once."""
    randomness = random.Random(31)
    expected: list[str] = []
    open_write = Write("first", loads=True)
    for trial in range(trials(100)):
        async with (
            serving(tmp_path, **settings_of(backend)) as server,
            aiohttp.ClientSession(server.url) as client,
        ):
            if trial:
                assert await stored(client) in (expected, open_write.applied(expected))
            await open_write.send(client)
            expected = open_write.applied(expected)
            assert await stored(client) == expected
            asyncio.get_running_loop().call_later(randomness.uniform(0, LONGEST_S), server.kill)
            try:
                for number in range(10**6):
                    open_write = Write(f"{trial}-{number}", loads=randomness.random() < 0.3)
                    await open_write.send(client)
                    expected = open_write.applied(expected)
            except aiohttp.ClientError:
                pass  # it is dead
