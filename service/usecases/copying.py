"""Copying everything from one store to another, so that clients cannot tell which of them answers.

Each dataset is copied from one snapshot, staged in the target, committed in one step under the numbers it has
in the source, and read back. So a copy that is cut off has left whole datasets only, and begun anew it passes
over those that are there. Between two datasets, and between datasets and documents, the source may change:
whoever wants all of one moment stops its writers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from service.domain.datasets import Dataset, Schema
from service.domain.errors import Conflict, SnapshotLost, StoreError
from service.domain.records import Batch
from service.formats.keys import key_of_record
from service.ports.clock import Clock
from service.ports.storage import Guard, Slice, Snapshot, Storage
from service.usecases.batches import closing
from service.usecases.digests import RecordDigest
from service.usecases.documents import DocumentCopy

ATTEMPTS = 5
"""How often a dataset is begun anew that is changed while a store without snapshots reads it."""

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""When the placeholder of a deleted dataset was created: no other dataset is as old."""


class Phase(StrEnum):
    """What is being done to a dataset."""

    COPYING = "copying"
    COMPARING = "comparing"
    VERIFYING = "verifying"


@dataclass(frozen=True, slots=True)
class Step:
    """How far a dataset is: so many records of so many in this phase."""

    name: str
    phase: Phase
    done: int
    total: int


Watcher = Callable[[Step], None]
"""Is told of each step."""


