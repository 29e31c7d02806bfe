"""Blobs: files on their way between a request and a worker, or back, which may be on different machines.

They go through the storage, in pieces that are documents, because that is the one place that every process
reaches. Each piece expires, so what is forgotten goes by itself.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

import zstandard

from service.domain.errors import JobResultGone
from service.ports.storage import Documents

BLOBS = "blob"
PIECE_BYTES = 512 << 10
"""Of bytes that nothing compresses it makes 700 KB of JSON; a document has 1 MiB at most."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored file: its name, and how many pieces and bytes it has."""

    name: str
    pieces: int
    size_bytes: int


class Blobs:
    """Keeps files in pieces."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def store(self, name: str, chunks: AsyncIterator[bytes], expires: datetime) -> Blob:
        """Store a file; pieces that are there already under the name are taken for the same."""
        pieces = size_bytes = 0
        async for piece in _in_pieces(chunks):
            body = {"data": await asyncio.to_thread(_packed, piece)}
            await self._documents.create(BLOBS, _id(name, pieces), body, expires=expires)
            pieces += 1
            size_bytes += len(piece)
        return Blob(name, pieces, size_bytes)

    async def read(self, blob: Blob) -> AsyncIterator[bytes]:
        """Yield the bytes of a file. Raises `JobResultGone` where it has expired."""
        for number in range(blob.pieces):
            document = await self._documents.get(BLOBS, _id(blob.name, number))
            if document is None:
                raise JobResultGone("The job's file was kept for its time and is gone.")
            yield await asyncio.to_thread(_unpacked, document.body["data"])

    async def remove(self, blob: Blob) -> None:
        """Remove a file; its first piece goes last, so that a removal that was cut off can be repeated."""
        for number in reversed(range(blob.pieces)):
            await self._documents.remove(BLOBS, _id(blob.name, number))


async def _in_pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    pending = bytearray()
    async for chunk in chunks:
        pending += chunk
        while len(pending) >= PIECE_BYTES:
            yield bytes(pending[:PIECE_BYTES])
            del pending[:PIECE_BYTES]
    if pending:
        yield bytes(pending)


def _packed(piece: bytes) -> str:
    return base64.b64encode(zstandard.compress(piece, 1)).decode()


def _unpacked(data: str) -> bytes:
    return zstandard.decompress(base64.b64decode(data))


def _id(name: str, number: int) -> str:
    return f"{name}:{number:06}"
