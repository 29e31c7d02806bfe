"""Whether values fit their columns, and what the columns become when they may widen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final, TypeAlias

import msgspec

from service.domain.columns import Column, ColumnType
from service.domain.errors import InvalidContent, InvalidParameter, TypeMismatch, UnknownColumn
from service.formats.keys import key_of_record
from service.formats.kinds import Cells, Values
from service.formats.strict import parse, parse_record
from service.formats.wording import pointer, quoted

MAX_COLUMNS: Final = 2_000

Widened: TypeAlias = tuple[str, ColumnType, ColumnType]
"""A column's name, its type before (`empty`: it was not there) and now."""


class Profile:
    """What is known of the columns while records come in.

    `expected` are the columns of the dataset that is appended to; without them everything is new. A column
    that has a type there is fixed unless `widen`, and so is one whose type is given in `types`; the others
    become what their values need. Raises `InvalidParameter` where `types` contradicts `expected`.
    """

    def __init__(
        self,
        *,
        expected: Sequence[Column] = (),
        types: Mapping[str, ColumnType] | None = None,
        widen: bool = False,
        max_columns: int = MAX_COLUMNS,
    ) -> None:
        self._before = {column.name: column for column in expected}
        self._columns = dict(self._before)
        self._types = {n: t for n, t in (types or {}).items() if t is not ColumnType.EMPTY}
        self._closed = bool(expected) and not widen
        self._max_columns = max_columns
        for column in expected:
            self._give_type(column)
        kept = {column.name for column in expected if column.type is not ColumnType.EMPTY}
        self.fixed: frozenset[str] = frozenset(self._types).union(kept if self._closed else ())

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns as they are now, in the order in which they were first seen."""
        return tuple(self._columns.values())

    @property
    def widened(self) -> tuple[Widened, ...]:
        """What has changed of the expected columns, and what was added to them."""
        if not self._before:
            return ()
        changes = []
        for name, column in self._columns.items():
            before = self._before.get(name)
            if before is None:
                changes.append((name, ColumnType.EMPTY, column.type))
            elif before.type not in {ColumnType.EMPTY, column.type}:
                changes.append((name, before.type, column.type))
        return tuple(changes)

    def knows(self, names: AbstractSet[str]) -> bool:
        """Whether there is a column of each of these names."""
        return self._columns.keys() >= names

    def check_types(self) -> None:
        """Raise `UnknownColumn` where `types` names a column that has not turned up."""
        for name in self._types:
            if name not in self._columns:
                raise UnknownColumn(f"type.{name}", "There is no such column.", valid=list(self._columns))

    def _give_type(self, column: Column) -> None:
        given = self._types.get(column.name, column.type)
        if column.type not in {ColumnType.EMPTY, given}:
            raise InvalidParameter(f"type.{column.name}", f"The column is there, of type {column.type}.")
        self._columns[column.name] = replace(column, type=given)

    def admit(self, name: str, *, textual: bool) -> None:
        """Add a column unless it is there.

        Raises `TypeMismatch` where none may be added, `InvalidContent` where there are too many.
        """
        if name in self._columns:
            return
        if self._closed:
            raise TypeMismatch(
                f"The dataset has no column {quoted(name)}; widen=1 would add it.", pointer=pointer(name)
            )
        if len(self._columns) >= self._max_columns:
            raise InvalidContent(f"A dataset has {self._max_columns} columns at most.")
        self._columns[name] = Column(name, self._types.get(name, ColumnType.EMPTY), textual)

    def misfits(self, name: str, values: Cells | Values) -> dict[int, TypeMismatch]:
        """Return, by index, an error for each value that a fixed column does not take."""
        column = self._columns.get(name) or Column(name, self._types[name])
        if all(column.holds(kind, text=text) for kind, text in values.kinds(column)):
            return {}
        misfits = {}
        for index in range(len(values)):
            kind, text = values.kind(index, column)
            if not column.holds(kind, text=text):
                misfits[index] = TypeMismatch(
                    f"{values.shown(index)} does not fit the column {quoted(name)} of type {column.type}.",
                    pointer=pointer(name),
                )
        return misfits

    def observe(self, name: str, values: Cells | Values) -> None:
        """Take in values of a column; those of a fixed one must be known to fit."""
        column = self._columns[name].taking(ColumnType.EMPTY, text=values.text)
        if name not in self.fixed:
            for kind, text in values.kinds(column):
                column = column.taking(kind, text=text)
        self._columns[name] = column


def fits(value: msgspec.Raw | str, column: Column) -> bool:
    """Whether a JSON value (`Raw`) or a cell of text fits a column as it is. Raises `InvalidContent`."""
    values = Cells([[value]], 0) if isinstance(value, str) else Values([parse(bytes(value))[1]])
    kind, text = values.kind(0, column)
    return column.holds(kind, text=text)


def fit_record(
    record: bytes, columns: Sequence[Column], *, key: str | None, widen: bool
) -> tuple[tuple[Column, ...], tuple[Widened, ...], str | None]:
    """Return the columns with one more record, what has widened, and the record's key value.

    Raises `TypeMismatch` where a value does not fit and may not widen, `InvalidContent`.
    """
    record, values = parse_record(record)
    profile = Profile(expected=columns, widen=widen)
    for name, value in values.items():
        profile.admit(name, textual=False)
        of_column = Values([value])
        if name in profile.fixed and (misfits := profile.misfits(name, of_column)):
            raise misfits[0]
        profile.observe(name, of_column)
    value_of_key = None if key is None else key_of_record(key, record, values)
    return profile.columns, profile.widened, value_of_key


def canonical(body: bytes) -> bytes:
    """Return one JSON object's canonical bytes: each name once, no blanks between tokens.

    Raises `InvalidContent`.
    """
    return parse_record(body)[0]
