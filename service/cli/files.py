"""Files to load: what their names tell, and their bytes without blocking the event loop."""

from __future__ import annotations

import asyncio
import re
import stat
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import cast

from service.cli.session import CommandError, reason
from service.formats.options import InputFormat

STANDARD_INPUT = Path("-")

_CHUNK_BYTES = 256 * 1024


_FORMATS = {
    ".csv": InputFormat.CSV,
    ".tsv": InputFormat.CSV,
    ".txt": InputFormat.CSV,
    ".json": InputFormat.JSON,
    ".ndjson": InputFormat.NDJSON,
    ".jsonl": InputFormat.NDJSON,
}
_CONTENT_ENCODINGS = {".gz": "gzip", ".zst": "zstd"}


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file, or standard input where `path` is `-`.

    `name` is the dataset it makes. `format` and `content_encoding` are what its name tells, or None.
    `size_bytes` is None where it is no regular file.
    """

    path: Path
    name: str
    format: InputFormat | None
    content_encoding: str | None
    size_bytes: int | None

    async def chunks(self, advance: Callable[[int], None]) -> AsyncIterator[bytes]:
        """Yield its bytes as they come, and tell `advance` how many went each time."""
        with ExitStack() as stack:
            try:
                stream = (
                    cast("BufferedReader", sys.stdin.buffer)
                    if self.path == STANDARD_INPUT
                    else stack.enter_context(self.path.open("rb"))
                )
                # read1: what a pipe has by now, instead of waiting until the chunk is full.
                while chunk := await asyncio.to_thread(stream.read1, _CHUNK_BYTES):
                    yield chunk
                    advance(len(chunk))
            except OSError as error:
                raise CommandError(f"It cannot be read: {reason(error)}.") from error


def describe(path: Path, name: str | None, form: InputFormat | None) -> InputFile:
    """Return what is known of a file before it is read; `name` and `form` win over what its name tells.

    Raises `CommandError` where it is no readable file or its name makes no dataset's name.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    stem = path.name
    encoding = _CONTENT_ENCODINGS.get(suffixes[-1]) if suffixes else None
    if encoding is not None:
        stem = stem[: -len(suffixes.pop())]
    if suffixes and suffixes[-1] in _FORMATS:
        form = form or _FORMATS[suffixes[-1]]
        stem = stem[: -len(suffixes[-1])]
    size_bytes = None
    if path != STANDARD_INPUT:
        try:
            status = path.stat()
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {reason(error)}.") from error
        if stat.S_ISDIR(status.st_mode):
            raise CommandError(f"{path} is a directory, not a file.")
        size_bytes = status.st_size if stat.S_ISREG(status.st_mode) else None
    return InputFile(path, name or _dataset_name(stem, path), form, encoding, size_bytes)


def _dataset_name(stem: str, path: Path) -> str:
    """Make a dataset's name of a file's: what it may not hold becomes a dash."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).lstrip("-._").rstrip("-")[:128]
    if not name:
        raise CommandError(f"Give the dataset that {path} makes a name with --name.")
    return name
