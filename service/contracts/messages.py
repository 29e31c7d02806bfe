"""What contracts migrate: the query on its way in, the reply on its way out.

Records are described without being there: a change sees the members around
them and never the whole, so a dataset of any size passes through every contract in flat memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from service.lenses.operations import AnyOperation

MAX_PAGE = 10_000
DEFAULT_PAGE = 100


@dataclass(slots=True)
class Query:
    """The query parameters of a request, in the client's order, each with its last value.

    `default_limit` and `max_limit` count records; None is all of them and no bound. `filters` are those
    that are no parameter and may be a condition on a column; `known` are the names of all parameters.
    `lenses` lead the columns that the query names, and the records of its answer, back to the contract's.
    """

    parameters: dict[str, str]
    default_limit: int | None = DEFAULT_PAGE
    max_limit: int | None = MAX_PAGE
    filters: tuple[tuple[str, str], ...] = ()
    known: tuple[str, ...] = ()
    lenses: tuple[AnyOperation, ...] = ()


@dataclass(slots=True)
class Document:
    """A body that is one JSON value."""

    value: Any


@dataclass(slots=True)
class Text:
    """A body of plain text."""

    text: str


@dataclass(slots=True)
class Records:
    """A body of records.

    As JSON it is an object of `members` in which the records stand as the array `slot`, between the members
    that were put in before it and the rest (`tail`); where `slot` is None it is the bare array.
    """

    members: dict[str, Any]
    slot: str | None = "records"
    tail: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Record:
    """A body that is one canonical record; its values are typed where the contract types values."""

    record: bytes


Body = Document | Text | Record | Records


@dataclass(slots=True)
class Reply:
    """An answer before it is encoded: status, headers and a body (None: none)."""

    status: int
    body: Body | None = None
    headers: dict[str, str] = field(default_factory=dict)
