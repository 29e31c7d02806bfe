"""From records to a body in the format that a client asked for, a chunk at a time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

import msgspec

# More records than this at a time no longer fit a processor's cache, and go slower.
_CHUNK_RECORDS = 200

_members = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_string = msgspec.json.Decoder(str)
_NULL = msgspec.Raw(b"null")
_LINE_END = b"\r\n"
_UNSAFE = re.compile(rb'[",\r\n]')
# Without any of these, tokens of JSON are fields of CSV but for their quotes.
_SPECIAL = (b"\\", b",", b"[", b"{", b"null")


class Encoder(Protocol):
    """A format: what stands before the records, each chunk of them, and behind.

    `extension` is that of a file, without the dot.
    """

    media_type: str
    extension: str

    def prologue(self) -> bytes:
        """Return everything before the first record."""
        ...

    def chunk(self, records: Sequence[bytes], first: bool) -> bytes:
        """Return some records; `first` tells whether none came before."""
        ...

    def epilogue(self) -> bytes:
        """Return everything behind the last record."""
        ...


class JsonArray:
    """One JSON array."""

    media_type = "application/json"
    extension = "json"

    def prologue(self) -> bytes:
        """Open the array."""
        return b"["

    def chunk(self, records: Sequence[bytes], first: bool) -> bytes:
        """Return the records, separated from those before by a comma."""
        return self.joined(b",".join(records), first)

    def joined(self, records: bytes, first: bool) -> bytes:
        """Return records with commas between them, separated from those before by another."""
        return records if first or not records else b"," + records

    def epilogue(self) -> bytes:
        """Close the array."""
        return b"]"


class Ndjson:
    """A record per line."""

    media_type = "application/x-ndjson"
    extension = "ndjson"

    def prologue(self) -> bytes:
        """Return nothing."""
        return b""

    def chunk(self, records: Sequence[bytes], first: bool) -> bytes:
        """Return a line for each record."""
        del first
        return b"\n".join([*records, b""])

    def epilogue(self) -> bytes:
        """Return nothing."""
        return b""


class CsvOut:
    """CSV (RFC 4180) in UTF-8 with a header.

    Strings are text, numbers their tokens, null and what is absent empty, arrays and objects JSON.
    """

    media_type = "text/csv; charset=utf-8; header=present"
    extension = "csv"

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = tuple(columns)

    def prologue(self) -> bytes:
        """Return the header."""
        if not self._columns:
            return b""
        return b",".join(_quoted(name.encode()) for name in self._columns) + _LINE_END

    def chunk(self, records: Sequence[bytes], first: bool) -> bytes:
        """Return a line for each record."""
        del first
        if not self._columns:
            return b""
        starts = range(0, len(records), _CHUNK_RECORDS)
        return b"".join(self._lines(records[start : start + _CHUNK_RECORDS]) for start in starts)

    def epilogue(self) -> bytes:
        """Return nothing."""
        return b""

    def _lines(self, records: Sequence[bytes]) -> bytes:
        rows = _members.decode(b"[%b]" % b",".join(records))
        cells = [_cells([row.get(name, _NULL) for row in rows]) for name in self._columns]
        if len(cells) == 1:
            # A line with nothing on it would be none.
            return b"".join((cell or b'""') + _LINE_END for cell in cells[0])
        return _LINE_END.join([*map(b",".join, zip(*cells, strict=True)), b""])


def _cells(values: Sequence[msgspec.Raw]) -> list[bytes]:
    """Return the values of a column as CSV has them."""
    joined = b"\n".join(values)
    if not any(special in joined for special in _SPECIAL):
        return joined.replace(b'"', b"").split(b"\n")
    return list(map(_cell, joined.split(b"\n")))


def _cell(token: bytes) -> bytes:
    first = token[:1]
    if first == b'"':
        if b"\\" in token:
            return _quoted(_string.decode(token).encode())
        # Without an escape, and so without a quote or line end, a JSON string is a quoted field as it stands.
        return token if b"," in token else token[1:-1]
    if first in {b"{", b"["}:
        return _quoted(token)
    return b"" if token == b"null" else token


def _quoted(text: bytes) -> bytes:
    """Return a field, in quotes where it needs them."""
    if _UNSAFE.search(text) is None:
        return text
    return b'"%b"' % text.replace(b'"', b'""')
