"""Storage stores; the engine queries. What follows is the promise of every backend.

A backend keeps, for each dataset, ordered canonical records (JSON objects as bytes, unchanged), a schema
document and a revision; and small versioned documents for all else (keys, pins, jobs, usage).
`tests/contract` states these semantics as one suite that every backend passes whole against its real server.

- Atomic: a commit is seen whole or not at all, under one new revision.
- Durable: what returned survives `kill -9` of the service and of the store.
- Fresh: a call that begins after a commit returned, on any replica, sees it.
- Any method raises `StoreUnavailable` within 2 s where the store does not answer (then nothing was written),
  `OutcomeUnknown` where the connection died during a commit, `OutOfSpace` where the store is full.
  No driver's exception passes.
- All are safe to call concurrently, from many tasks and many processes; a cancelled call has
  done its whole work or none.
- Same bytes: numbers and sentences that a client may see (revision, generation, versions, positions, the
  key of a `DuplicateKey`) are the same on every backend. Time is the injected clock's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, Self

from service.domain.datasets import Dataset, Schema
from service.domain.errors import StoreError
from service.domain.records import Batch


class OnConflict(StrEnum):
    """What an append does with a record whose key is there already (stored, or earlier in the same append).

    Records are taken in order: FAIL names the first whose key is there already, REPLACE puts the record at
    the position of the one it replaces, IGNORE drops it; neither uses up a position.
    """

    FAIL = "fail"
    REPLACE = "replace"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive records of one revision: `records[i]` stands at `positions[i]`, the first has rank `start`.

    `more` says whether a record follows. Behind the last record there are none, and `start` is the rank
    asked for (behind a position `after`: the count).
    """

    dataset: Dataset
    start: int
    positions: Sequence[int]
    records: Sequence[bytes]
    more: bool


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One record, its position, and the revision it was read from."""

    dataset: Dataset
    position: int
    record: bytes


@dataclass(frozen=True, slots=True)
class Idempotency:
    """Makes a commit happen once: kept with it, in the same transaction, until `expires`.

    `key` is unique for caller, method, path and the client's Idempotency-Key; `fingerprint` tells bodies
    apart; `payload` is what the caller needs beside the `Commit` to answer again.
    """

    key: str
    fingerprint: str
    expires: datetime
    payload: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Guard:
    """What must hold for a commit, checked in its transaction, in this order.

    `idempotency`: its key must not have made a commit before; raises `AlreadyCommitted`. Then, where the
    method raises it, `DatasetNotFound`.
    `exists`: the dataset must exist at all; raises `PreconditionFailed`.
    `revision`: its revision must be this one (0: it must not exist); raises `PreconditionFailed`.
    `schema_version`: the schema must be of this version (0: there is no dataset); raises `SchemaChanged`,
    and the caller looks anew. Then, where the method raises it, `RecordNotFound`.
    `record`: the record in question must still hold these bytes; raises `RecordChanged`. Then `DuplicateKey`.
    """

    revision: int | None = None
    exists: bool = False
    schema_version: int | None = None
    record: bytes | None = None
    idempotency: Idempotency | None = None


NO_GUARD = Guard()


@dataclass(frozen=True, slots=True)
class Commit:
    """What a commit did: the new revision, and how many records it added, replaced, ignored, removed.

    `first_position` is that of the first record added (or the record edited or removed by its position);
    None where there is none.

    What a commit makes of the dataset: `revision` is one more than the name's last; a replace begins a
    `generation` of the same number as its revision, with `edits` 0 and, where the dataset was there before,
    its `created`; `edits` grows by one where `replaced` or `removed` is not 0; the schema's
    `version` is one more than the name's last where its document differs from the stored one (it goes on
    counting after a deletion too); `updated` is the clock's time.
    """

    dataset: Dataset
    added: int = 0
    replaced: int = 0
    ignored: int = 0
    removed: int = 0
    first_position: int | None = None


@dataclass(frozen=True, slots=True)
class Remembered:
    """A commit that an Idempotency-Key has made before: its fingerprint, payload and outcome.

    `commit.dataset` carries name, revision, count and size of that commit; its schema is not kept.
    """

    fingerprint: str
    payload: dict[str, Any]
    commit: Commit


class AlreadyCommitted(StoreError):
    """The guard's Idempotency-Key has made its commit before; nothing was written now."""

    slug = "already-committed"

    def __init__(self, remembered: Remembered) -> None:
        super().__init__("The Idempotency-Key has made its commit before.")
        self.remembered = remembered


class SchemaChanged(StoreError):
    """The schema is of another version than the guard says; nothing was written."""

    slug = "schema-changed"


