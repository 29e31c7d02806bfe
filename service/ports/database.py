"""A database answers SQL that strangers send.

`tests/contract/sql` states these semantics as one suite that every database passes, and attacks each guard.

- One statement, by the database's own parser; parameters are bound, never spliced.
- Guarded: no file, no network, no extension, no other database; the service's own tables are out of reach.
- Nothing of a statement outlives it but what it wrote and committed: no session state, no open transaction.
- Bounded: the time limit stops the work in the database itself, and so does the cancelling of a call; rows
  and bytes are limited, and what was cut says so.
- Atomic: a statement that failed, was cut or cancelled has written nothing.
- No driver's exception passes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeAlias

from service.domain.datasets import Dataset
from service.ports.engine import Derivation

Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any]
"""JSON values by place or, where the database knows names, by name."""


@dataclass(frozen=True, slots=True)
class Table:
    """A dataset as SQL sees it: under its name, read-only, with the columns of the client's day, typed.

    `view` is None where the columns are the stored ones. Integers, numbers and booleans are the database's
    own, an empty cell is null, all else is text. What a database cannot bear as a name (too long, taken by a
    column that differs only in case, empty) gets an alias.
    """

    dataset: Dataset
    view: tuple[Derivation, ...] | None = None


Tables: TypeAlias = Callable[[], Awaitable[Sequence[Table]]]
"""Tells the datasets of this moment, for databases that show them."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement; `writing` says whether it may write."""

    sql: str
    parameters: Parameters = ()
    writing: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a statement may take: seconds of work, rows and bytes (of JSON, roughly) of its answer."""

    timeout_s: float
    max_rows: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Rows:
    """What a statement answered, as JSON values; `columns` are distinct, in order.

    Also values that JSON has a form for: decimals and big integers (their exact digits), dates and times
    (ISO 8601), bytes (base64); `msgspec.Raw` is JSON as it stands. NaN and infinities are None.
    `truncated` says that there was more than the bounds let through.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    truncated: bool = False


class Database(Protocol):
    """Speaks SQL; `async with` opens it. Entering calls no server."""

    async def __aenter__(self) -> Self:
        """Make ready."""
        ...

    async def __aexit__(self, *exc: object) -> None:
        """End what is under way and close what was opened."""
        ...

    async def run(self, statement: Statement, tables: Tables) -> Rows | None:
        """Run a statement; None where it is of a kind that answers no rows.

        Raises `QueryFailed` with the database's own message and, where it tells, the `position` (a member:
        the character of the statement, from 1); for what a guard refuses, for what takes too long or answers
        a row beyond the bounds, too; `WriteRefused` where a statement that is not `writing` would write.
        `StoreUnavailable` where it does not answer, `OutcomeUnknown` where the connection died during a
        commit, `OutOfSpace`.
        """
        ...

    async def aliases(self, tables: Tables) -> Mapping[str, Mapping[str, str]]:
        """Return which names of datasets' columns are others in SQL: by dataset, the alias and its column.

        Under the empty name, which no dataset has, those of datasets themselves: the alias and its dataset.
        Empty where the database shows no datasets.
        """
        ...
