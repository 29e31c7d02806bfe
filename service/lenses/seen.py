"""A column as a client sees it: where it is stored, and which steps its values take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import msgspec

from service.domain.columns import Column, ColumnType, join
from service.domain.errors import TypeMismatch
from service.domain.wording import pointer, quoted
from service.lenses.steps import Default, Step, Unfit
from service.lenses.tokens import NULL, same, text_of

Scalar: TypeAlias = str | int | float | bool | None
Tokens: TypeAlias = Sequence[bytes | msgspec.Raw]
Passage: TypeAlias = Callable[[Tokens], Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class Seen:
    """A column of a view: `column` is what a client knows of it, `stored` its name in the store.

    `present` is False where changes speak of a column that the dataset has not, as after a replace.
    """

    column: Column
    stored: str
    steps: tuple[Step, ...] = ()
    present: bool = True

    @property
    def name(self) -> str:
        """The name that the client knows."""
        return self.column.name

    @property
    def defaulted(self) -> bool:
        """Whether records without the column show a default."""
        return any(isinstance(step, Default) for step in self.steps)

    @property
    def converted(self) -> bool:
        """Whether values are seen otherwise than they are stored."""
        return any(not isinstance(step, Default) for step in self.steps)

    def renamed(self, name: str) -> Seen:
        """Return the column under another name."""
        return replace(self, column=replace(self.column, name=name))

    def through(self, step: Step, type_: ColumnType) -> Seen:
        """Return the column with one more step, behind which it has this type."""
        return replace(self, column=replace(self.column, type=type_), steps=(*self.steps, step))

    def get(self, token: bytes) -> bytes:
        """Return a stored value as the client sees it."""
        for step in self.steps:
            token = step.get(token)
        return token

    def put(self, token: bytes, old: bytes | None = None) -> bytes:
        """Return what to store so that the client sees this.

        `old` is what is stored now; what shows as the client wants it stays. Raises `TypeMismatch`.
        """
        if not self.steps:
            return token
        if old is not None and same(self.get(old), token, self.column):
            return old
        stored = token
        try:
            for step in reversed(self.steps):
                stored = step.put(stored)
        except Unfit as error:
            text = text_of(token) or token
            raise TypeMismatch(
                f"{quoted(text.decode())} does not fit the column {quoted(self.name)}: {error}.",
                pointer=pointer(self.name),
            ) from None
        return stored

    def shows_unsaid(self, token: bytes) -> bool:
        """Whether a record that has nothing stored here shows this value."""
        return self.defaulted and same(self.get(NULL), token, self.column)

    @property
    def outward(self) -> Passage | None:
        """How many values at once go to a client; None where they go as they are."""
        return (lambda tokens: [self.get(bytes(token)) for token in tokens]) if self.steps else None

    @property
    def inward(self) -> Passage | None:
        """How many values at once come from a client; None where they come as they are."""
        return (lambda tokens: [self.put(bytes(token)) for token in tokens]) if self.steps else None

    def stored_column(self, before: Column, shown: Column) -> Column:
        """Return the stored column after a write that made `shown` of the client's one.

        A converted column keeps its type for those who see it unconverted.
        """
        if self.converted and before.type is not ColumnType.EMPTY:
            return before
        return replace(shown, name=self.stored)


def type_of_scalar(value: Scalar) -> ColumnType:
    """Return the type of a default."""
    if value is None:
        return ColumnType.EMPTY
    if isinstance(value, bool):
        return ColumnType.BOOLEAN
    if isinstance(value, int):
        return ColumnType.INTEGER
    return ColumnType.NUMBER if isinstance(value, float) else ColumnType.STRING


def added(stored: Column, value: Scalar) -> Seen:
    """Return a column that was added with a default, as clients see it that know of it."""
    type_ = join(stored.type, type_of_scalar(value), textual=stored.textual)
    step = Default(value, stored.textual)
    return Seen(replace(stored, type=type_), stored.name, (step,))
