"""The right to write behind the last position of a dataset, and the duty to find nothing there."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from service.adapters import commits
from service.adapters.ranks import BUCKET
from service.adapters.redis.layout import unpack_row
from service.adapters.redis.scripts import Command
from service.adapters.redis.writing import NO_FENCE, POLL_S, Committer, Fence, busy
from service.domain.errors import OutcomeUnknown, StoreError, StoreUnavailable

LEASE_MS = 5_000
"""How long a writer that gives no sign is waited for; each of its steps gives one."""


class Overtaken(Exception):
    """Somebody else has replaced the body; never leaves the adapter."""


class Lease:
    """Held by one writer; its token fences off whoever held it before."""

    def __init__(self, committer: Committer, name: str) -> None:
        self._committer = committer
        self._name = name
        self.keys = committer.heads.keys(name)
        self.token = secrets.token_hex(8)

    async def take(self, wait_s: float) -> None:
        """Wait for the lease, and remove what a dead writer left behind the last position. Raises `Busy`."""
        deadline = asyncio.get_running_loop().time() + wait_s
        while not await self._committer.wire.call("SET", self.keys.lease, self.token, "NX", "PX", LEASE_MS):
            if asyncio.get_running_loop().time() > deadline:
                raise busy(self._name)
            await asyncio.sleep(POLL_S)
        await self._clean()

    async def apply(self, commands: Sequence[Command], *, body: str = "") -> None:
        """Run commands while the lease is held, and extend it.

        Raises `StoreUnavailable` where it is lost, and `Overtaken` where a body is given that is not read
        any more.
        """
        extend: Command = ("PEXPIRE", self.keys.lease, LEASE_MS)
        status, *_ = await self._committer.apply(
            self.keys,
            [*commands, extend],
            token=self.token,
            fence=Fence(self.keys.meta, "body", body) if body else NO_FENCE,
        )
        if status == b"fenced":
            raise Overtaken
        if status != b"done":
            raise commits.lease_lost()

    async def undo(self) -> None:
        """Remove what was put behind the last position."""
        token = secrets.token_hex(8)
        # What was cancelled on its way comes to nothing under the old token.
        await self.apply([("SET", self.keys.lease, token, "PX", LEASE_MS)])
        self.token = token
        await self._clean()

    async def leave(self) -> None:
        """Let others write; if that cannot be told, they wait until the lease ends."""
        with suppress(StoreError):
            await self._committer.apply(self.keys, [("DEL", self.keys.lease)], token=self.token)

    async def _clean(self) -> None:
        entry = await self._committer.heads.look(self._name)
        dataset = entry.head.dataset
        if dataset is None or not entry.staged:
            return
        for first in range(dataset.next_position // BUCKET * BUCKET, entry.staged, BUCKET):
            await self._clean_bucket(entry.body, first, max(0, dataset.next_position - first))
        await self.apply([("HDEL", self.keys.meta, "staged")])

    async def _clean_bucket(self, body: str, first: int, kept: int) -> None:
        """Remove the rows of a bucket behind the first ones, and what the index says of them."""
        bucket = self.keys.bucket(body, first)
        rows = await self._committer.wire.call("LRANGE", bucket, kept, -1)
        entries = [entry for _, entry in map(unpack_row, rows) if entry is not None]
        forget: list[Command] = [("HDEL", self.keys.index(body, entry), entry) for entry in entries]
        await self.apply([*forget, ("LTRIM", bucket, 0, kept - 1) if kept else ("UNLINK", bucket)])


@asynccontextmanager
async def lease(committer: Committer, name: str, wait_s: float | None = None) -> AsyncIterator[Lease]:
    """Hold the lease of a dataset, with nothing behind its last position. Raises `Busy`."""
    held = Lease(committer, name)
    try:
        await held.take(committer.wait_s if wait_s is None else wait_s)
        yield held
    except (StoreUnavailable, OutcomeUnknown):
        raise  # there is nobody to tell; the lease ends by itself
    except BaseException:
        await held.leave()
        raise
    await held.leave()
