"""Replacing a dataset: a new body is staged in steps, and the commit names it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from service.adapters import commits
from service.adapters.ranks import Gaps
from service.adapters.redis.indexing import PendingIndex
from service.adapters.redis.layout import Entry, Keys, pack_rows, write_entry
from service.adapters.redis.placing import push, steps
from service.adapters.redis.restoring import hollow, mark, spread
from service.adapters.redis.scripts import Command
from service.adapters.redis.writing import ANY_TOKEN, Change, Committer, Fence
from service.domain.datasets import Dataset, Schema
from service.domain.errors import DuplicateKey, OutcomeUnknown, StoreError, StoreUnavailable
from service.domain.records import Batch
from service.ports.storage import NO_GUARD, Commit, Guard

_STEP_RECORDS = 2_000
"""Twice what a script may take, because a transaction takes half the time."""


class Staging:
    """A body that is being made: each step notes how far it reaches and when, so that it can be swept.

    The note is a fence, too: a step or commit comes to nothing where it is not the one that this writer left,
    because the body was swept, or because Redis lost steps in a crash. A step is a transaction, not a script,
    which would take Redis twice the time.
    """

    def __init__(self, committer: Committer, name: str) -> None:
        self._committer = committer
        self._name = name
        self._keys: Keys = committer.heads.keys(name)
        self._state = ""
        self._steps = 0
        self._lost = False
        self._under_way: asyncio.Task[None] | None = None
        self.body = secrets.token_hex(8)

    @property
    def fence(self) -> Fence:
        """What must still hold when the body is committed, once it is `settled`."""
        return Fence(self._keys.staged, self.body, self._state)

    async def begin(self, positions: int = 0) -> None:
        """Register the body, and how many positions it may reach at once."""
        await self._committer.litter(self._name)
        self._state = self._next_state(positions)
        await self._committer.wire.call("HSET", self._keys.staged, self.body, self._state)

    async def stage(self, commands: list[Command], positions: int) -> None:
        """Run commands that make the body reach so many positions, while the next ones are prepared.

        What they raise is raised by the next call of this or `settled`.
        """
        await self.settled()
        self._under_way = asyncio.create_task(self._stage(commands, positions))
        await asyncio.sleep(0)  # so that it is sent now

    async def settled(self) -> None:
        """Wait until all commands have run."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            await under_way
        if self._lost:
            raise commits.lease_lost()

    async def _stage(self, commands: list[Command], positions: int) -> None:
        note, state = (self._keys.staged, self.body), self._next_state(positions)
        found, *_ = await self._committer.wire.transaction(
            [("HGET", *note), *commands, ("HSET", *note, state)]  # a sweep finds even what comes to nothing
        )
        self._lost = self._lost or found != self._state.encode()
        self._state = state

    def _next_state(self, positions: int) -> str:
        self._steps += 1
        return f"{self._committer.now_ms()} {positions} {self._steps}"

    async def discard(self) -> None:
        """Remove the body, if it was not committed; what cannot be removed now is swept later."""
        if self._under_way is not None:
            self._under_way.cancel()
            await asyncio.gather(self._under_way, return_exceptions=True)
        with suppress(StoreError):
            state = await self._committer.wire.call("HGET", self._keys.staged, self.body)
            if state is not None:
                await self._committer.discard(self._name, self.body, state.decode())


def retire(committer: Committer, keys: Keys, entry: Entry) -> list[Command]:
    """Return the command that keeps the present body for the snapshots that read it."""
    dataset = entry.head.dataset
    if dataset is None:
        return []
    kept = f"{dataset.edits} {committer.now_ms()} {entry.positions}"
    return [("HSET", keys.retired, entry.body, kept)]