@dataclass(frozen=True, slots=True)
class CopiedDataset:
    """A dataset as it stands in the target; `digest` (SHA-256, hexadecimal) is the same in both stores.

    `copied` is False where it was there already.
    """

    name: str
    revision: int
    count: int
    digest: str
    copied: bool


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What is the same in both stores now."""

    datasets: Sequence[CopiedDataset]
    documents: int


def unwatched(step: Step) -> None:
    """Watch nothing."""
    del step


async def unasked() -> None:
    """Let the copy go on."""


class Copying:
    """Copies datasets with their revisions and changes, and documents: keys, pins, jobs, usage.

    `replaces`: what the target has under the same names gives way, where else the copy refuses before it has
    written anything. What only the target has stays. `confirm` is awaited before each effect; what it raises
    ends the copy.
    """

    def __init__(
        self,
        source: Storage,
        target: Storage,
        clock: Clock,
        *,
        replaces: bool = False,
        watch: Watcher = unwatched,
        confirm: Callable[[], Awaitable[None]] = unasked,
    ) -> None:
        self._source = source.datasets
        self._target = target.datasets
        self._sweep = target.sweep
        self._documents = DocumentCopy(source.documents, target.documents, clock, replaces=replaces)
        self._clock = clock
        self._replaces = replaces
        self._watch = watch
        self._confirm = confirm

    async def run(self) -> CopyReport:
        """Copy what the target does not have yet, and verify it.

        Raises `Conflict` where the target has something else of the same name, `StoreError` where a copy
        came out different, and what the stores raise.
        """
        datasets = await self._source.datasets()
        for dataset in datasets:
            self._check(dataset, await self._target.dataset(dataset.name))
        await self._documents.check()
        await self._sweep(self._clock.now())  # what a copy that was killed has staged
        copied = [await self._dataset(dataset.name) for dataset in datasets]
        for name in set(await self._source.names()).difference(dataset.name for dataset in datasets):
            await self._deleted(name)
        await self._confirm()
        return CopyReport(copied, await self._documents.run())

    def _check(self, origin: Dataset, there: Dataset | None) -> None:
        """Refuse a dataset that the target has otherwise. Raises `Conflict`."""
        if there is not None and _numbers(there) != _numbers(origin) and not self._replaces:
            raise _conflict(origin.name)

    async def _dataset(self, name: str) -> CopiedDataset:
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._attempt(name)
            except SnapshotLost:
                continue
        return await self._attempt(name)

    async def _attempt(self, name: str) -> CopiedDataset:
        async with self._source.snapshot(name) as held:
            origin, there = held.dataset, await self._target.dataset(name)
            self._check(origin, there)
            if there is not None and _numbers(there) == _numbers(origin):
                known = await self._same(held)
                if known is not None:
                    return CopiedDataset(name, origin.revision, origin.count, known, copied=False)
                if not self._replaces:
                    raise _conflict(name)
            digest, made = await self._copy(held, there)
        await self._verify(made, digest)
        return CopiedDataset(name, made.revision, made.count, digest, copied=True)

    async def _copy(self, held: Snapshot, there: Dataset | None) -> tuple[str, Dataset]:
        """Return the digest of what was read, and the dataset that was made of it."""
        origin, digest = held.dataset, RecordDigest(held.dataset.schema)
        guard = Guard(revision=0 if there is None else there.revision)

        def prepared(part: Slice) -> Batch:
            digest.add(part)
            keys = _keys(origin.schema.key, part.records)
            return Batch(part.records, keys, part.positions)

        async with self._target.replace(origin.name, origin) as writer, closing(held.scan()) as parts:
            self._tell(origin, Phase.COPYING, 0)
            async for part in parts:
                await writer.add(await asyncio.to_thread(prepared, part))
                self._tell(origin, Phase.COPYING, part.start + len(part.records))
            await self._confirm()
            commit = await writer.commit(origin.schema, guard)
        return digest.hexdigest(), commit.dataset

    async def _same(self, held: Snapshot) -> str | None:
        """Return the digest of a dataset that both stores have, or None where theirs differ."""
        ours = await self._digest(held, Phase.COMPARING)
        async with self._target.snapshot(held.dataset.name) as there:
            theirs = await self._digest(there, Phase.VERIFYING)
        return ours if ours == theirs else None

    async def _verify(self, made: Dataset, digest: str) -> None:
        """Read a copy back. Raises `StoreError`."""
        async with self._target.snapshot(made.name) as held:
            same = held.dataset == made and await self._digest(held, Phase.VERIFYING) == digest
        if not same:
            raise StoreError(
                f"The copy of the dataset {made.name!r} differs from its source, or was changed meanwhile."
                " Stop whoever writes to the target, and copy again with --replace."
            )

    async def _digest(self, held: Snapshot, phase: Phase) -> str:
        digest = RecordDigest(held.dataset.schema)
        async with closing(held.scan()) as parts:
            async for part in parts:
                await asyncio.to_thread(digest.add, part)
                self._tell(held.dataset, phase, part.start + len(part.records))
        return digest.hexdigest()

    async def _deleted(self, name: str) -> None:
        """Let the revisions of a deleted dataset go on counting in the target, where it had no such name.

        A placeholder is made and removed, which leaves the last revision; one that a killed copy has left is
        removed only.
        """
        last = await self._source.last_revision(name)
        there = await self._target.dataset(name)
        placeholder = Dataset(name, last - 1, last - 1, created=_NEVER, updated=_NEVER)
        if there is None and await self._target.last_revision(name) < placeholder.revision:
            async with self._target.replace(name, placeholder) as writer:
                there = (await writer.commit(placeholder.schema, Guard(revision=0))).dataset
        if there is not None and there.created == _NEVER:
            await self._target.delete(name, Guard(revision=there.revision))

    def _tell(self, dataset: Dataset, phase: Phase, done: int) -> None:
        self._watch(Step(dataset.name, phase, done, dataset.count))


def _numbers(dataset: Dataset) -> Dataset:
    """Return what two equal datasets have in common; a schema's version may have had to go on."""
    return replace(dataset, schema=Schema())


def _keys(key: str | None, records: Sequence[bytes]) -> list[str] | None:
    if key is None:
        return None
    return [key_of_record(key, record, msgspec.json.decode(record)) for record in records]


def _conflict(name: str) -> Conflict:
    return Conflict(f"The target has another dataset {name!r}. Remove it, or copy with --replace.")
