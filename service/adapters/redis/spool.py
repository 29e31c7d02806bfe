"""Batches on their way into a large append: in memory while they are few, then in a file of this process.

So an append holds the dataset's lease for as long as Redis takes, not for as long as its source does, and a
writer that dies while it stages leaves nothing in Redis.
"""

from __future__ import annotations

import asyncio
import errno
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from typing import IO, Self

import msgspec

from service.adapters.redis.placing import STEP_BYTES, STEP_RECORDS
from service.domain.errors import OutOfSpace
from service.domain.records import Batch


class Spool:
    """Keeps batches in order; what fits into one step stays in memory (`small`).

    An append that is cancelled may leave a thread in `add`: leaving waits for it, and one that comes later
    makes no file any more.
    """

    def __init__(self, open_file: Callable[[], IO[bytes]] = tempfile.TemporaryFile) -> None:
        self._open_file = open_file
        self._batches: list[Batch] = []
        self._records = 0
        self._size_bytes = 0
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()
        self._left = False

    async def __aenter__(self) -> Self:
        """Open nothing yet."""
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Remove the file."""
        await asyncio.to_thread(self._leave)

    def _leave(self) -> None:
        with self._lock:
            self._left = True
            if self._file is not None:
                self._file.close()

    def small(self) -> Batch | None:
        """Return everything as one batch, or None where it is too much for one step."""
        if self._file is not None:
            return None
        records = [record for batch in self._batches for record in batch.records]
        keyed = any(batch.keys is not None for batch in self._batches)
        keys = [key for batch in self._batches for key in batch.keys or ()]
        return Batch(records, keys if keyed else None)

    async def add(self, batch: Batch) -> None:
        """Keep a batch."""
        self._batches.append(batch)
        self._records += len(batch.records)
        self._size_bytes += sum(map(len, batch.records))
        if self._file is not None or self._records > STEP_RECORDS or self._size_bytes > STEP_BYTES:
            batches, self._batches = self._batches, []
            try:
                await asyncio.to_thread(self._write, batches)
            except OSError as error:
                if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                    raise
                raise OutOfSpace("There is no room for the upload's temporary file.") from error

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield all batches, from the first, as often as asked."""
        file = self._file
        if file is not None:
            await asyncio.to_thread(file.seek, 0)
            while (batch := await asyncio.to_thread(_read, file)) is not None:
                yield batch

    def _write(self, batches: list[Batch]) -> None:
        with self._lock:
            if self._left:
                return
            if self._file is None:
                self._file = self._open_file()
            for batch in batches:
                data = msgspec.msgpack.encode((batch.records, batch.keys))
                self._file.write(len(data).to_bytes(8) + data)


def _read(file: IO[bytes]) -> Batch | None:
    length = file.read(8)
    if not length:
        return None
    data = file.read(int.from_bytes(length))
    records, keys = msgspec.msgpack.decode(data, type=tuple[list[bytes], list[str] | None])
    return Batch(records, keys)
