"""Delimited text (RFC 4180 and what else is called CSV): its delimiter, its header, its rows and their lines.

Python's `csv` splits, strictly and with everything said; nothing is sniffed but the delimiter.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from service.domain.errors import InvalidContent
from service.formats.strict import MAX_FIELD_BYTES
from service.formats.text import Lines, count_lines
from service.formats.wording import quoted

if TYPE_CHECKING:
    from _csv import Reader

DELIMITERS: Final = (",", ";", "\t", "|")

BLOCK_CHARS: Final = 128 << 10
"""Rows are worked on this much text at a time: what fits a processor's cache is twice as fast."""
BLOCK_ROWS: Final = 2_000

_SAMPLE_ROWS = 100
_SAMPLE_CHARS = 1 << 20

# Process-wide in `csv`, and 128 KiB unless set: the largest that any reader allows, so set once. It stops an
# open quote from gathering the rest of the file.
csv.field_size_limit(MAX_FIELD_BYTES)


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows of `chars` characters, the first of which begins at `line`.

    An empty line is a row without fields. `error` is what came after the rows instead of another one; it is
    `fatal` where nothing behind it can be told apart.
    """

    line: int
    rows: list[list[str]]
    chars: int = 0
    error: InvalidContent | None = None
    fatal: bool = False

    def line_of(self, index: int) -> int:
        """Return the line at which a row begins; `len(rows)` is the place behind the last."""
        lines_within = sum(count_lines(cell) for row in self.rows[:index] for cell in row)
        return self.line + index + lines_within


class Rows:
    """The rows of a text."""

    def __init__(self, text: TextIO, delimiter: str, max_record_chars: int) -> None:
        self._lines = Lines(text, BLOCK_CHARS + max_record_chars)
        self._reader = _strict(self._lines, delimiter)

    def header(self) -> list[str]:
        """Return the names of the first line. Raises `InvalidContent` where they cannot name columns."""
        try:
            names: list[str] = next(self._reader, [])
        except csv.Error as error:
            raise InvalidContent(_REASONS[_reason(error)], line=1) from None
        except InvalidContent as error:
            error.line = 1
            raise
        if not names:
            raise InvalidContent("The first line is empty; it must name the columns.", line=1)
        if "" in names:
            raise InvalidContent(f"Column {names.index('') + 1} has no name in the header.", line=1)
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InvalidContent(f"The header names {quoted(twice)} twice.", line=1)
        return names

    def blocks(self) -> Iterator[Block]:
        """Yield the rows behind the header; empty lines at the end are left out."""
        empty_line, empty_lines = 0, 0
        while (block := self._block()) is not None:
            filled = len(block.rows)
            while filled and not block.rows[filled - 1]:
                filled -= 1
            if filled or block.error:
                for at in range(0, empty_lines, BLOCK_ROWS):
                    yield Block(empty_line + at, [[]] * min(BLOCK_ROWS, empty_lines - at))
                empty_lines = 0
            if block.error:
                yield block
                continue
            if filled:
                yield replace(block, rows=block.rows[:filled])
            if not empty_lines and filled < len(block.rows):
                empty_line = block.line_of(filled)
            empty_lines += len(block.rows) - filled

    def _block(self) -> Block | None:
        lines, reader = self._lines, self._reader
        line, rows = reader.line_num + 1, list[list[str]]()
        first_char, last_char = lines.chars, lines.chars + BLOCK_CHARS
        error, fatal = None, False
        try:
            lines.go_on()
            for row in islice(reader, BLOCK_ROWS):
                rows.append(row)
                if lines.chars >= last_char:
                    break
        except csv.Error as unreadable:
            reason = _reason(unreadable)
            error, fatal = InvalidContent(_REASONS[reason]), reason != _TEXT_BEHIND_QUOTE
        except InvalidContent as too_long:
            error, fatal = too_long, True
        if not rows and error is None:
            return None
        return Block(line, rows, lines.chars - first_char, error, fatal)


_TEXT_BEHIND_QUOTE = "expected after"
_REASONS: Final = {
    _TEXT_BEHIND_QUOTE: "A closing quote is followed by text; a quote within quotes is doubled.",
    "unexpected end": "A quote is opened and never closed.",
    "field larger": f"A field has more than {MAX_FIELD_BYTES} characters; is a quote never closed?",
}


def _reason(error: csv.Error) -> str:
    """Return which of the reasons `csv` gives; in a text without stray line ends there are no others."""
    return next(reason for reason in _REASONS if reason in str(error))


def _strict(lines: Iterable[str], delimiter: str) -> Reader:
    return csv.reader(lines, delimiter=delimiter, quotechar='"', doublequote=True, strict=True)


def choose_delimiter(path: Path, encoding: str) -> str:
    """Return which of `DELIMITERS` a file uses, by its first rows.

    It is the one that splits the header into most fields and all rows into as many; failing that, the one
    that splits the header into most, so that the ragged row is found; a comma where none splits it.
    """
    with path.open(encoding=encoding, newline="") as text:
        sample = text.read(_SAMPLE_CHARS)
    if len(sample) == _SAMPLE_CHARS:
        sample = sample[: max(sample.rfind("\n"), sample.rfind("\r")) + 1] or sample
    best, best_score = DELIMITERS[0], (False, 1)
    for delimiter in DELIMITERS:
        score = _score(sample, delimiter)
        if score[1] > 1 and score > best_score:
            best, best_score = delimiter, score
    return best


def _score(sample: str, delimiter: str) -> tuple[bool, int]:
    """Return whether the first rows have as many fields as the header, and how many that has."""
    widths: list[int] = []
    readable = True
    try:
        rows = islice(_strict(io.StringIO(sample, newline=""), delimiter), _SAMPLE_ROWS)
        widths.extend(map(len, rows))  # which keeps those before an error
    except csv.Error as error:
        readable = _reason(error) != _TEXT_BEHIND_QUOTE
    filled = {width for width in widths if width}
    return readable and len(filled) == 1, widths[0] if widths else 0
