"""Rows of the table of datasets, and those that this process has seen."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from service.adapters.codec import load_schema
from service.adapters.commits import Head
from service.domain.datasets import Dataset

MAX_SEEN = 1000
"""Datasets kept in mind; a schema of 2,000 columns takes about half a megabyte."""

COUNTERS = (
    "d.name, d.revision, d.schema_version, d.lot, d.generation, d.count, d.next_position,"
    " d.edits, d.size_bytes, d.created, d.updated"
)

COLUMNS = f"{COUNTERS}, d.schema"


def digest(key: str) -> bytes:
    """Return what stands for a key in an index: 16 bytes, however long it is."""
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def dataset_of(row: Any, known: Dataset | None = None) -> Dataset | None:
    """Return the dataset in a row, or None where it is deleted.

    `known` saves reading the row where its revision is the same; then the row may lack the schema.
    """
    if not row["lot"]:
        return None
    if known is not None and known.revision == row["revision"]:
        return known
    return Dataset(
        name=row["name"],
        revision=row["revision"],
        generation=row["generation"],
        count=row["count"],
        next_position=row["next_position"],
        edits=row["edits"],
        size_bytes=row["size_bytes"],
        created=row["created"],
        updated=row["updated"],
        schema=load_schema(row["schema"], row["schema_version"]),
    )


@dataclass(frozen=True, slots=True)
class Stored:
    """A name as the store has it: its head, and the lot of its records (0 where there is no dataset)."""

    head: Head
    lot: int = 0

    @classmethod
    def of(cls, row: Any) -> Stored:
        """Read it from a row."""
        head = Head(row["name"], row["revision"], row["schema_version"], dataset_of(row))
        return cls(head, row["lot"])


class Seen:
    """The newest revisions that this process has seen: to be asked for again only where they have changed."""

    def __init__(self) -> None:
        self._datasets: OrderedDict[str, Dataset] = OrderedDict()

    def get(self, name: str) -> Dataset | None:
        """Return the dataset as it was last seen."""
        return self._datasets.get(name)

    def put(self, name: str, dataset: Dataset | None) -> None:
        """Keep what was seen now, None where there is no dataset."""
        if dataset is None:
            self._datasets.pop(name, None)
            return
        self._datasets[name] = dataset
        self._datasets.move_to_end(name)
        if len(self._datasets) > MAX_SEEN:
            self._datasets.popitem(last=False)
