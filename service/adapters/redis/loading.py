"""Replacing a dataset: a new body is staged in steps, and the commit names it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from service.adapters import commits
from service.adapters.redis.layout import Entry, Keys, write_entry
from service.adapters.redis.placing import Placement, place, steps
from service.adapters.redis.scripts import Command
from service.adapters.redis.writing import ANY_TOKEN, Change, Committer, Fence
from service.domain.datasets import Schema
from service.domain.errors import DuplicateKey, OutcomeUnknown, StoreError, StoreUnavailable
from service.domain.records import Batch
from service.ports.storage import NO_GUARD, Commit, Guard, OnConflict


class Staging:
    """A body that is being made: each step notes how far it reaches and when, so that it can be swept.

    The note is a fence, too: a step or commit comes to nothing where it is not the one that this writer left,
    because the body was swept, or because Redis lost steps in a crash.
    """

    def __init__(self, committer: Committer, name: str) -> None:
        self._committer = committer
        self._name = name
        self._keys: Keys = committer.heads.keys(name)
        self.body = secrets.token_hex(8)
        self.state = ""

    @property
    def fence(self) -> Fence:
        """What must still hold when the body is committed."""
        return Fence(self._keys.staged, self.body, self.state)

    async def begin(self, positions: int = 0) -> None:
        """Register the body, and how many positions it may reach at once."""
        await self._committer.litter(self._name)
        await self.stage([], positions)

    async def stage(self, commands: list[Command], positions: int) -> None:
        """Run commands that make the body reach so many positions."""
        state = f"{self._committer.now_ms()} {positions}"
        note: Command = ("HSET", self._keys.staged, self.body, state)
        if not await self._committer.claim(self._keys, [note, *commands], self.fence):
            raise commits.lease_lost()
        self.state = state

    async def discard(self) -> None:
        """Remove the body, if it was not committed; what cannot be removed now is swept later."""
        with suppress(StoreError):
            await self._committer.discard(self._name, self.body, self.state)


def retire(committer: Committer, keys: Keys, entry: Entry) -> list[Command]:
    """Return the command that keeps the present body for the snapshots that read it."""
    dataset = entry.head.dataset
    if dataset is None:
        return []
    kept = f"{dataset.edits} {committer.now_ms()} {entry.positions}"
    return [("HSET", keys.retired, entry.body, kept)]


class Replacement:
    """Stages a whole new body; see `Writer`."""

    def __init__(self, committer: Committer, name: str, staging: Staging) -> None:
        self._committer = committer
        self._name = name
        self._staging = staging
        self.committed = False
        self._placed = Placement()
        self._duplicate: DuplicateKey | None = None

    async def add(self, batch: Batch) -> None:
        """Stage records."""
        keys = self._committer.heads.keys(self._name)
        for step in steps(batch):
            end = self._placed.added
            try:
                placed = await place(
                    self._committer.wire, keys, self._staging.body, end, step, OnConflict.FAIL
                )
            except DuplicateKey as error:
                self._duplicate = error
                raise
            await self._staging.stage(placed.commands, end + placed.added)
            self._placed.count(placed)

    async def commit(self, schema: Schema, guard: Guard = NO_GUARD) -> Commit:
        """Make what was staged the dataset."""
        if self._duplicate is not None:
            raise self._duplicate
        committer, count = self._committer, self._placed.added
        keys = committer.heads.keys(self._name)

        async def change(entry: Entry) -> Change:
            dataset = commits.replaced(
                entry.head, schema, committer.now(), count=count, size_bytes=self._placed.size_change
            )
            commands = [
                *write_entry(keys, entry, dataset, self._staging.body),
                ("HDEL", keys.meta, "staged"),
                ("HDEL", keys.staged, self._staging.body),
                *retire(committer, keys, entry),
            ]
            commit = Commit(dataset, added=count, first_position=0 if count else None)
            return Change(commit, commands, self._staging.fence)

        commit = await committer.commit(self._name, guard, change, creates=True, token=ANY_TOKEN)
        self.committed = True
        return commit


@asynccontextmanager
async def replacement(committer: Committer, name: str) -> AsyncIterator[Replacement]:
    """Stage a new body, and remove it if it was not committed."""
    staging = Staging(committer, name)
    await staging.begin()
    writer = Replacement(committer, name, staging)
    try:
        yield writer
    except (StoreUnavailable, OutcomeUnknown):
        writer.committed = True  # or not, but there is nobody to ask: the sweep finds it
        raise
    finally:
        if not writer.committed:
            await staging.discard()
