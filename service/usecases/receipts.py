"""Receipts: what a write did, for the client and for whoever repeats the request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from service.formats.reading import Reader
from service.ports.storage import Commit, Remembered


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a commit did, and what was noticed on the way (`notes`: members for the answer)."""

    commit: Commit
    created: bool = False
    notes: dict[str, Any] = field(default_factory=dict)

    def as_document(self) -> dict[str, Any]:
        """Return the receipt as the newest contract has it: what is of no interest is left out."""
        commit = self.commit
        document: dict[str, Any] = {
            "dataset": commit.dataset.name,
            "loaded": commit.added,
            "count": commit.dataset.count,
            "revision": commit.dataset.revision,
        }
        if commit.removed:
            document["deleted"] = commit.removed
        if commit.replaced:
            document["replaced"] = commit.replaced
        if commit.ignored:
            document["ignored"] = commit.ignored
        return {**document, **self.notes}

    @classmethod
    def remembered(cls, remembered: Remembered) -> Receipt:
        """Return the receipt of the first request of an Idempotency-Key."""
        payload = remembered.payload
        return cls(remembered.commit, created=payload["created"], notes=payload["notes"])


def notes_of(reader: Reader, *, skipping: bool) -> dict[str, Any]:
    """Return what a client should know of how its file was read."""
    notes: dict[str, Any] = {}
    if reader.encoding != "utf-8":
        notes["encoding"] = reader.encoding
    if reader.delimiter not in {None, ","}:
        notes["delimiter"] = reader.delimiter
    if skipping:
        notes["rejected"] = reader.rejected
        notes["rejects"] = [{"line": reject.line, "reason": reject.reason} for reject in reader.rejects]
    if reader.widened:
        notes["widened"] = [
            {"column": name, "from": str(before), "to": str(after)} for name, before, after in reader.widened
        ]
    return notes
