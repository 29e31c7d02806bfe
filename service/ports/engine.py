"""The engine answers questions that a store cannot: filters, sorts, groups, over a columnar snapshot."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, Self

from service.domain.columns import Column
from service.domain.datasets import Dataset


class Operator(StrEnum):
    """How a filter compares; no operator but `NULL` matches a null."""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    IN = "in"
    LIKE = "like"
    ILIKE = "ilike"
    NULL = "null"


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on a column; `values` is one text, or several for `IN`, each as it stood in the query."""

    column: str
    operator: Operator
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """A column to sort by; nulls come last either way."""

    column: str
    descending: bool = False


class Aggregate(StrEnum):
    """What can be made of the values of a group."""

    COUNT = "count"
    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    MEDIAN = "median"


@dataclass(frozen=True, slots=True)
class Measure:
    """An aggregate of a column (None: of the records, for `COUNT`)."""

    aggregate: Aggregate
    column: str | None = None

    @property
    def name(self) -> str:
        """Its name in an answer: `count`, `avg(mass (g))`."""
        return self.aggregate.value if self.column is None else f"{self.aggregate.value}({self.column})"


@dataclass(frozen=True, slots=True)
class Derivation:
    """A column of the client's view that is computed from a stored one.

    `source` is the stored column (None: a constant). `steps` are applied in order: `("cast", type)`,
    `("map", {old: new})`, `("constant", value)`. A view without derivations shows the stored columns.
    """

    column: Column
    source: str | None
    steps: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """Which records, in which order, seen through which columns.

    `view` lists the client's columns in order (None: the stored ones). Filters and orders name the client's
    columns.
    """

    filters: tuple[Filter, ...] = ()
    order: tuple[Order, ...] = ()
    view: tuple[Derivation, ...] | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """Where matching records are: `positions` in the order asked for, `count` of all that match.

    `keys[i]` are the values of the order's columns of `positions[i]`, to make a cursor of; JSON values.
    """

    count: int
    start: int
    positions: Sequence[int]
    keys: Sequence[tuple[Any, ...]]
    more: bool


@dataclass(frozen=True, slots=True)
class Behind:
    """The place behind which to go on: the sort keys and position of the last record seen."""

    keys: tuple[Any, ...]
    position: int


class Feed(Protocol):
    """Gives the engine the records of a revision, from a position on, as the store holds them."""

    def __call__(self, *, after: int | None = None) -> AsyncIterator[tuple[Sequence[int], Sequence[bytes]]]:
        """Yield (positions, canonical records) in order."""
        ...


class EngineSnapshot(Protocol):
    """One revision of a dataset in columns."""

    async def match(
        self, question: Question, *, limit: int, start: int = 0, behind: Behind | None = None
    ) -> Match:
        """Return where at most `limit` matching records are. Raises `InvalidParameter`, `Busy`."""
        ...

    def scan(self, question: Question) -> AsyncIterator[Sequence[bytes]]:
        """Yield all matching canonical records in order, in batches of about 1 MiB; memory stays flat."""
        ...

    async def records(self, positions: Sequence[int]) -> Sequence[bytes]:
        """Return the canonical records at these positions, in this order."""
        ...

    async def aggregate(
        self,
        question: Question,
        *,
        group: tuple[str, ...],
        measures: tuple[Measure, ...],
        sort: tuple[Order, ...],
        limit: int,
        start: int = 0,
    ) -> tuple[Sequence[dict[str, Any]], bool]:
        """Return a row per group as JSON values, and whether more follow; `sort` may name measures."""
        ...

    async def facet(self, question: Question, column: str, limit: int) -> Sequence[tuple[Any, int]]:
        """Return the values of a column with the number of matching records, most first."""
        ...

    def parquet(self, question: Question, fields: tuple[str, ...] | None) -> AsyncIterator[bytes]:
        """Yield a Parquet file of all matching records."""
        ...


class Engine(Protocol):
    """Keeps columnar snapshots, least recently used dropped first; `async with` opens it."""

    async def __aenter__(self) -> Self:
        """Open the engine."""
        ...

    async def __aexit__(self, *exc: object) -> None:
        """Close it and remove its spill files."""
        ...

    def snapshot(self, dataset: Dataset, feed: Feed) -> AbstractAsyncContextManager[EngineSnapshot]:
        """Hold the columns of a revision: those kept, extended by what was appended, or built from `feed`."""
        ...


