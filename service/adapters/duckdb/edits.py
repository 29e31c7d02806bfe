"""Edits of single records that this process has made, so that columns need not be built anew for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.ports.storage import Commit

MAX_EDITS = 1000
MAX_BYTES = 4 << 20
"""More than these of a dataset are forgotten, the oldest first: then its columns are built anew."""

Changes = Mapping[int, bytes | None]
"""What became of positions: the record that stands there now, or None where it was removed."""


@dataclass(slots=True)
class _Known:
    """Edits of one generation by their number (`Dataset.edits`): position and record."""

    generation: int
    edits: dict[int, tuple[int, bytes | None]] = field(default_factory=dict)
    size_bytes: int = 0


class Edits:
    """The newest edits of each dataset."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def note(self, commit: Commit, record: bytes | None) -> None:
        """Keep the edit that a commit was; they may come in any order."""
        dataset, position = commit.dataset, commit.first_position
        if position is None or commit.replaced + commit.removed != 1:
            return
        known = self._known.get(dataset.name)
        if known is None or known.generation < dataset.generation:
            known = self._known[dataset.name] = _Known(dataset.generation)
        if known.generation == dataset.generation:
            known.edits[dataset.edits] = (position, record)
            known.size_bytes += len(record or b"")
        while len(known.edits) > MAX_EDITS or known.size_bytes > MAX_BYTES:
            _, forgotten = known.edits.pop(min(known.edits))
            known.size_bytes -= len(forgotten or b"")

    def between(self, name: str, generation: int, after: int, until: int) -> Changes | None:
        """Return what the edits numbered from behind `after` to `until` did; None where one is not known."""
        known = self._known.get(name)
        if after == until:
            return {}
        if known is None or known.generation != generation or after > until:
            return None
        changes: dict[int, bytes | None] = {}
        for number in range(after + 1, until + 1):
            if number not in known.edits:
                return None
            position, record = known.edits[number]
            changes[position] = record
        return changes

    def forget(self, name: str) -> None:
        """Forget those of a dataset: nobody has columns of it any more."""
        self._known.pop(name, None)
