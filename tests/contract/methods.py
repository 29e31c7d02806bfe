"""Every method of the port as a call, to prove of each what must hold for all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from service.domain.datasets import Dataset
from service.domain.records import Batch
from service.ports.storage import Document, Guard, Idempotency, OnConflict, Storage

from .steps import KEYED, append, everything, keyed, load

Call = Callable[[Storage], Awaitable[Any]]

_THEN = datetime(2025, 1, 1, tzinfo=UTC)
_ONCE = Guard(idempotency=Idempotency("once", "f", datetime(2999, 1, 1, tzinfo=UTC)))

READS: dict[str, Call] = {
    "dataset": lambda storage: storage.datasets.dataset("d"),
    "dataset-absent": lambda storage: storage.datasets.dataset("absent"),
    "datasets": lambda storage: storage.datasets.datasets(),
    "names": lambda storage: storage.datasets.names(),
    "last_revision": lambda storage: storage.datasets.last_revision("d"),
    "slice": lambda storage: storage.datasets.slice("d", limit=2),
    "slice-after": lambda storage: storage.datasets.slice("d", limit=2, after=1),
    "record-key": lambda storage: storage.datasets.record("d", key="1"),
    "record-position": lambda storage: storage.datasets.record("d", position=1),
    "snapshot": everything,
    "recall": lambda storage: storage.datasets.recall("d", "once"),
    "get": lambda storage: storage.documents.get("job", "a"),
    "list": lambda storage: storage.documents.list("job"),
    "list-tag": lambda storage: storage.documents.list("job", tag="t", newest_first=True),
    "kinds": lambda storage: storage.documents.kinds(),
    "ping": lambda storage: storage.ping(),
}

WRITES: dict[str, Call] = {
    "replace": lambda storage: load(storage, keyed([8])),
    "replace-new": lambda storage: load(storage, keyed([8]), name="new"),
    "replace-once": lambda storage: load(storage, keyed([8]), guard=_ONCE),
    "replace-origin": lambda storage: load(
        storage,
        Batch([b"{}"], None, [3]),
        origin=Dataset("d", 9, 9, next_position=5, created=_THEN, updated=_THEN),
    ),
    "append": lambda storage: append(storage, keyed([9])),
    "append-replacing": lambda storage: append(storage, keyed([1, 9]), on_conflict=OnConflict.REPLACE),
    "append-ignoring": lambda storage: append(storage, keyed([1, 9]), on_conflict=OnConflict.IGNORE),
    "put_record": lambda storage: storage.datasets.put_record("d", 1, b"{}", key="1", schema=KEYED),
    "delete_record": lambda storage: storage.datasets.delete_record("d", 1),
    "put_schema": lambda storage: storage.datasets.put_schema("d", KEYED),
    "delete": lambda storage: storage.datasets.delete("d"),
    "create": lambda storage: storage.documents.create("job", "b", {"n": 1}),
    "update": lambda storage: storage.documents.update("job", "a", {"n": 2}, version=1),
    "remove": lambda storage: storage.documents.remove("job", "a"),
    "restore": lambda storage: storage.documents.restore("job", [Document("a", {"n": 3}, 9)]),
    "add": lambda storage: storage.documents.add("usage", "day", {"n": 1}),
}

SWEEP: dict[str, Call] = {"sweep": lambda storage: storage.sweep(datetime.now(UTC))}

METHODS = READS | WRITES | SWEEP


async def prepare(storage: Storage) -> None:
    """Store what the calls are about."""
    await load(storage, keyed(range(5)))
    await storage.documents.create("job", "a", {"n": 1}, tag="t")
    await storage.documents.add("usage", "day", {"n": 5})


async def content(storage: Storage) -> list[Any]:
    """Return what the reads find, to compare."""
    return [
        await storage.datasets.datasets(),
        await everything(storage),
        await storage.datasets.recall("d", "once"),
        list(await storage.documents.list("job")),
        (await storage.documents.get("usage", "day")),
    ]
