"""The digest by which two stores are known to hold the same dataset."""

from __future__ import annotations

import hashlib

import msgspec

from service.domain.datasets import Schema
from service.ports.storage import Slice


class RecordDigest:
    """SHA-256 over the schema's document and, in order, each record behind its position.

    Positions are decimal and no JSON holds a line feed unescaped in the canonical form, so no two datasets
    make the same bytes.
    """

    def __init__(self, schema: Schema) -> None:
        self._sha256 = hashlib.sha256(msgspec.json.encode(schema.as_document()) + b"\n")

    def add(self, part: Slice) -> None:
        """Take the next records; of a mebibyte it takes milliseconds, so call it in a thread."""
        lines = zip(part.positions, part.records, strict=True)
        self._sha256.update(b"".join([b"%d %b\n" % line for line in lines]))

    def hexdigest(self) -> str:
        """Return the digest of what was taken, as 64 hexadecimal digits."""
        return self._sha256.hexdigest()
