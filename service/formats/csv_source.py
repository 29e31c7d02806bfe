"""CSV becomes canonical records: objects of strings, in the order of the header."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from itertools import starmap
from operator import itemgetter
from pathlib import Path
from typing import TypeAlias

import msgspec

from service.domain.errors import AeroliteError, InvalidContent, UnknownColumn
from service.domain.records import Batch
from service.formats.delimited import Block, Rows
from service.formats.fitting import Profile
from service.formats.keys import unusable_keys
from service.formats.kinds import Cells
from service.formats.options import ReadOptions, Rejects
from service.formats.text import MAX_BYTES_PER_CHAR
from service.formats.wording import pointer, quoted

Table: TypeAlias = Sequence[Sequence[str]]
Errors: TypeAlias = dict[int, AeroliteError]


class CsvSource:
    """The records of a CSV file whose encoding and delimiter are known."""

    def __init__(
        self,
        path: Path,
        encoding: str,
        delimiter: str,
        options: ReadOptions,
        profile: Profile,
        rejects: Rejects,
    ) -> None:
        self.encoding = encoding
        self.delimiter = delimiter
        self.bytes_read = 0
        self._path = path
        self._options = options
        self._profile = profile
        self._rejects = rejects

    def batches(self) -> Iterator[Batch]:
        """Yield the records of one block of rows at a time. Raises what `Reader` does."""
        with self._path.open("rb") as file, io.TextIOWrapper(file, self.encoding, newline="") as text:
            rows = Rows(text, self.delimiter, self._options.max_record_bytes)
            names = rows.header()
            self._admit(names)
            encode = encoder(names)
            for block in rows.blocks():
                self.bytes_read = file.tell()
                table = self._accepted(block, names)
                key = self._options.key
                keys = None if key is None else _column(table, names.index(key))
                yield Batch(encode(table), keys)

    def _admit(self, names: Sequence[str]) -> None:
        """See that the header has the columns it needs, and only those it may have."""
        options = self._options
        if options.key is not None and options.key not in names:
            if options.appending:
                raise InvalidContent(f"The header lacks the key {quoted(options.key)}.", line=1)
            raise UnknownColumn("key", f"The header has no {quoted(options.key)}.", valid=list(names))
        for name in names:
            try:
                self._profile.admit(name, textual=True)
            except AeroliteError as error:
                error.line = 1
                raise
        self._profile.check_types()

    def _accepted(self, block: Block, names: Sequence[str]) -> Table:
        """Return the rows without errors, taken in by the profile; settle the others."""
        rows = block.rows if len(names) > 1 else [row or [""] for row in block.rows]
        errors = self._misshapen(rows, block.chars, names)
        if errors:
            whole = [index for index in range(len(rows)) if index not in errors]
            unfit = self._unfit([rows[index] for index in whole], names)
            errors.update((whole[index], error) for index, error in unfit.items())
        else:
            errors = self._unfit(rows, names)
        if block.error is not None and not block.fatal:
            errors[len(rows)] = block.error
        if errors:
            self._rejects.settle(errors, lambda index: (block.line_of(index), ""))
            rows = [row for index, row in enumerate(rows) if index not in errors]
        if block.error is not None and block.fatal:
            block.error.line = block.line_of(len(block.rows))
            raise block.error
        if rows:
            for at, name in enumerate(names):
                self._profile.observe(name, Cells(rows, at))
        return rows

    def _misshapen(self, rows: Table, chars: int, names: Sequence[str]) -> Errors:
        """Return errors for rows with too few, too many or too long cells."""
        errors: Errors = {}
        if set(map(len, rows)) - {len(names)}:
            for index, row in enumerate(rows):
                if len(row) != len(names):
                    errors[index] = _ragged(len(row), len(names))
        max_bytes = self._options.max_field_bytes
        if chars * MAX_BYTES_PER_CHAR > max_bytes:
            for index, row in enumerate(rows):
                for name, cell in zip(names, row, strict=False):
                    if len(cell) * MAX_BYTES_PER_CHAR > max_bytes and len(cell.encode()) > max_bytes:
                        errors.setdefault(index, _too_long(name, max_bytes))
        return errors

    def _unfit(self, rows: Table, names: Sequence[str]) -> Errors:
        """Return errors for rows with cells that do not fit their columns, or without a key value."""
        errors: Errors = {}
        for name in self._profile.fixed.intersection(names):
            errors.update(self._profile.misfits(name, Cells(rows, names.index(name))))
        key = self._options.key
        if key is not None:
            errors.update(unusable_keys(key, _column(rows, names.index(key))))
        return errors


def _column(rows: Table, at: int) -> list[str]:
    return list(map(itemgetter(at), rows))


def encoder(names: Sequence[str]) -> Callable[[Table], list[bytes]]:
    """Return what turns rows into JSON objects with these names; a struct does it twice as fast as a dict."""
    encode = msgspec.json.Encoder().encode
    fields = [f"field_{index}" for index in range(len(names))]
    try:
        struct = msgspec.defstruct(
            "Row", [(name, str) for name in fields], rename=dict(zip(fields, names, strict=True)), gc=False
        )
    except ValueError:  # a name that JSON escapes
        return lambda rows: [encode(dict(zip(names, row, strict=True))) for row in rows]
    return lambda rows: list(map(encode, starmap(struct, rows)))


def _ragged(fields: int, expected: int) -> InvalidContent:
    if not fields:
        return InvalidContent("The line is empty, and records follow.")
    return InvalidContent(f"The record has {fields} fields, the header {expected}.")


def _too_long(name: str, max_bytes: int) -> InvalidContent:
    return InvalidContent(
        f"The value of {quoted(name)} has more than {max_bytes} bytes.", pointer=pointer(name)
    )
