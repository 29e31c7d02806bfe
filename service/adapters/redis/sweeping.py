"""Removing what nobody can reach any more."""

from __future__ import annotations

from datetime import datetime

from service.adapters.redis.leases import lease
from service.adapters.redis.writing import Committer, Fence, milliseconds
from service.domain.errors import Busy

READABLE_MS = 600_000
"""How long a replaced or deleted generation is kept for those who read it."""

STAGED_MS = 600_000
"""How long a load may give no sign before its writer counts as dead."""


class Sweeper:
    """Removes bodies: those that were replaced, and those whose writer died."""

    def __init__(self, committer: Committer, garbage_key: str) -> None:
        self._committer = committer
        self._wire = committer.wire
        self._garbage_key = garbage_key

    async def sweep(self, now: datetime) -> int:
        """Remove what is old enough; return how many bodies."""
        now_ms = milliseconds(now)
        names = await self._wire.call("ZRANGE", self._garbage_key, 0, -1, "WITHSCORES")
        removed = 0
        for name, noted_ms in zip(names[::2], names[1::2], strict=True):
            swept, left = await self._sweep(name.decode(), now_ms)
            removed += swept
            if not left and float(noted_ms) < now_ms - STAGED_MS:
                # Old notes only: a writer notes the name first, and stages a moment later.
                await self._wire.call("ZREM", self._garbage_key, name)
        return removed

    async def _sweep(self, name: str, now_ms: int) -> tuple[int, bool]:
        """Return how many bodies of a name were removed, and whether some are left."""
        keys = self._committer.heads.keys(name)
        removed, kept = await self._sweep_behind(name)
        retired = await self._wire.call("HGETALL", keys.retired)
        for body, state in zip(retired[::2], retired[1::2], strict=True):
            _, retired_ms, positions = state.split()
            if int(retired_ms) > now_ms - READABLE_MS:
                kept += 1
                continue
            # From here on nobody may read it: then it can go in steps.
            doomed = ("HSET", keys.staged, body, f"0 {int(positions)} doomed")
            unread = ("HDEL", keys.retired, body)
            await self._committer.claim(keys, [unread, doomed], Fence(keys.retired, body.decode(), state))
        staged = await self._wire.call("HGETALL", keys.staged)
        for body, state in zip(staged[::2], staged[1::2], strict=True):
            if int(state.split()[0]) > now_ms - STAGED_MS:
                kept += 1
            elif await self._committer.discard(name, body.decode(), state.decode()):
                removed += 1
            else:
                kept += 1
        return removed, bool(kept)

    async def _sweep_behind(self, name: str) -> tuple[int, int]:
        """Remove what a dead writer left behind the last position: how often there was some, and is."""
        if not (await self._committer.heads.look(name)).staged:
            return 0, 0
        try:
            async with lease(self._committer, name, wait_s=0):
                return 1, 0
        except Busy:
            return 0, 1  # its writer lives