class RecordChanged(StoreError):
    """The record holds other bytes than the guard says; nothing was written."""

    slug = "record-changed"


class Writer(Protocol):
    """A staged write: nothing of it is seen before `commit`, and leaving without one undoes it.

    Used by one task. If its process dies, `sweep` removes what it staged.
    """

    async def add(self, batch: Batch) -> None:
        """Stage records behind those added before.

        Raises `DuplicateKey` (member `key`: that of the first record whose key is there already) where
        conflicts fail; a backend may find this only in `commit`. After an error, of `commit` too, a writer
        is spent.
        """
        ...

    async def commit(self, schema: Schema, guard: Guard = NO_GUARD) -> Commit:
        """Make what was staged the new revision, in one step; once only.

        `schema` is stored with it (its `version` is ignored: the store counts one up where the document
        differs from the stored one). Raises what the guard says, `DuplicateKey`, `AlreadyCommitted`, for an
        append `DatasetNotFound` where the dataset is gone, and `StoreUnavailable` where this process stood
        still for so long that another one swept what was staged.
        """
        ...


class Snapshot(Protocol):
    """One revision of a dataset, held for reading while writers go on.

    Where the store has no snapshots, a method raises `SnapshotLost` as soon as a record of the generation
    was changed or removed since; appends never disturb, and a replaced generation stays readable for 10
    minutes.
    """

    @property
    def dataset(self) -> Dataset:
        """The revision that is held."""
        ...

    async def slice(self, *, limit: int, rank: int = 0, after: int | None = None) -> Slice:
        """Return at most `limit` records, as `Datasets.slice` does."""
        ...

    def scan(self, *, rank: int = 0, after: int | None = None) -> AsyncIterator[Slice]:
        """Yield all records from there to the end as slices of at most about 1 MiB; memory stays flat."""
        ...


class Datasets(Protocol):
    """Datasets and their records."""

    async def dataset(self, name: str) -> Dataset | None:
        """Return the current revision's metadata, or None where no dataset has the name.

        Called on every request: cheap (a cached object after a check of freshness).
        """
        ...

    async def datasets(self) -> list[Dataset]:
        """Return all datasets, sorted by name (by code point)."""
        ...

    async def names(self) -> list[str]:
        """Return every name that ever had a dataset, deleted or not, sorted (by code point)."""
        ...

    async def last_revision(self, name: str) -> int:
        """Return the newest revision the name ever had, deleted or not; 0 where it never existed."""
        ...

    async def slice(self, name: str, *, limit: int, rank: int = 0, after: int | None = None) -> Slice:
        """Return at most `limit` records of the current revision in order of position.

        From the 0-based `rank`, or, if `after` is given, behind that position (`start` then tells the rank).
        Costs the same at any depth, also after deletes. Raises `DatasetNotFound`.
        """
        ...

    async def record(self, name: str, *, key: str | None = None, position: int | None = None) -> StoredRecord:
        """Return the record with that key or position. Raises `DatasetNotFound`, `RecordNotFound`."""
        ...

    def snapshot(self, name: str) -> AbstractAsyncContextManager[Snapshot]:
        """Hold the current revision for reading. Entering raises `DatasetNotFound`."""
        ...

    def replace(self, name: str, origin: Dataset | None = None) -> AbstractAsyncContextManager[Writer]:
        """Stage a whole new generation of the dataset, which is created if absent.

        Positions start at 0. Readers go on with the old generation, which stays readable for 10 minutes.

        `origin` restores that revision of another store: every batch then brings its `positions`, which
        ascend and lie before `origin.next_position`, and the commit takes over the origin's `revision`,
        `generation`, `next_position`, `edits`, `created`, `updated` and, of the schema, the `version`; so
        cursors, addresses and ETags go on. Numbers that the name has used up for something else are never
        given again: where its last revision is not before the origin's, the copy is the one after that (a
        generation of its own); where only the generation was used, by other records than the origin's
        (told by `created`), the generation is the revision's number.
        """
        ...

    def append(
        self, name: str, on_conflict: OnConflict = OnConflict.FAIL
    ) -> AbstractAsyncContextManager[Writer]:
        """Stage records to stand behind those there are at the time of the commit, at dense positions.

        A replaced record keeps its position. Entering raises `DatasetNotFound`. An append of nothing commits
        too (a new revision, `added` 0).
        """
        ...

    async def put_record(
        self,
        name: str,
        position: int,
        record: bytes,
        *,
        key: str | None,
        schema: Schema,
        guard: Guard = NO_GUARD,
    ) -> Commit:
        """Change the record at a position, its key too (`replaced` is 1).

        Raises `DatasetNotFound`, `RecordNotFound`, `DuplicateKey` where another record has the key.
        """
        ...

    async def delete_record(self, name: str, position: int, guard: Guard = NO_GUARD) -> Commit:
        """Remove the record at a position (`removed` is 1). Raises `DatasetNotFound`, `RecordNotFound`."""
        ...

    async def put_schema(self, name: str, schema: Schema, guard: Guard = NO_GUARD) -> Commit:
        """Store another schema under a new revision, the records unchanged. Raises `DatasetNotFound`."""
        ...

    async def delete(self, name: str, guard: Guard = NO_GUARD) -> Commit:
        """Remove the dataset (`removed` counts its records); the name's next revision goes on counting.

        The `Commit`'s dataset has the name and the revision that this deletion is (one more than the last)
        and nothing else. A snapshot stays readable as after a replace. Raises `DatasetNotFound`.
        """
        ...

    async def recall(self, name: str, idempotency_key: str) -> Remembered | None:
        """Return what an unexpired Idempotency-Key has committed to this dataset, or None.

        It is remembered after the dataset was deleted, too.
        """
        ...


