"""JSON files in pieces, one for each record, each with its place in the file."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeAlias, TypeVar

import msgspec

from service.domain.errors import InvalidContent, TooLarge
from service.formats.options import Place
from service.formats.strict import MAX_DEPTH, NOT_UTF8, not_json, parse, too_deep
from service.formats.text import encoding_by_mark
from service.formats.wording import pointer

T = TypeVar("T")

Raws: TypeAlias = Sequence[bytes | msgspec.Raw]

_PIECES = 500
_PIECES_BYTES = 256 << 10

_BLANKS = b" \t\r\n"
_SEPARATORS = re.compile(rb"[ \t\r\n,]*")
_OFFSET = re.compile(r"\(byte ([0-9]+)\)")
_array = msgspec.json.Decoder(list[msgspec.Raw])
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Pieces:
    """Consecutive pieces of a file, each of which should be a record; `place` tells where one stands.

    `bytes_read` is about how much of the file was read by then.
    """

    raws: Raws
    place: Callable[[int], Place]
    bytes_read: int


def line_pieces(path: Path, max_record_bytes: int) -> Iterator[Pieces]:
    """Yield the lines of an NDJSON file that are not blank.

    Raises `InvalidContent` for a line too long to be held.
    """
    with path.open("rb") as file:
        _skip_mark(file)
        raws, lines, size_bytes = list[bytes](), list[int](), 0
        for line, raw in enumerate(iter(partial(file.readline, max_record_bytes + 1), b""), start=1):
            if len(raw) > max_record_bytes:
                yield _lines(raws, lines, file.tell())
                raise InvalidContent(f"A record has more than {max_record_bytes} bytes.", line=line)
            if raw.strip(_BLANKS):
                raws.append(raw)
                lines.append(line)
                size_bytes += len(raw)
            if size_bytes >= _PIECES_BYTES or len(raws) >= _PIECES:
                yield _lines(raws, lines, file.tell())
                raws, lines, size_bytes = [], [], 0
        yield _lines(raws, lines, file.tell())


def _skip_mark(file: BinaryIO) -> None:
    if file.read(len(BOM_UTF8)) != BOM_UTF8:
        file.seek(0)


def _lines(raws: Raws, lines: Sequence[int], bytes_read: int) -> Pieces:
    return Pieces(raws, lambda index: (lines[index], ""), bytes_read)


def document_pieces(path: Path, max_bytes: int, *, single: bool) -> Iterator[Pieces]:
    """Yield the elements of a JSON array, or of the only array that an object holds.

    `single`: an object is a record by itself. Raises `TooLarge`, and `InvalidContent` where the document as
    a whole is no such thing.
    """
    size_bytes = path.stat().st_size
    if size_bytes > max_bytes:
        raise TooLarge(f"A JSON document has {max_bytes} bytes at most; more goes as NDJSON.")
    with path.open("rb") as file:
        _skip_mark(file)
        data = file.read()
    start = len(data) - len(data.lstrip(_BLANKS))
    first = data[start : start + 1]
    if first == b"[":
        raws: list[msgspec.Raw] = _whole(_array, data)
        elements = Elements(data, start + 1, raws)
    elif first == b"{" and single:
        yield Pieces([data], lambda _: (1 + _count_lines(data[:start]), ""), size_bytes)
        return
    elif first == b"{":
        elements = _wrapped(data)
    else:
        raise InvalidContent("JSON must be an array of records, or an object that holds one.", line=1)
    yield from elements.pieces(size_bytes)


class Elements:
    """The elements of an array, the first of which stands behind `start` in a document."""

    def __init__(self, data: bytes, start: int, raws: Sequence[msgspec.Raw], prefix: str = "") -> None:
        self._data = data
        self._raws = raws
        self._prefix = prefix
        self._index, self._line, self._at = 0, 1, 0
        self._move(start)

    def pieces(self, size_bytes: int) -> Iterator[Pieces]:
        """Yield the elements, some at a time."""
        bytes_read, first = 0, 0
        while first < len(self._raws):
            last = first
            piece_bytes = 0
            while last < len(self._raws) and last - first < _PIECES and piece_bytes < _PIECES_BYTES:
                piece_bytes += len(self._raws[last]) + 1
                last += 1
            bytes_read += piece_bytes
            yield Pieces(self._raws[first:last], partial(self._place, first), min(bytes_read, size_bytes))
            first = last
        yield Pieces([], partial(self._place, first), size_bytes)

    def _place(self, first: int, index: int) -> Place:
        """Return where an element stands; elements are asked for in order, so the way is gone once."""
        while self._index < first + index:
            self._move(self._at + len(self._raws[self._index]))
            self._index += 1
        return self._line, f"{self._prefix}/{self._index}"

    def _move(self, at: int) -> None:
        """Go on to the next element behind an offset."""
        separators = _SEPARATORS.match(self._data, at)
        assert separators is not None  # noqa: S101 - it matches nothing, too
        self._line += _count_lines(self._data[self._at : separators.end()])
        self._at = separators.end()


def _wrapped(data: bytes) -> Elements:
    """Return the elements of the only array among an object's values."""
    values = _whole(_object, data)
    arrays = [name for name, raw in values.items() if bytes(memoryview(raw)[:1]) == b"["]
    if len(arrays) != 1:
        raise InvalidContent(
            f"A JSON object must hold exactly one array, of records; this one holds {len(arrays)}.", line=1
        )
    array = bytes(values[arrays[0]])
    # All but the records is judged like a record; a name that occurs twice hides nothing here either.
    parse(data.replace(array, b"[]", 1))
    return Elements(data, data.index(array) + 1, _array.decode(array), pointer(arrays[0]))


def _whole(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """Decode a document as far as its records. Raises `InvalidContent` with the line."""
    try:
        return decoder.decode(data)
    except RecursionError:
        raise too_deep(MAX_DEPTH) from None
    except UnicodeDecodeError:
        raise InvalidContent(NOT_UTF8) from None
    except msgspec.DecodeError as error:
        refused = not_json(error)
        offset = _OFFSET.search(str(error))
        read = data.rstrip(_BLANKS) if offset is None else data[: int(offset[1])]
        refused.line = 1 + _count_lines(read)
        raise refused from None


def json_encoding(path: Path) -> str:
    """Return `utf-8`, or `utf-8-sig` where a mark says so. Raises `InvalidContent` for another mark."""
    with path.open("rb") as file:
        encoding = encoding_by_mark(file.read(4))
    if encoding not in {None, "utf-8-sig"}:
        raise InvalidContent(f"JSON must be UTF-8; the byte order mark says {encoding}.", line=1)
    return encoding or "utf-8"


def _count_lines(data: bytes) -> int:
    return data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")
