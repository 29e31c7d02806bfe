"""Which format a file has, by its bytes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec

from service.domain.errors import InvalidContent
from service.formats.options import InputFormat
from service.formats.text import encoding_by_mark

_HEAD_BYTES = 64 << 10
_BLANKS = b" \t\r\n"
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def format_of(path: Path, max_line_bytes: int) -> InputFormat:
    """Return the format of a file: `[` begins JSON, `{` JSON or NDJSON, all else CSV.

    Raises `InvalidContent` where there is nothing but blanks.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        encoding = encoding_by_mark(head)
        if encoding is not None:
            head = head.decode(encoding, "ignore").lstrip("\ufeff").encode()
        while not (text := head.lstrip(_BLANKS)):
            head = file.read(_HEAD_BYTES)
            if not head:
                raise InvalidContent("The file is empty; send at least a header or an empty array.")
        if text[:1] == b"[" or encoding not in {None, "utf-8-sig"}:
            return InputFormat.JSON if text[:1] in {b"[", b"{"} else InputFormat.CSV
        if text[:1] != b"{":
            return InputFormat.CSV
        file.seek(0 if encoding is None else 3)
        return _format_of_objects(file, max_line_bytes)


def _format_of_objects(file: BinaryIO, max_line_bytes: int) -> InputFormat:
    """Return JSON unless each line is an object; a lone object is JSON if it wraps one array."""
    lines = (line for line in iter(partial(file.readline, max_line_bytes), b"") if line.strip(_BLANKS))
    try:
        first = _object.decode(next(lines))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return InputFormat.JSON
    arrays = sum(memoryview(raw)[0] == ord("[") for raw in first.values())
    lone = next(lines, None) is None
    return InputFormat.JSON if lone and arrays == 1 else InputFormat.NDJSON
