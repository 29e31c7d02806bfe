"""What a commit makes of a dataset, and when it is refused: the same on every backend, to the byte.

A backend reads a `Head`, asks `check` whether the guard holds, computes the `Commit` with the function that
is named after what was done, and stores its dataset; all in one transaction, or with a compare-and-set on
the revision.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from service.adapters.codec import dump_schema
from service.domain.datasets import Dataset, Schema
from service.domain.errors import (
    DatasetNotFound,
    DuplicateKey,
    PreconditionFailed,
    RecordNotFound,
    StoreUnavailable,
)
from service.ports.storage import Commit, Guard, RecordChanged, SchemaChanged


@dataclass(frozen=True, slots=True)
class Head:
    """What a store knows of a name: its dataset, if there is one, and the counters that outlive it."""

    name: str
    revision: int = 0
    schema_version: int = 0
    dataset: Dataset | None = None


@dataclass(slots=True)
class Tally:
    """What an append did: records added, replaced and ignored, and by how many bytes all have grown."""

    added: int = 0
    replaced: int = 0
    ignored: int = 0
    size_change: int = 0

    def count(self, other: Tally) -> None:
        """Add what another part of it did."""
        self.added += other.added
        self.replaced += other.replaced
        self.ignored += other.ignored
        self.size_change += other.size_change


def check(head: Head, guard: Guard, *, creates: bool = False) -> None:
    """Raise `DatasetNotFound` unless the commit creates, and what the guard says of the dataset.

    `guard.idempotency` has been looked at before.
    """
    if not creates:
        present(head)
    revision = head.dataset.revision if head.dataset is not None else 0
    if guard.exists and not revision:
        raise PreconditionFailed(f"There is no dataset {head.name!r} any more. Create it first.")
    if guard.revision is not None and guard.revision != revision:
        raise PreconditionFailed(
            f"The dataset {head.name!r} is at revision {revision}, not {guard.revision}."
            " Read it anew and decide again.",
            revision=revision,
        )
    version = head.dataset.schema.version if head.dataset is not None else 0
    if guard.schema_version is not None and guard.schema_version != version:
        raise SchemaChanged(f"The schema is of version {version}, not {guard.schema_version}.")


def check_record(stored: bytes, guard: Guard) -> None:
    """Raise `RecordChanged` where the record holds other bytes than the guard says."""
    if guard.record is not None and guard.record != stored:
        raise RecordChanged("The record holds other bytes than the guard says.")


def present(head: Head) -> Dataset:
    """Return the dataset of a head. Raises `DatasetNotFound`."""
    if head.dataset is None:
        raise dataset_not_found(head.name)
    return head.dataset


def replaced(
    head: Head,
    schema: Schema,
    now: datetime,
    *,
    count: int,
    size_bytes: int,
    first: int | None = None,
    origin: Dataset | None = None,
) -> Commit:
    """Return the commit whose records are all new; its revision's number is that of the generation, too.

    `origin` is the revision of another store that it is a copy of, `first` where its first record stands.
    """
    if origin is None:
        dataset = _new(head, schema, now, count=count, size_bytes=size_bytes)
    else:
        dataset = _restored(head, schema, origin, count=count, size_bytes=size_bytes)
    return Commit(dataset, added=count, first_position=(first or 0) if count else None)


def appended(head: Head, schema: Schema, now: datetime, tally: Tally) -> Commit:
    """Return the commit of an append."""
    dataset = _changed(
        head,
        now,
        schema=schema,
        added=tally.added,
        size_change=tally.size_change,
        edited=tally.replaced > 0,
    )
    first = dataset.next_position - tally.added if tally.added else None
    return Commit(dataset, tally.added, tally.replaced, tally.ignored, first_position=first)


def record_put(
    head: Head, schema: Schema, now: datetime, position: int, *, before: bytes, after: bytes
) -> Commit:
    """Return the commit that changes a record."""
    dataset = _changed(head, now, schema=schema, size_change=len(after) - len(before), edited=True)
    return Commit(dataset, replaced=1, first_position=position)


def record_removed(head: Head, now: datetime, position: int, *, before: bytes) -> Commit:
    """Return the commit that removes a record."""
    dataset = _changed(head, now, removed=1, size_change=-len(before), edited=True)
    return Commit(dataset, removed=1, first_position=position)


def schema_put(head: Head, schema: Schema, now: datetime) -> Commit:
    """Return the commit that changes nothing but the schema."""
    return Commit(_changed(head, now, schema=schema))


def deleted(head: Head) -> Commit:
    """Return the commit of a deletion, which leaves a name and its revision."""
    removed = present(head).count
    return Commit(Dataset(head.name, revision=head.revision + 1), removed=removed)


def _new(head: Head, schema: Schema, now: datetime, *, count: int, size_bytes: int) -> Dataset:
    before = head.dataset
    return Dataset(
        name=head.name,
        revision=head.revision + 1,
        generation=head.revision + 1,
        count=count,
        next_position=count,
        size_bytes=size_bytes,
        created=now if before is None else before.created,
        updated=now,
        schema=_counted(head, schema),
    )


def _changed(
    head: Head,
    now: datetime,
    *,
    schema: Schema | None = None,
    added: int = 0,
    removed: int = 0,
    size_change: int = 0,
    edited: bool = False,
) -> Dataset:
    before = present(head)
    return replace(
        before,
        revision=head.revision + 1,
        count=before.count + added - removed,
        next_position=before.next_position + added,
        edits=before.edits + edited,
        size_bytes=before.size_bytes + size_change,
        updated=now,
        schema=before.schema if schema is None else _counted(head, schema),
    )


def _restored(head: Head, schema: Schema, origin: Dataset, *, count: int, size_bytes: int) -> Dataset:
    """Return the origin's revision, with other numbers where the name has used up those."""
    before = head.dataset
    revision = max(origin.revision, head.revision + 1)
    follows = before is not None and (before.created, before.generation) == (
        origin.created,
        origin.generation,
    )
    kept = revision == origin.revision and (follows or head.revision < origin.generation)
    counted = _counted(head, schema)
    version = max(counted.version, origin.schema.version)
    return replace(
        origin,
        name=head.name,
        revision=revision,
        generation=origin.generation if kept else revision,
        count=count,
        size_bytes=size_bytes,
        schema=counted if version == counted.version else replace(schema, version=version),
    )


