"""A spool holds an upload on disk while it is looked at, so that a body of any size costs no memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Upload:
    """A body that has come whole.

    `path` is a file of the inflated bytes, `size_bytes` their number, `sha256` their digest in hex;
    `received_bytes` counts what came over the wire.
    """

    path: Path
    size_bytes: int
    sha256: str
    received_bytes: int


class Spool(Protocol):
    """Receives uploads."""

    def receive(
        self, chunks: AsyncIterator[bytes], *, content_encoding: str | None, max_bytes: int
    ) -> AbstractAsyncContextManager[Upload]:
        """Write a body to a file, inflated, and remove the file when the context is left, however it is.

        `content_encoding` is the header's value: gzip, zstd, identity or a list of them in the order in
        which they were applied; where it is None, gzip and zstd are recognised by their first bytes.
        Raises `UnsupportedMedia` (another encoding), `TooLarge` (more than `max_bytes`, received or
        inflated), `InvalidContent` (a stream that is damaged, cut off, or has something behind its end),
        `OutOfSpace`, `StoreUnavailable` (the spool cannot be written), and what `chunks` raises.
        """
        ...
