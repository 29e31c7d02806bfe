"""How a file is to be read, and what to do with the records of it that cannot be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from service.domain.columns import Column, ColumnType
from service.domain.errors import AeroliteError, InvalidParameter
from service.formats.fitting import MAX_COLUMNS
from service.formats.strict import MAX_DEPTH, MAX_FIELD_BYTES

MAX_REJECTS_KEPT: Final = 100

MAX_RECORD_BYTES: Final = 32 << 20
"""A longer CSV or NDJSON record is refused, so that memory is bounded."""


class InputFormat(StrEnum):
    """A format in which records come."""

    CSV = "csv"
    JSON = "json"
    NDJSON = "ndjson"


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a file.

    `format`: None sniffs it from the bytes. `delimiter`: one ASCII character; None chooses among
    `, ; tab |`. `key`: the column that each record must have a value of. `types`: types that columns must
    have. `appending`: the records go behind those of a dataset with the columns `expected`, which they
    must fit unless `widen`. `skip_errors`: leave records out that cannot be read and count them. `single`:
    a JSON object is one record, not a wrapper of an array. Raises `InvalidParameter` (delimiter).
    """

    format: InputFormat | None = None
    delimiter: str | None = None
    key: str | None = None
    types: Mapping[str, ColumnType] = field(default_factory=dict)
    expected: tuple[Column, ...] = ()
    appending: bool = False
    widen: bool = False
    skip_errors: bool = False
    single: bool = False
    max_json_bytes: int = 64 << 20
    max_columns: int = MAX_COLUMNS
    max_field_bytes: int = MAX_FIELD_BYTES
    max_record_bytes: int = MAX_RECORD_BYTES
    max_depth: int = MAX_DEPTH

    def __post_init__(self) -> None:
        delimiter = self.delimiter
        if delimiter is None:
            return
        if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '\0\r\n"':
            raise InvalidParameter(
                "delimiter", "The delimiter is one ASCII character, and neither a quote nor a line end."
            )


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that was left out: the line that it begins at (first is 1), and why."""

    line: int
    reason: str


Place: TypeAlias = tuple[int, str]
"""A record's first line, and its JSON pointer into the file (empty where lines tell records apart)."""


class Rejects:
    """Refuses the first bad record, or counts them all and keeps the first hundred."""

    def __init__(self, *, skip: bool) -> None:
        self._skip = skip
        self.count = 0
        self.first: list[Reject] = []

    def settle(self, errors: Mapping[int, AeroliteError], place: Callable[[int], Place]) -> None:
        """Take the errors of some records, by index; `place` tells where a record stands.

        Raises the first of them unless they are to be skipped.
        """
        for index in sorted(errors):
            self.count += 1
            if self._skip and len(self.first) >= MAX_REJECTS_KEPT:
                continue
            error = errors[index]
            error.line, prefix = place(index)
            if error.pointer is not None:
                error.pointer = prefix + error.pointer
            if not self._skip:
                raise error
            self.first.append(Reject(error.line, error.detail))
