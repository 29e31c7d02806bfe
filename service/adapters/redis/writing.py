"""Commits: computed here, checked and applied by Redis in one small script."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from weakref import WeakValueDictionary

from service.adapters import commits
from service.adapters.codec import dump_remembered, load_remembered
from service.adapters.redis.connections import Wire
from service.adapters.redis.heads import Heads
from service.adapters.redis.layout import Entry, Keys, chunks
from service.adapters.redis.scripts import APPLY, LITTER, Command, Word
from service.domain.errors import Busy, StoreUnavailable
from service.ports.clock import Clock
from service.ports.storage import AlreadyCommitted, Commit, Guard, Idempotency, Remembered

ANY_TOKEN = "*"  # noqa: S105 - no secret
"""In place of the lease's token: it does not matter who holds the lease."""

POLL_S = 0.02
_REMOVED_AT_ONCE = 32
"""Keys to a command: Redis itself frees lists of a few pages, before it answers the next."""


@dataclass(frozen=True, slots=True)
class Fence:
    """A field of a hash that must still have this value, else what was staged is no longer whole."""

    key: str = ""
    field: str = ""
    value: str | int = ""


NO_FENCE = Fence()


@dataclass(frozen=True, slots=True)
class Change:
    """What a commit does: its outcome, the commands that make it so, and what must hold until then."""

    commit: Commit
    commands: Sequence[Command]
    fence: Fence = NO_FENCE


