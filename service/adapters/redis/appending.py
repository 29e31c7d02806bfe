"""Appending: a little in one step; much behind the last position, where nobody reads, under a lease.

The records of a large append become visible when the commit moves the last position behind them. What a dead
writer left there is removed by the next one before it writes. Where known keys are to be replaced, a copy of
the body takes a large append, and the commit names the copy: so that, too, is seen whole or not at all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from service.adapters import commits
from service.adapters.ranks import BUCKET
from service.adapters.redis.layout import INDEX_PARTS, Entry, Keys, chunks, write_entry
from service.adapters.redis.leases import Lease, Overtaken, lease
from service.adapters.redis.loading import Staging, retire
from service.adapters.redis.placing import Placement, place, steps
from service.adapters.redis.scripts import Command
from service.adapters.redis.spool import Spool
from service.adapters.redis.writing import NO_FENCE, Change, Committer, Fence, busy
from service.domain.datasets import Schema
from service.domain.errors import AeroliteError, OutcomeUnknown, StoreUnavailable
from service.domain.records import Batch
from service.ports.storage import NO_GUARD, Commit, Guard, OnConflict

_ATTEMPTS = 5
"""How often a large append is staged anew because the dataset was replaced meanwhile."""

_COPIED_RECORDS = 16_384
"""What Redis copies at once; it takes a millisecond or two."""


class Place(Protocol):
    """Where a large append is staged."""

    @property
    def body(self) -> str:
        """The body that takes the records."""
        ...

    async def prepare(self, entry: Entry) -> None:
        """Make it ready to take records."""
        ...

    async def stage(self, commands: list[Command], positions: int) -> None:
        """Run commands that make the body reach so many positions."""
        ...

    def finish(self, entry: Entry) -> tuple[list[Command], Fence]:
        """Return what belongs to the commit, and what must hold for it. Raises `Overtaken`."""
        ...

    async def discard(self) -> None:
        """Remove what was staged."""
        ...


class Behind:
    """Behind the last position of the present body."""

    def __init__(self, held: Lease, body: str) -> None:
        self._held = held
        self._staged = 0
        self.body = body

    async def prepare(self, entry: Entry) -> None:
        """Do nothing: the lease begins with nothing there."""

    async def stage(self, commands: list[Command], positions: int) -> None:
        """Run commands, and note how far they reach."""
        note: Command = ("HSET", self._held.keys.meta, "staged", positions)
        await self._held.apply([note, *commands], body=self.body)
        self._staged = positions

    def finish(self, entry: Entry) -> tuple[list[Command], Fence]:
        """Return the command that ends the staging."""
        if entry.body != self.body:
            raise Overtaken
        if entry.staged != self._staged:
            raise commits.lease_lost()  # Redis lost steps in a crash
        return [("HDEL", self._held.keys.meta, "staged")], NO_FENCE

    async def discard(self) -> None:
        """Remove what was staged."""
        await self._held.undo()


class Copy:
    """In a copy of the present body."""

    def __init__(self, committer: Committer, held: Lease, name: str) -> None:
        self._committer = committer
        self._held = held
        self._staging = Staging(committer, name)
        self._source = ""
        self.body = self._staging.body

    async def prepare(self, entry: Entry) -> None:
        """Copy the present body."""
        self._source = entry.body
        await self._staging.begin(entry.positions)
        for commands in _copies(self._held.keys, entry, self.body):
            await self._committer.wire.run(commands)
            await self._held.apply([])

    async def stage(self, commands: list[Command], positions: int) -> None:
        """Run commands, and extend the lease."""
        await self._staging.stage(commands, positions)
        await self._staging.settled()  # the next step asks for the keys of this one
        await self._held.apply([])

    def finish(self, entry: Entry) -> tuple[list[Command], Fence]:
        """Return the commands that make the copy the present body."""
        if entry.body != self._source:
            raise Overtaken
        registered: Command = ("HDEL", self._held.keys.staged, self.body)
        return [registered, *retire(self._committer, self._held.keys, entry)], self._staging.fence

    async def discard(self) -> None:
        """Remove the copy."""
        await self._staging.discard()


def _copies(keys: Keys, entry: Entry, body: str) -> Iterator[list[Command]]:
    """Yield the commands that copy a body, some at a time."""
    positions = entry.positions
    buckets: list[Command] = [
        ("COPY", keys.bucket(entry.body, at), keys.bucket(body, at)) for at in range(0, positions, BUCKET)
    ]
    yield from chunks(buckets, _COPIED_RECORDS // BUCKET)
    index: list[Command] = [
        ("COPY", keys.index_part(entry.body, part), keys.index_part(body, part))
        for part in range(INDEX_PARTS)
    ]
    yield from chunks(index, max(1, _COPIED_RECORDS * INDEX_PARTS // max(1, positions)))
    yield [
        ("COPY", keys.holes(entry.body), keys.holes(body)),
        ("COPY", keys.groups(entry.body), keys.groups(body)),
    ]


class Append:
    """Keeps records until the commit puts them behind those there are; see `Writer`."""

    def __init__(self, committer: Committer, name: str, on_conflict: OnConflict, spool: Spool) -> None:
        self._committer = committer
        self._name = name
        self._keys = committer.heads.keys(name)
        self._on_conflict = on_conflict
        self._spool = spool

    async def add(self, batch: Batch) -> None:
        """Stage records."""
        await self._spool.add(batch)

    async def commit(self, schema: Schema, guard: Guard = NO_GUARD) -> Commit:
        """Put what was staged behind what is there."""
        batch = self._spool.small()
        if batch is not None:
            return await self._commit_at_once(batch, schema, guard)
        return await self._commit_in_steps(schema, guard)

    async def _commit_at_once(self, batch: Batch, schema: Schema, guard: Guard) -> Commit:
        async def change(entry: Entry) -> Change:
            dataset = commits.present(entry.head)
            if entry.staged:
                async with lease(self._committer, self._name):
                    pass  # it begins by removing what a dead writer left
            placed = await self._place(entry.body, dataset.next_position, batch)
            return self._change(entry, placed, schema, entry.body, placed.commands)

        return await self._committer.commit(self._name, guard, change)

    async def _commit_in_steps(self, schema: Schema, guard: Guard) -> Commit:
        await self._committer.litter(self._name)
        async with lease(self._committer, self._name) as held:
            for _ in range(_ATTEMPTS):
                with suppress(Overtaken):
                    return await self._commit_under(held, schema, guard)
            raise busy(self._name)

    async def _commit_under(self, held: Lease, schema: Schema, guard: Guard) -> Commit:
        entry = await self._committer.look(self._name, guard)
        commits.check(entry.head, guard)
        dataset = commits.present(entry.head)
        async with self._placing(held, entry) as where:
            total = Placement()
            async for batch in self._spool.batches():
                for step in steps(batch):
                    end = dataset.next_position + total.added
                    placed = await self._place(where.body, end, step)
                    await where.stage(placed.commands, end + placed.added)
                    total.count(placed)

            async def change(entry: Entry) -> Change:
                commands, fence = where.finish(entry)
                return self._change(entry, total, schema, where.body, commands, fence)

            return await self._committer.commit(self._name, guard, change, token=held.token)

    @asynccontextmanager
    async def _placing(self, held: Lease, entry: Entry) -> AsyncIterator[Place]:
        """Give the place for a large append; what was staged there and not committed is removed."""
        replaces = self._on_conflict is OnConflict.REPLACE
        where: Place = Copy(self._committer, held, self._name) if replaces else Behind(held, entry.body)
        try:
            await where.prepare(entry)
            yield where
        except (StoreUnavailable, OutcomeUnknown):
            raise  # there is nobody to tell; the next writer, or the sweep, finds it
        except BaseException:
            with suppress(AeroliteError):
                await where.discard()
            raise

    async def _place(self, body: str, end: int, batch: Batch) -> Placement:
        return await place(self._committer.wire, self._keys, body, end, batch, self._on_conflict)

    def _change(
        self,
        entry: Entry,
        placed: Placement,
        schema: Schema,
        body: str,
        commands: Sequence[Command],
        fence: Fence = NO_FENCE,
    ) -> Change:
        commit = commits.appended(entry.head, schema, self._committer.now(), placed)
        return Change(commit, [*write_entry(self._keys, entry, commit.dataset, body), *commands], fence)
