"""The operations that a change is made of, each a lens on one column."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from service.domain.columns import Column, ColumnType
from service.domain.wording import quoted
from service.lenses.draft import Condition, Draft, Refused
from service.lenses.seen import Scalar, Seen, added, type_of_scalar
from service.lenses.steps import Cast, Map

MAX_NAME_CHARS = 1000
MAX_VALUES = 10_000

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARS)]
Text = Annotated[str, msgspec.Meta(min_length=1)]


class Operation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="op"):
    """One step of a change; its `apply` changes a draft, and raises `Refused` where that cannot be."""


class Rename(Operation, frozen=True, tag="rename", rename={"old": "from", "new": "to"}):
    """A column gets another name, and keeps its place."""

    old: Name
    new: Name

    def apply(self, draft: Draft) -> None:
        """Change the name."""
        draft.rename(self.old, self.new)


class Hide(Operation, frozen=True, tag="hide"):
    """A column is no longer seen; what is stored of it stays."""

    column: Name

    def apply(self, draft: Draft) -> None:
        """Leave the column out."""
        draft.drop(self.column, "column")


class Add(Operation, frozen=True, tag="add"):
    """A new column; records that have no value of it show `value`."""

    column: Name
    value: Scalar

    def apply(self, draft: Draft) -> None:
        """Put the column behind the others."""
        if draft.strict and self.column in draft.names:
            draft.claim(self.column, "", "column")
        if self.value == "":
            raise Refused("value", "An empty text is no value in a CSV; use null.")
        stored = draft.stored.setdefault(self.column, Column(self.column, type_of_scalar(self.value)))
        draft.names[self.column] = self.column
        draft.seen[self.column] = added(stored, self.value)
        draft.bound.add(self.column)


class CastTo(Operation, frozen=True, tag="cast"):
    """A column has another type; a value that is none of it is seen as null, which must be said."""

    column: Name
    to: Literal["integer", "number", "boolean", "string"]
    lossy: bool = False

    def apply(self, draft: Draft) -> None:
        """Change the type."""
        seen = draft.find(self.column, "column")
        draft.alter(_cast(draft, seen, ColumnType(self.to), lossy=self.lossy), "column")


class MapValues(Operation, frozen=True, tag="map"):
    """Texts of a column are replaced by others; other types become text before."""

    column: Name
    values: Annotated[dict[Text, Text], msgspec.Meta(min_length=1, max_length=MAX_VALUES)]
    lossy: bool = False

    def apply(self, draft: Draft) -> None:
        """Change the values."""
        seen = draft.find(self.column, "column")
        if seen.column.type is not ColumnType.STRING:
            seen = _cast(draft, seen, ColumnType.STRING, lossy=self.lossy)
        step = Map(self.values)
        if not self.lossy and draft.strict:
            twice = _first_twice(self.values)
            if twice is not None:
                raise Refused(
                    "values",
                    f"Several values become {quoted(twice)} and could not come back: "
                    'say "lossy": true if that may be.',
                )
            draft.conditions.append(Condition(seen, step))
        draft.alter(seen.through(step, ColumnType.STRING), "column")


def _cast(draft: Draft, seen: Seen, to: ColumnType, *, lossy: bool) -> Seen:
    step = Cast(seen.column, to, draft.fits)
    if draft.strict and not lossy and not step.safe:
        draft.conditions.append(Condition(seen, step))
    return seen.through(step, to)


def _first_twice(values: dict[str, str]) -> str | None:
    met: set[str] = set()
    for value in values.values():
        if value in met:
            return value
        met.add(value)
    return None


AnyOperation = Rename | Hide | Add | CastTo | MapValues
OPERATIONS = ("rename", "hide", "add", "cast", "map")
