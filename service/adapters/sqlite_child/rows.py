"""Rows on their way out, as many as the bounds let through."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from service.adapters.sql_names import distinct
from service.adapters.sqlite_child.messages import Batch, Done, Limits
from service.domain.errors import QueryFailed

BATCH_BYTES = 128 << 10
"""What the service decodes at once, on its event loop: less than a millisecond."""

Send = Callable[[Batch], None]


def send_rows(cursor: sqlite3.Cursor, limits: Limits, send: Send) -> Done:
    """Send what a cursor has. Raises `QueryFailed` for a row that is too large by itself."""
    batches = _Batches(distinct([column[0] for column in cursor.description]), send)
    truncated = False
    for number, row in enumerate(cursor):
        size_bytes = batches.size_bytes(row)
        if size_bytes > limits.max_bytes:
            raise QueryFailed(
                f"A row of the answer has more than {limits.max_bytes} bytes; ask for less of it."
            )
        if number == limits.max_rows or batches.total_bytes + size_bytes > limits.max_bytes:
            truncated = True
            break
        batches.add(row, size_bytes)
    batches.flush()
    return Done(truncated)


class _Batches:
    """Some rows at a time."""

    def __init__(self, columns: Sequence[str], send: Send) -> None:
        self._columns = tuple(columns)
        self._names_bytes = sum(len(name) + 4 for name in columns)
        self._send = send
        self._rows: list[tuple[Any, ...]] = []
        self._pending_bytes = 0
        self.total_bytes = 0

    def size_bytes(self, row: Sequence[Any]) -> int:
        """Return about how many bytes of JSON a row has."""
        return self._names_bytes + sum(map(_size_bytes, row))

    def add(self, row: Sequence[Any], size_bytes: int) -> None:
        """Take one more row."""
        self._rows.append(tuple(map(_finite, row)))
        self._pending_bytes += size_bytes
        self.total_bytes += size_bytes
        if self._pending_bytes >= BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send what is there; the columns go with the first."""
        self._send(Batch(self._rows, self._columns))
        self._rows, self._pending_bytes, self._columns = [], 0, ()


def _size_bytes(value: Any) -> int:
    if isinstance(value, str):
        return len(value) + 2
    return len(value) * 4 // 3 if isinstance(value, bytes) else 8


def _finite(value: Any) -> Any:
    """Return a value that JSON has: an infinite number is none."""
    return None if isinstance(value, float) and value - value != 0 else value
