"""The blocking half of a spool: one temporary file, written by threads."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from service.adapters.scratch import make_file
from service.adapters.spool.inflate import Inflater, inflaters, recognised
from service.domain.errors import OutOfSpace, StoreUnavailable
from service.ports.spool import Upload

PREFIX = "aerolite-upload-"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Sink:
    """A file that takes the bytes of one upload and inflates them.

    A cancelled upload may leave a thread in `write` or `finish`: `discard` waits for it, and one that comes
    later makes no file any more.
    """

    def __init__(self, directory: Path | None, content_encoding: str | None, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._chain = None if content_encoding is None else inflaters(content_encoding, max_bytes)
        self._lock = Lock()
        self._discarded = False
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        self._digest = hashlib.sha256()
        self._received_bytes = 0
        self._size_bytes = 0

    def write(self, chunks: Sequence[bytes]) -> None:
        """Inflate and write some bytes, the first of them enough to recognise an encoding by.

        Raises what `Spool.receive` does.
        """
        with self._lock:
            self._write(b"".join(chunks))

    def finish(self, chunks: Sequence[bytes]) -> Upload:
        """Write the last bytes and see whether the stream is whole. Raises what `Spool.receive` does."""
        with self._lock:
            self._write(b"".join(chunks))
            for inflater in self._chain or ():
                inflater.finish()
            with _translated():
                self._opened().flush()  # it stays open, and so is held, until it is discarded
            assert self._path is not None  # noqa: S101 - `_opened` has set it
            return Upload(self._path, self._size_bytes, self._digest.hexdigest(), self._received_bytes)

    def discard(self) -> None:
        """Remove the file, if there is one; nothing can be written any more."""
        with self._lock:
            self._discarded = True
            # What is buffered need not reach a full disk, and a file that stays behind undoes no upload.
            with suppress(OSError):
                if self._file is not None:
                    self._file.close()
            with suppress(OSError):
                if self._path is not None:
                    self._path.unlink()

    def _write(self, data: bytes) -> None:
        self._received_bytes += len(data)
        if self._chain is None:
            self._chain = inflaters(recognised(data), self._max_bytes)
        with _translated():
            file = self._opened()
            for inflated in _through(self._chain, data):
                self._digest.update(inflated)
                self._size_bytes += len(inflated)
                file.write(inflated)

    def _opened(self) -> BinaryIO:
        if self._discarded:
            raise StoreUnavailable("The upload has been given up.")
        if self._file is None:
            if self._directory is not None:
                self._directory.mkdir(parents=True, exist_ok=True)
            descriptor, self._path = make_file(PREFIX, self._directory)
            self._file = os.fdopen(descriptor, "wb")
        return self._file


def _through(chain: Sequence[Inflater], data: bytes) -> Iterator[bytes]:
    if not chain:
        yield data
        return
    for inflated in chain[0].feed(data):
        yield from _through(chain[1:], inflated)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise OutOfSpace("The disk that uploads are spooled to is full.") from error
        raise StoreUnavailable(f"Uploads cannot be spooled: {error.strerror}.") from error