class Committer:
    """Makes commits, one at a time for each dataset of a process, against those of other processes."""

    def __init__(self, wire: Wire, heads: Heads, clock: Clock, prefix: str, wait_s: float) -> None:
        self.wire = wire
        self.heads = heads
        self._clock = clock
        self._prefix = prefix
        self.wait_s = wait_s
        self._outage: tuple[float, str] | None = None
        self._announced: set[str] = set()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def now(self) -> datetime:
        """Return the time now."""
        return self._clock.now()

    def now_ms(self) -> int:
        """Return the time now, in milliseconds since 1970."""
        return milliseconds(self._clock.now())

    async def commit(
        self,
        name: str,
        guard: Guard,
        change: Callable[[Entry], Awaitable[Change]],
        *,
        creates: bool = False,
        token: str = "",
    ) -> Commit:
        """Compute a change of the present revision and apply it, again if another commit came first.

        `token` is that of the dataset's lease, if this writer holds it, or `ANY_TOKEN`. Raises `Busy` where
        other writers hold it for too long, and `StoreUnavailable` where what was staged is gone.
        """
        if token:
            # Who holds the lease need not wait for those who wait for it.
            return await self._committed(name, guard, change, creates=creates, token=token)
        async with self._turn(name):
            try:
                return await self._committed(name, guard, change, creates=creates, token=token)
            except StoreUnavailable as error:
                self._outage = (time.monotonic(), error.detail)
                raise

    async def _committed(
        self,
        name: str,
        guard: Guard,
        change: Callable[[Entry], Awaitable[Change]],
        *,
        creates: bool,
        token: str,
    ) -> Commit:
        keys = self.heads.keys(name)
        deadline = asyncio.get_running_loop().time() + self.wait_s
        entry = await self.look(name, guard)
        while True:
            commits.check(entry.head, guard, creates=creates)
            planned = await change(entry)
            await self._announce(name, entry)
            status, *rest = await self.apply(
                keys,
                [*planned.commands, *self._remember(keys, guard, planned.commit)],
                token=token,
                expected=entry,
                fence=planned.fence,
                once=guard.idempotency,
                final=True,
            )
            if status == b"done":
                return planned.commit
            if status == b"known":
                raise AlreadyCommitted(load_remembered(rest[0]))
            if status == b"fenced":
                raise commits.lease_lost()
            if status == b"stale":
                entry = self.heads.learn(name, rest[0])
            elif token:
                raise commits.lease_lost()
            else:
                await asyncio.sleep(POLL_S)
                entry = await self.look(name, guard)
            if asyncio.get_running_loop().time() > deadline:
                raise busy(name)

    async def look(self, name: str, guard: Guard) -> Entry:
        """Return what is stored now. Raises `AlreadyCommitted` where the guard's Idempotency-Key is known."""
        entry = await self.heads.look(name)
        if guard.idempotency is not None:
            remembered = await self.recall(name, guard.idempotency.key)
            if remembered is not None:
                raise AlreadyCommitted(remembered)
        return entry

    async def recall(self, name: str, idempotency_key: str) -> Remembered | None:
        """Return what an unexpired Idempotency-Key has committed."""
        once = self.heads.keys(name).once(idempotency_key)
        expires_ms, commit = await self.wire.call("HMGET", once, "expires_ms", "commit")
        if commit is None or int(expires_ms) <= self.now_ms():
            return None
        return load_remembered(commit)

    async def apply(
        self,
        keys: Keys,
        commands: Sequence[Command],
        *,
        token: str,
        expected: Entry | None = None,
        fence: Fence = NO_FENCE,
        once: Idempotency | None = None,
        final: bool = False,
    ) -> list[Any]:
        """Run commands in one step if nothing stands against it; return `done`, or what does."""
        state: tuple[Word, Word] = ("", "")
        if expected is not None:
            state = (expected.head.revision, expected.staged)
        words: list[Word] = [self.now_ms(), token, *state, fence.field, fence.value]
        for command in commands:
            words += (len(command), *command)
        touched = dict.fromkeys(command[1] for command in commands)
        checked = [keys.meta, keys.lease, keys.once(once.key) if once else keys.meta, fence.key or keys.meta]
        answer: list[Any] = await self.wire.script(APPLY, [*checked, *touched], words, commits=final)
        return answer

    async def litter(self, name: str) -> None:
        """Note, in a key of another slot, that there may be something to sweep."""
        await self.wire.script(LITTER, [f"{self._prefix}:garbage"], [self.now_ms(), name])

    async def discard(self, name: str, body: str, state: str) -> bool:
        """Remove a body that is staged in this state, in small steps; not if it was committed meanwhile."""
        keys = self.heads.keys(name)
        positions = int(state.split()[1])
        doomed = f"0 {positions} doomed"
        if not await self.claim(keys, [("HSET", keys.staged, body, doomed)], Fence(keys.staged, body, state)):
            return False
        for names in chunks(keys.all_of(body, positions), _REMOVED_AT_ONCE):
            await self.wire.call("UNLINK", *names)
        return await self.claim(keys, [("HDEL", keys.staged, body)], Fence(keys.staged, body, doomed))

    async def claim(self, keys: Keys, commands: Sequence[Command], fence: Fence) -> bool:
        """Run commands where the fence holds, whoever holds the lease; tell whether it did."""
        status, *_ = await self.apply(keys, commands, token=ANY_TOKEN, fence=fence)
        return bool(status == b"done")

    @asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[None]:
        """Let the writers of this process take turns: against one another they would only try in vain."""
        came = time.monotonic()
        turn = self._turns.setdefault(name, asyncio.Lock())
        try:
            async with asyncio.timeout(self.wait_s):
                await turn.acquire()
        except TimeoutError:
            raise busy(name) from None
        try:
            if self._outage is not None and self._outage[0] > came:
                raise StoreUnavailable(self._outage[1])  # nobody waits for a silent store twice
            yield
        finally:
            turn.release()

    async def _announce(self, name: str, entry: Entry) -> None:
        """List the name in the catalogue: when it is new, and once in a process, lest that was lost."""
        if entry.head.dataset is None or name not in self._announced:
            await self.wire.call("SADD", f"{self._prefix}:names", name)
            self._announced.add(name)

    def _remember(self, keys: Keys, guard: Guard, commit: Commit) -> list[Command]:
        idempotency = guard.idempotency
        if idempotency is None:
            return []
        once = keys.once(idempotency.key)
        expires_ms = milliseconds(idempotency.expires)
        stored = dump_remembered(idempotency, commit)
        return [
            ("HSET", once, "expires_ms", expires_ms, "commit", stored),
            ("PEXPIRE", once, max(1, expires_ms - self.now_ms())),
        ]


def milliseconds(moment: datetime) -> int:
    """Return a time in milliseconds since 1970."""
    return int(moment.timestamp() * 1000)


def busy(name: str) -> Busy:
    """Say that other writers were too long at it."""
    return Busy(f"The dataset {name!r} is being written by others. Send the request again in a while.")
