"""A change of a dataset's columns: a day, why, and what."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Annotated, Any

import msgspec

from service.domain.columns import Column
from service.domain.datasets import Schema
from service.domain.errors import InvalidChange
from service.domain.wording import pointer
from service.lenses.draft import Condition, Draft, Refused
from service.lenses.operations import OPERATIONS, Add, AnyOperation
from service.lenses.steps import Fits

MAX_OPERATIONS = 1000
MAX_DESCRIPTION_CHARS = 2000

_PLACE = re.compile(r" - at `(?:key in )?\$(.*)`$", re.DOTALL)
_PART = re.compile(r"\.(\w+)|\[(\d+)\]")
_MEMBER = re.compile(r"(?:unknown|required) field `(.*?)`", re.DOTALL)


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What clients see otherwise from a day on; `operations` are applied one after the other."""

    date: date
    description: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_DESCRIPTION_CHARS, pattern=r"\S")]
    operations: Annotated[list[AnyOperation], msgspec.Meta(min_length=1, max_length=MAX_OPERATIONS)]

    def as_document(self) -> dict[str, Any]:
        """Return the change as a JSON document."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document

    def apply(self, draft: Draft, *, strict: bool = False) -> list[tuple[str, Condition]]:
        """Change what clients see; return what the rows must show, each with its place.

        Raises `InvalidChange` where an operation cannot be, of which `strict` finds all.
        """
        draft.begin(strict=strict)
        conditions = []
        for at, operation in enumerate(self.operations):
            draft.conditions = []
            try:
                operation.apply(draft)
            except Refused as error:
                raise InvalidChange(error.reason, pointer=pointer("operations", at, error.member)) from None
            conditions += [(pointer("operations", at), condition) for condition in draft.conditions]
        return conditions


def read_change(document: object) -> Change:
    """Return the change that a document describes. Raises `InvalidChange` with the place of what is wrong."""
    try:
        change = msgspec.convert(document, Change)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    return change


def read_changes(schema: Schema) -> tuple[Change, ...]:
    """Return a dataset's changes, oldest first."""
    return tuple(msgspec.convert(document, Change) for document in schema.changes)


def draft_of(columns: Iterable[Column], changes: Sequence[Change], *, key: str | None, fits: Fits) -> Draft:
    """Return what clients see that know of none of the changes."""
    additions = (each.column for change in changes for each in change.operations if isinstance(each, Add))
    return Draft(columns, key=key, fits=fits, hidden=additions)


def _invalid(sentence: str) -> InvalidChange:
    """Return what the parser says as a sentence and a JSON pointer."""
    place = _PLACE.search(sentence)
    parts: list[str] = []
    if place is not None:
        parts = [name or index for name, index in _PART.findall(place[1])]
        sentence = sentence[: place.start()]
    if parts[-1:] == ["op"] and sentence.startswith("Invalid value"):
        sentence = f"There is no such operation; there are {', '.join(OPERATIONS)}"
    member = _MEMBER.search(sentence)
    if member is not None:
        parts.append(member[1])
    return InvalidChange(f"{sentence}.", pointer=pointer(*parts))
