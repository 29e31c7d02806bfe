"""The trivial model of a dataset: a list of records with positions and keys, and a few counters."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.domain.records import Batch
from service.ports.storage import OnConflict


@dataclass
class Row:
    """A record where it stands."""

    position: int
    record: bytes
    key: str


@dataclass
class Model:
    """One dataset name, as the port's docstrings describe it."""

    revision: int = 0
    generation: int = 0
    exists: bool = False
    next_position: int = 0
    edits: int = 0
    rows: list[Row] = field(default_factory=list)

    def find(self, key: str) -> Row | None:
        """Return the row with that key."""
        return next((row for row in self.rows if row.key == key), None)

    def at(self, position: int) -> Row | None:
        """Return the row at that position."""
        return next((row for row in self.rows if row.position == position), None)

    def replace(self, batch: Batch) -> str | None:
        """Replace all; or return the first key that comes twice, and change nothing."""
        assert batch.keys is not None
        for number, key in enumerate(batch.keys):
            if key in batch.keys[:number]:
                return key
        self.revision += 1
        self.generation = self.revision
        self.exists, self.edits, self.next_position = True, 0, len(batch.records)
        pairs = zip(batch.records, batch.keys, strict=True)
        self.rows = [Row(number, one, key) for number, (one, key) in enumerate(pairs)]
        return None

    def append(self, batch: Batch, on_conflict: OnConflict) -> str | None:
        """Append; or return the first key that is there already, and change nothing."""
        assert batch.keys is not None
        if on_conflict is OnConflict.FAIL:
            for number, key in enumerate(batch.keys):
                if self.find(key) or key in batch.keys[:number]:
                    return key
        replaced = False
        for one, key in zip(batch.records, batch.keys, strict=True):
            row = self.find(key)
            if row is None:
                self.rows.append(Row(self.next_position, one, key))
                self.next_position += 1
            elif on_conflict is OnConflict.REPLACE:
                row.record = one
                replaced = True
        self.revision += 1
        self.edits += replaced
        return None

    def put(self, row: Row, record: bytes, key: str) -> None:
        """Change a row."""
        row.record, row.key = record, key
        self.revision += 1
        self.edits += 1

    def remove(self, row: Row) -> None:
        """Remove a row."""
        self.rows.remove(row)
        self.revision += 1
        self.edits += 1

    def delete(self) -> None:
        """Remove the dataset."""
        self.revision += 1
        self.exists, self.rows = False, []