@dataclass(frozen=True, slots=True)
class Document:
    """A small versioned JSON document: `version` counts its writes from 1; `tag` is a label to list by.

    `expires` is when it goes away (None: never), at least to the millisecond; two documents may differ in it.
    """

    id: str
    body: dict[str, Any]
    version: int
    tag: str = ""
    expires: datetime | None = field(default=None, compare=False)


class Documents(Protocol):
    """Small JSON documents (at most 1 MiB), by kind and id, each changed by compare-and-set.

    `kind` is a short ASCII word, `id` any ASCII text without control characters, at most 256 long. An
    expired document is as if absent.
    """

    async def get(self, kind: str, id: str) -> Document | None:
        """Return the document, or None."""
        ...

    async def create(
        self,
        kind: str,
        id: str,
        body: dict[str, Any],
        *,
        tag: str = "",
        expires: datetime | None = None,
    ) -> Document | None:
        """Store a document unless the id is taken (put-if-absent): return it, or None where it is taken."""
        ...

    async def update(
        self,
        kind: str,
        id: str,
        body: dict[str, Any],
        *,
        version: int,
        tag: str = "",
        expires: datetime | None = None,
    ) -> Document | None:
        """Change a document that still has this version: return the new one, or None."""
        ...

    async def remove(self, kind: str, id: str, *, version: int | None = None) -> bool:
        """Remove a document (of this version, if given): return whether it was there."""
        ...

    async def list(
        self,
        kind: str,
        *,
        tag: str | None = None,
        after: str = "",
        limit: int = 1000,
        newest_first: bool = False,
    ) -> Sequence[Document]:
        """Return documents of a kind (with that tag), sorted by id from behind `after`, or backwards.

        Backwards, `after` bounds from above; without it the list begins at the end. Costs
        in proportion to what is returned, not to what is stored.
        """
        ...

    async def add(self, kind: str, id: str, amounts: dict[str, int]) -> None:
        """Add to the numeric members of a document of counters, atomically, creating it if absent.

        Such a document is read with `get` and written with nothing but `add`.
        """
        ...

    async def kinds(self) -> Sequence[str]:
        """Return every kind that has documents, sorted; of some there may be none any more."""
        ...

    async def restore(self, kind: str, documents: Sequence[Document]) -> None:
        """Store documents as they are elsewhere, version, tag and expiry too, in place of what has their ids.

        Each is stored whole or not at all. A document of counters goes on counting.
        """
        ...


class Storage(Protocol):
    """A backend: `async with storage:` opens it; constructors do no I/O.

    Entering does not fail where the server is absent: methods raise until it is there, so that a service
    can wait for its store. It raises `StoreError` at once where waiting cannot help (wrong URL,
    file that is no database).
    """

    @property
    def datasets(self) -> Datasets:
        """The datasets."""
        ...

    @property
    def documents(self) -> Documents:
        """The documents."""
        ...

    async def __aenter__(self) -> Self:
        """Open pools, files and background tasks."""
        ...

    async def __aexit__(self, *exc: object) -> None:
        """Close them all."""
        ...

    async def ping(self) -> None:
        """Return if the store answers a trivial question; prepares it (tables, scripts) on first contact."""
        ...

    async def sweep(self, now: datetime) -> int:
        """Remove what nobody can reach any more, in small steps that stall nobody: return how many pieces.

        Generations replaced or deleted more than 10 minutes ago, staged writes whose writer is dead,
        expired idempotency records and documents. Called every minute by each process, which by this also
        says that its own writers live.
        """
        ...

    def warnings(self) -> Sequence[str]:
        """Sentences for the operator about this server, found by `ping` (such as: not durable)."""
        ...
