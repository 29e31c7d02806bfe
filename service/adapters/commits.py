"""What a commit makes of a dataset, and when it is refused: the same on every backend, to the byte.

A backend reads a `Head`, asks `check` whether the guard holds, computes the next revision with `replaced`,
`changed` or `deleted`, and stores it; all in one transaction, or with a compare-and-set on the revision.
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
from service.ports.storage import Guard, RecordChanged, SchemaChanged


@dataclass(frozen=True, slots=True)
class Head:
    """What a store knows of a name: its dataset, if there is one, and the counters that outlive it."""

    name: str
    revision: int = 0
    schema_version: int = 0
    dataset: Dataset | None = None


def check(head: Head, guard: Guard) -> None:
    """Raise what the guard says of the dataset; `guard.idempotency` has been looked at before."""
    present = head.dataset.revision if head.dataset is not None else 0
    if guard.exists and not present:
        raise PreconditionFailed(f"There is no dataset {head.name!r} any more. Create it first.")
    if guard.revision is not None and guard.revision != present:
        raise PreconditionFailed(
            f"The dataset {head.name!r} is at revision {present}, not {guard.revision}."
            " Read it anew and decide again.",
            revision=present,
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
    origin: Dataset | None = None,
) -> Dataset:
    """Return the revision whose records are all new; its number is that of the generation too.

    `origin` is the revision of another store that it is a copy of.
    """
    if origin is not None:
        return _restored(head, schema, origin, count=count, size_bytes=size_bytes)
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


def changed(
    head: Head,
    now: datetime,
    *,
    schema: Schema | None = None,
    added: int = 0,
    removed: int = 0,
    size_change: int = 0,
    edited: bool = False,
) -> Dataset:
    """Return the revision after an append or an edit. `size_change` is in bytes."""
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


def deleted(head: Head) -> Dataset:
    """Return what a deletion leaves: a name and its revision."""
    return Dataset(head.name, revision=head.revision + 1)


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