def _counted(head: Head, schema: Schema) -> Schema:
    """Return the schema with its version, one more where its document differs from the stored one."""
    before = head.dataset
    if before is not None and dump_schema(before.schema) == dump_schema(schema):
        return before.schema
    return replace(schema, version=head.schema_version + 1)


def dataset_not_found(name: str) -> DatasetNotFound:
    """Say that no dataset has the name."""
    return DatasetNotFound(f"There is no dataset {name!r}. Load one, or list those there are.")


def position_not_found(name: str, position: int) -> RecordNotFound:
    """Say that no record stands at the position."""
    return RecordNotFound(f"The dataset {name!r} has no record at position {position}.")


def key_not_found(name: str, key: str) -> RecordNotFound:
    """Say that no record has the key."""
    return RecordNotFound(f"The dataset {name!r} has no record with the key {shown(key)}.")


def duplicate_key(key: str) -> DuplicateKey:
    """Say that a key occurs twice."""
    return DuplicateKey(f"The key {shown(key)} occurs twice, and it must be unique.", key=key)


def lease_lost() -> StoreUnavailable:
    """Say that a writer's staged records were swept because its process stood still."""
    return StoreUnavailable(
        "The write stood still for so long that its staged records were removed. Send it again."
    )


def shown(key: str) -> str:
    """Return a key for a sentence, cut where it is long (a key may have megabytes)."""
    return repr(key if len(key) <= 200 else key[:200] + "…")
