"""What the memory backend keeps, and its two switches for tests: an outage and a bound in bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from service.adapters import commits
from service.adapters.codec import dump_remembered, load_remembered
from service.adapters.commits import Head
from service.domain.errors import OutOfSpace, StoreError
from service.ports.storage import AlreadyCommitted, Commit, Guard


@dataclass(slots=True)
class Records:
    """The records of one revision, by position; `keys` maps the other way. Never changed once stored."""

    records: dict[int, bytes] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    positions: list[int] = field(default_factory=list)

    def copy(self) -> Records:
        """Return others that can be changed."""
        return Records(self.records.copy(), self.keys.copy(), self.positions.copy())

    def append(self, position: int, record: bytes, key: str | None) -> None:
        """Put a record behind all others."""
        self.records[position] = record
        self.positions.append(position)
        if key is not None:
            self.keys[key] = position

    def forget_key(self, position: int) -> None:
        """Take the key from the record at a position."""
        for key in [key for key, at in self.keys.items() if at == position]:
            del self.keys[key]

    def remove(self, position: int) -> None:
        """Remove the record at a position."""
        del self.records[position]
        self.positions.remove(position)
        self.forget_key(position)


@dataclass(slots=True)
class Name:
    """What is stored under a name."""

    head: Head
    records: Records = field(default_factory=Records)


@dataclass(frozen=True, slots=True)
class Expiring:
    """A document (or remembered commit, as bytes) with the time it lasts to."""

    value: Any
    expires: datetime | None

    def live(self, now: datetime) -> bool:
        """Tell whether it has not expired yet."""
        return self.expires is None or self.expires > now


@dataclass(slots=True)
class MemoryState:
    """What is stored; two `MemoryStorage` on one state are two replicas on one store.

    `outage`, once set, is raised by every method, as by a store that is gone. `max_bytes` is the room
    there is for records.
    """

    names: dict[str, Name] = field(default_factory=dict)
    remembered: dict[tuple[str, str], Expiring] = field(default_factory=dict)
    documents: dict[tuple[str, str], Expiring] = field(default_factory=dict)
    outage: StoreError | None = None
    max_bytes: int | None = None

    async def reach(self) -> None:
        """Let others run, as every call to a store does, then raise the outage, if there is one."""
        await asyncio.sleep(0)
        if self.outage is not None:
            raise self.outage

    def name(self, name: str) -> Name:
        """Return what is stored under a name."""
        return self.names.get(name) or Name(Head(name))

    def commit(
        self,
        name: str,
        guard: Guard,
        change: Callable[[Name], Commit],
        now: datetime,
        *,
        creates: bool = False,
    ) -> Commit:
        """Run a change on a copy of the dataset and store it; nothing awaits here, so it is atomic."""
        entry = self.name(name)
        idempotency = guard.idempotency
        if idempotency is not None:
            kept = self.remembered.get((name, idempotency.key))
            if kept is not None and kept.live(now):
                raise AlreadyCommitted(load_remembered(kept.value))
        before_bytes = 0 if creates else commits.present(entry.head).size_bytes
        commits.check(entry.head, guard, creates=creates)
        entry = Name(entry.head, entry.records.copy())
        commit = change(entry)
        self._check_room(commit.dataset.size_bytes - before_bytes)
        alive = commit.dataset if commit.dataset.created is not None else None
        version = max(entry.head.schema_version, commit.dataset.schema.version)
        entry.head = Head(name, commit.dataset.revision, version, alive)
        self.names[name] = entry
        if idempotency is not None:
            kept = Expiring(dump_remembered(idempotency, commit), idempotency.expires)
            self.remembered[name, idempotency.key] = kept
        return commit

    def _check_room(self, change_bytes: int) -> None:
        datasets = (name.head.dataset for name in self.names.values())
        used_bytes = sum(dataset.size_bytes for dataset in datasets if dataset is not None)
        if self.max_bytes is not None and used_bytes + change_bytes > self.max_bytes:
            raise OutOfSpace(f"The records would take more than {self.max_bytes} bytes.")
