"""What a value goes through between the store and a client, a step at a time and both ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import msgspec

from service.domain.columns import Column, ColumnType
from service.lenses.tokens import EMPTY_CELL, NULL, cast, is_nothing, text_of

Fits: TypeAlias = Callable[[msgspec.Raw, Column], bool]
"""Tells whether a JSON value fits a column as it is."""

_CASTABLE = frozenset({ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.BOOLEAN, ColumnType.STRING})
_ALWAYS = {
    ColumnType.INTEGER: frozenset({ColumnType.INTEGER}),
    ColumnType.NUMBER: frozenset({ColumnType.INTEGER, ColumnType.NUMBER}),
    ColumnType.BOOLEAN: frozenset({ColumnType.BOOLEAN}),
    ColumnType.STRING: frozenset(ColumnType) - {ColumnType.JSON},
}


class Unfit(Exception):
    """A value that a client wrote cannot be stored, for the reason that the message gives."""


class Step(Protocol):
    """One step; what stands behind it in the view is `get(what stands before it)`."""

    @property
    def data(self) -> tuple[str, Any]:
        """The step as the engine's SQL needs it: its name and its argument."""
        ...

    def get(self, token: bytes) -> bytes:
        """Return what a client sees; never fails."""
        ...

    def put(self, token: bytes) -> bytes:
        """Return what makes `get` give this value. Raises `Unfit` where nothing does."""
        ...


@dataclass(frozen=True, slots=True)
class Cast:
    """Values of the column `before` as those of another type; what is no such value is seen as null."""

    before: Column
    to: ColumnType
    fits: Fits

    @property
    def data(self) -> tuple[str, Any]:
        """The type."""
        return "cast", self.to.value

    @property
    def safe(self) -> bool:
        """Whether every value of such a column passes."""
        return self.before.type is ColumnType.EMPTY or self.before.type in _ALWAYS[self.to]

    def get(self, token: bytes) -> bytes:
        """Return the value as one of the type, or none."""
        textual = self.before.textual
        found = cast(token, self.to, textual=textual)
        if found is not None:
            return found
        return EMPTY_CELL if textual else NULL

    def put(self, token: bytes) -> bytes:
        """Return the value as one of the type before."""
        textual = self.before.textual
        if token == EMPTY_CELL and self.to is not ColumnType.STRING:
            return EMPTY_CELL if textual else NULL  # an empty cell of a CSV
        if cast(token, self.to, textual=textual) is None:
            raise Unfit(f"it is no {self.to.value}")
        kind = self.before.type
        found = cast(token, kind, textual=textual) if kind in _CASTABLE else token
        if found is None or not self.fits(msgspec.Raw(found), self.before):
            raise Unfit(f"it is no {kind.value}, as clients from before that change need it")
        return found

    def loses(self, token: bytes) -> bool:
        """Whether the value is none of the type."""
        return cast(token, self.to, textual=self.before.textual) is None


@dataclass(frozen=True)
class Map:
    """Texts by other texts; what is not named stays."""

    values: Mapping[str, str]

    @cached_property
    def _forth(self) -> dict[bytes, bytes]:
        return {old.encode(): new.encode() for old, new in self.values.items()}

    @cached_property
    def _back(self) -> dict[bytes, bytes]:
        # Where several become one, the first that was named comes back.
        return {new: old for old, new in reversed(self._forth.items())}

    @property
    def data(self) -> tuple[str, Any]:
        """The pairs."""
        return "map", dict(self.values)

    def get(self, token: bytes) -> bytes:
        """Return the new text."""
        text = text_of(token)
        new = None if text is None else self._forth.get(text)
        return token if new is None else _quoted(new)

    def put(self, token: bytes) -> bytes:
        """Return the old text."""
        text = text_of(token)
        if text is None:
            return token
        old = self._back.get(text)
        if old is not None:
            return _quoted(old)
        if text in self._forth:
            raise Unfit("it was replaced by another value")
        return token

    def loses(self, token: bytes) -> bool:
        """Whether the value would be one with others that are mapped to it."""
        text = text_of(token)
        return text is not None and text in self._back and text not in self._forth


@dataclass(frozen=True, slots=True)
class Default:
    """What stands where a record has no value."""

    value: str | int | float | bool | None
    textual: bool

    @property
    def data(self) -> tuple[str, Any]:
        """The value."""
        return "default", self.value

    def get(self, token: bytes) -> bytes:
        """Return the value, or the default."""
        if is_nothing(token, textual=self.textual):
            return msgspec.json.encode(self.value)
        return token

    def put(self, token: bytes) -> bytes:
        """Return the value as it is."""
        return token


def _quoted(text: bytes) -> bytes:
    return msgspec.json.encode(text.decode())