class Replacement:
    """Stages a whole new body; see `Writer`. `origin` is what it restores."""

    def __init__(
        self, committer: Committer, name: str, staging: Staging, origin: Dataset | None = None
    ) -> None:
        self._committer = committer
        self._name = name
        self._keys = committer.heads.keys(name)
        self._staging = staging
        self._index = PendingIndex(committer.wire, self._keys, staging.body)
        self._origin = origin
        self._gaps = Gaps()
        self._end = 0
        self._count = 0
        self._size_bytes = 0
        self._duplicate: DuplicateKey | None = None
        self.kept = False

    async def add(self, batch: Batch) -> None:
        """Stage records."""
        for step in steps(batch, _STEP_RECORDS):
            positions = step.positions or range(self._end, self._end + len(step.records))
            rows: Sequence[bytes] = step.records
            if step.keys is not None:
                rows = await self._keyed(positions, step.records, step.keys)
            runs = [(rows, [])] if step.positions is None else spread(self._gaps, positions, rows)
            for run, holes in runs:
                await self._push(run, holes)
            self._count += len(rows)
            self._size_bytes += sum(map(len, step.records))
            if self._index.full:
                await self._send_index()

    async def _push(self, rows: Sequence[bytes], holes: Sequence[range]) -> None:
        commands = push(self._keys, self._staging.body, self._end, rows)
        bitmap = self._keys.holes(self._staging.body)
        marks = (command for some in holes for command in mark(bitmap, some))
        await self._staging.stage([*commands, *marks], self._end + len(rows))
        self._end += len(rows)

    async def _hollow_end(self, end: int) -> None:
        """Make the holes behind the last record, and count all."""
        for rows, holes in hollow(self._gaps.until(end)):
            await self._push(rows, holes)
        counts = [number for pair in self._gaps.groups().items() for number in pair]
        if counts:
            groups: Command = ("HSET", self._keys.groups(self._staging.body), *counts)
            await self._staging.stage([groups], self._end)

    async def _keyed(
        self, positions: Sequence[int], records: Sequence[bytes], keys: Sequence[str]
    ) -> list[bytes]:
        try:
            return pack_rows(records, self._index.add(keys, positions))
        except DuplicateKey as error:
            await self._refuse_known()  # one that came before this one
            self._duplicate = error
            raise

    async def _refuse_known(self) -> None:
        self._duplicate = self._duplicate or await self._index.first_known()
        if self._duplicate is not None:
            raise self._duplicate

    async def _send_index(self) -> None:
        await self._refuse_known()
        for commands in self._index.taken():
            await self._staging.stage(commands, self._end)

    async def commit(self, schema: Schema, guard: Guard = NO_GUARD) -> Commit:
        """Make what was staged the dataset."""
        await self._send_index()
        if self._origin is not None:
            await self._hollow_end(self._origin.next_position)
        await self._staging.settled()
        committer, keys = self._committer, self._keys

        async def change(entry: Entry) -> Change:
            commit = commits.replaced(
                entry.head,
                schema,
                committer.now(),
                count=self._count,
                size_bytes=self._size_bytes,
                first=self._gaps.first,
                origin=self._origin,
            )
            commands = [
                *write_entry(keys, entry, commit.dataset, self._staging.body),
                ("HDEL", keys.meta, "staged"),
                ("HDEL", keys.staged, self._staging.body),
                *retire(committer, keys, entry),
            ]
            return Change(commit, commands, self._staging.fence)

        commit = await committer.commit(self._name, guard, change, creates=True, token=ANY_TOKEN)
        self.kept = True
        return commit


@asynccontextmanager
async def replacement(
    committer: Committer, name: str, origin: Dataset | None = None
) -> AsyncIterator[Replacement]:
    """Stage a new body, and remove it if it was not committed."""
    staging = Staging(committer, name)
    await staging.begin()
    writer = Replacement(committer, name, staging, origin)
    try:
        yield writer
    except (StoreUnavailable, OutcomeUnknown):
        writer.kept = True  # or not, but there is nobody to ask: the sweep finds it
        raise
    finally:
        if not writer.kept:
            await staging.discard()
