"""What every backend stores as one opaque value: schemas and remembered commits, as JSON bytes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from service.domain.datasets import Dataset, Schema
from service.ports.storage import Commit, Idempotency, Remembered


def dump_schema(schema: Schema) -> bytes:
    """Return the schema's document as bytes; two schemas are the same where these are."""
    return msgspec.json.encode(schema.as_document())


def load_schema(document: bytes, version: int) -> Schema:
    """Read back what `dump_schema` wrote."""
    return Schema.from_document(msgspec.json.decode(document), version)


def dump_body(body: dict[str, Any]) -> bytes:
    """Return the body of a document as bytes."""
    return msgspec.json.encode(body)


def load_body(data: bytes) -> dict[str, Any]:
    """Read back what `dump_body` wrote."""
    body: dict[str, Any] = msgspec.json.decode(data)
    return body


class _Stored(msgspec.Struct):
    """A remembered commit as it is stored; the schema is left out."""

    fingerprint: str
    payload: dict[str, Any]
    name: str
    revision: int
    generation: int
    count: int
    next_position: int
    edits: int
    size_bytes: int
    created: datetime | None
    updated: datetime | None
    added: int
    replaced: int
    ignored: int
    removed: int
    first_position: int | None


_DATASET = (
    *("name", "revision", "generation", "count", "next_position"),
    *("edits", "size_bytes", "created", "updated"),
)
_COMMIT = ("added", "replaced", "ignored", "removed", "first_position")


def dump_remembered(idempotency: Idempotency, commit: Commit) -> bytes:
    """Return what is kept of a commit for its Idempotency-Key."""
    dataset = {name: getattr(commit.dataset, name) for name in _DATASET}
    outcome = {name: getattr(commit, name) for name in _COMMIT}
    stored = _Stored(idempotency.fingerprint, idempotency.payload, **dataset, **outcome)
    return msgspec.json.encode(stored)


def load_remembered(data: bytes) -> Remembered:
    """Read back what `dump_remembered` wrote."""
    stored = msgspec.json.decode(data, type=_Stored)
    dataset = Dataset(**{name: getattr(stored, name) for name in _DATASET})
    commit = Commit(dataset, **{name: getattr(stored, name) for name in _COMMIT})
    return Remembered(stored.fingerprint, stored.payload, commit)
