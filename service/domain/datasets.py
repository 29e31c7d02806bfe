"""A dataset: named, ordered records, what is known of their columns, and a revision that counts commits."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from service.domain.columns import Column
from service.domain.errors import InvalidParameter

DATA = "data"
"""The dataset behind `/data`: always there, empty until loaded."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", re.ASCII)


def check_name(name: str) -> str:
    """Return the name of a dataset if it is one.

    1 to 128 of `A-Z a-z 0-9 _ . -`, the first a letter or digit, so that it stands in URLs, file names and
    store keys as it is. Raises `InvalidParameter`.
    """
    if _NAME.fullmatch(name) is None:
        raise InvalidParameter(
            "name",
            "A dataset's name is 1 to 128 of A-Z a-z 0-9 _ . - and begins with a letter or digit.",
        )
    return name


@dataclass(frozen=True, slots=True)
class Schema:
    """What the owner and the loaders know of a dataset; the store keeps it as one opaque document.

    `columns` in the order of the first record that had each. `key` names the column whose values are
    unique, or is None. `version` counts the commits that changed the schema. `changes` are the owner's
    dated column changes, oldest first, as documents (`service.lenses` reads them).
    """

    columns: tuple[Column, ...] = ()
    key: str | None = None
    title: str | None = None
    changes: tuple[dict[str, Any], ...] = ()
    version: int = 0

    def as_document(self) -> dict[str, Any]:
        """Return the schema as a JSON document, `version` left out: the store counts it."""
        return {
            "columns": [column.as_document() for column in self.columns],
            "key": self.key,
            "title": self.title,
            "changes": list(self.changes),
        }

    @classmethod
    def from_document(cls, document: dict[str, Any], version: int) -> Schema:
        """Read back what `as_document` wrote."""
        return cls(
            columns=tuple(Column.from_document(column) for column in document["columns"]),
            key=document["key"],
            title=document["title"],
            changes=tuple(document["changes"]),
            version=version,
        )

    def column(self, name: str) -> Column | None:
        """Return the column of that name."""
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True, slots=True)
class Dataset:
    """One revision of a dataset.

    `revision` grows by one with each commit and is never used twice under a name, not even after the
    dataset was deleted; 0 is the dataset that was never loaded. `generation` changes when all records are
    replaced and tells cursors of different generations apart. `count` counts records, `next_position` is
    the position that the next appended record gets (positions grow and are never used twice in a
    generation, so they are sparse after deletes), `edits` counts the commits that changed or removed a
    record in place, `size_bytes` sums the bytes of the canonical records.
    """

    name: str
    revision: int = 0
    generation: int = 0
    count: int = 0
    next_position: int = 0
    edits: int = 0
    size_bytes: int = 0
    created: datetime | None = None
    updated: datetime | None = None
    schema: Schema = field(default_factory=Schema)

    @property
    def dense(self) -> bool:
        """Whether rank and position are the same: nothing was ever deleted."""
        return self.count == self.next_position

    def with_schema(self, schema: Schema) -> Dataset:
        """Return this revision with another schema."""
        return replace(self, schema=schema)
