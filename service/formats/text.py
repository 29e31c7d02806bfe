"""Files as text: which encoding it is, and its lines."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final, TextIO

from service.domain.errors import InvalidContent

# UTF-32's little-endian mark begins with UTF-16's.
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHUNK_BYTES = 1 << 20

MAX_BYTES_PER_CHAR: Final = 4
"""Of UTF-8."""


def encoding_by_mark(head: bytes) -> str | None:
    """Return the encoding that a byte order mark at the begin of a file names."""
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)


def encoding_of(path: Path) -> str:
    """Return the encoding in which the whole of a file can be decoded.

    That of its byte order mark; without one UTF-8, or else Windows-1252. Raises `InvalidContent` with a
    line where it is neither, or holds a NUL as binary files do.
    """
    with path.open("rb") as file:
        marked = encoding_by_mark(file.read(4))
    for encoding in ("utf-8", "cp1252") if marked is None else (marked,):
        line = _undecodable_line(path, encoding)
        if line is None:
            return encoding
    tried = "UTF-8 or Windows-1252" if marked is None else f"{encoding}, as its byte order mark says"
    raise InvalidContent(f"The text is not {tried}.", line=line)


def _undecodable_line(path: Path, encoding: str) -> int | None:
    """Return the line of the first byte that cannot be decoded. Raises `InvalidContent` for a NUL."""
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(), translate=True)
    line = 1
    with path.open("rb") as file:
        while True:
            data = file.read(_CHUNK_BYTES)
            try:
                text = decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                held_bytes = len(error.object) - len(data)
                readable = data[: max(error.start - held_bytes, 0)]
                return line + decoder.decode(readable).count("\n")
            nul = text.find("\0")
            if nul >= 0:
                raise InvalidContent(
                    "The text holds a NUL; is it a binary file, or UTF-16 without a byte order mark?",
                    line=line + text.count("\n", 0, nul),
                )
            if not data:
                return None
            line += text.count("\n")


def count_lines(text: str) -> int:
    """Return how many line ends (CRLF, CR or LF) a text has."""
    return text.count("\n") + text.count("\r") - text.count("\r\n")


class Lines:
    """The physical lines of a text with their ends: CRLF, CR or LF, even mixed.

    `chars` counts what was read. Raises `InvalidContent` when `max_chars` are read at a stretch: since the
    begin, or since `go_on`.
    """

    def __init__(self, text: TextIO, max_chars: int) -> None:
        self._text = text
        self._max_chars = max_chars
        self._limit = max_chars
        self.chars = 0

    def go_on(self) -> None:
        """Begin another stretch."""
        self._limit = self.chars + self._max_chars

    def __iter__(self) -> Iterator[str]:
        for line in iter(partial(self._text.readline, self._max_chars + 1), ""):
            self.chars += len(line)
            if self.chars > self._limit:
                raise InvalidContent("A record is too long to be held; is a quote never closed?")
            yield line
