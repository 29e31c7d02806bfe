"""Files that tests read: bytes in, a finished reader and its records out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from service.domain.columns import Column
from service.domain.records import Batch
from service.formats.reading import Reader, ReadOptions, open_reader


@dataclass(frozen=True)
class Read:
    """A reader that has come to its end, and all that it yielded."""

    reader: Reader
    batches: Sequence[Batch]

    @property
    def records(self) -> list[bytes]:
        """The canonical records."""
        return [bytes(record) for batch in self.batches for record in batch.records]

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The records as Python has them."""
        return [json.loads(record) for record in self.records]

    @property
    def keys(self) -> list[str]:
        """The key values."""
        return [key for batch in self.batches for key in batch.keys or ()]

    @property
    def types(self) -> dict[str, str]:
        """The type of each column."""
        return {column.name: str(column.type) for column in self.reader.columns}

    @property
    def rejects(self) -> list[tuple[int, str]]:
        """What was skipped: line and reason."""
        return [(reject.line, reject.reason) for reject in self.reader.rejects]


def read(data: bytes, **options: Any) -> Read:
    """Read a file of these bytes to its end."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "upload"
        path.write_bytes(data)
        reader = open_reader(path, ReadOptions(**options))
        return Read(reader, list(reader))


def append(data: bytes, expected: Sequence[Column], **options: Any) -> Read:
    """Read a file that goes behind the records of a dataset with these columns."""
    return read(data, expected=tuple(expected), appending=True, **options)
