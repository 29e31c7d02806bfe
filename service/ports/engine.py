"""The engine answers questions that a store cannot: filters, sorts, groups, over a columnar snapshot.

Values compare by the type of their column: integers exactly, whatever their size; numbers as doubles (one
beyond their range counts as infinite); texts by code point; dates and timestamps by time, a timestamp
without an offset as one in UTC, to the microsecond; arrays, objects and mixed values by their JSON text.
A null, and an empty cell of a textual column, matches no operator but `NULL`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, Self, TypeAlias

from service.domain.columns import Column
from service.domain.datasets import Dataset
from service.domain.records import Batch
from service.ports.storage import Commit, Snapshot

Value: TypeAlias = str | int | float | bool | date
"""What a column is compared with, in its type; a timestamp is its microseconds since 1970 UTC."""

Key: TypeAlias = str | int | float | bool | None
"""A value that records were sorted by, as the engine put it; of use to nobody but the engine."""


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
    r"""A condition on a column.

    `values` is one value, for `IN` any number, for `LIKE` and `ILIKE` a pattern (`%` any text, `_` any
    character, `\` takes the meaning from the next), for `NULL` whether it is to be null.
    """

    column: str
    operator: Operator
    values: tuple[Value, ...]


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
    """An aggregate of a column's values that are not null (None: of the records, for `COUNT`)."""

    aggregate: Aggregate
    column: str | None = None

    @property
    def name(self) -> str:
        """Its name in an answer: `count`, `avg(mass (g))`."""
        return self.aggregate.value if self.column is None else f"{self.aggregate.value}({self.column})"


@dataclass(frozen=True, slots=True)
class Derivation:
    """A column of the client's view, and how it comes from the stored one `source` (None: from none).

    `steps` are applied in order: `("cast", type)` (what is no such value is null), `("map", {old: new})` of
    texts, `("default", value)` where there is no value. Without steps it is `source` under another name.
    """

    column: Column
    source: str | None
    steps: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """Which records, in which order, seen through which columns.

    `view` lists the client's columns in order (None: the stored ones). Filters and orders name the client's
    columns. Records that the order leaves equal stand in the order of their positions.
    """

    filters: tuple[Filter, ...] = ()
    order: tuple[Order, ...] = ()
    view: tuple[Derivation, ...] | None = None


@dataclass(frozen=True, slots=True)
class Behind:
    """The place behind which to go on: sort keys and position of the last record seen.

    `keys` is None where they were not kept; the record at the position then tells them.
    """

    keys: tuple[Key, ...] | None
    position: int


@dataclass(frozen=True, slots=True)
class Window:
    """The part of the matching records that is wanted: from a rank or behind a place, at most `limit`."""

    start: int = 0
    behind: Behind | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Matched:
    """What matched: `count` of all, and the window's records, the first of which has the rank `start`.

    `last` is the place of the window's last record; `more` says whether a record follows. `records` is empty
    where none were asked for.
    """

    count: int
    start: int
    records: Sequence[bytes]
    last: Behind | None
    more: bool


class EngineSnapshot(Protocol):
    """One revision of a dataset in columns.

    All raise `Busy` where too much is under way or the time is over, `OutOfSpace` where a question needs
    more room than the engine has, `InvalidCursor` where a window begins behind a place that is none. Who
    leaves a stream before its end closes it (`aclose`).
    """

    @property
    def dataset(self) -> Dataset:
        """The revision that is held."""
        ...

    async def match(self, question: Question, window: Window, *, records: bool = True) -> Matched:
        """Return what matches; `window.limit` bounds it. Without `records` only the numbers."""
        ...

    def scan(self, question: Question, window: Window) -> AsyncGenerator[Sequence[bytes], None]:
        """Yield the window's canonical records in order, in batches of about 1 MiB; memory stays flat."""
        ...

    async def aggregate(
        self,
        question: Question,
        *,
        group: tuple[str, ...],
        measures: tuple[Measure, ...],
        limit: int,
        start: int = 0,
    ) -> tuple[Sequence[dict[str, Any]], bool]:
        """Return a row per group of the matching records, as JSON values, and whether more follow.

        The question's order may name measures; groups that it leaves equal are sorted by their values.
        Without `group` all records are one group.
        """
        ...

    async def facet(
        self, question: Question, column: str, limit: int
    ) -> tuple[Sequence[tuple[Any, int]], bool]:
        """Return a column's values and how many matching records have each, and whether more follow.

        Most first, those as frequent by value.
        """
        ...

    def parquet(
        self, question: Question, window: Window, fields: tuple[str, ...], *, typed: bool
    ) -> AsyncGenerator[bytes, None]:
        """Yield a Parquet file of the window's records; not `typed`: of the values as they were loaded."""
        ...

    async def database_file(self, view: tuple[Derivation, ...] | None, start: int = 0) -> Path:
        """Write what a view (None: the stored columns) shows of the records from a position on.

        It is a DuckDB file with one table, the caller's to remove.
        """
        ...


class Recording(Protocol):
    """Takes down the records of a load on their way into the store, for columns that are wanted later.

    It costs the load next to nothing and never fails it: what there is no room for is given up.
    """

    def of(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield all that the dataset will consist of, each batch taken down before it is used. Blocks."""
        ...

    def keep(self, commit: Commit) -> None:
        """Be told that the load was committed; without this nothing of it is kept."""
        ...


class Engine(Protocol):
    """Keeps columnar snapshots, least recently used dropped first; `async with` opens it."""

    async def __aenter__(self) -> Self:
        """Open the engine."""
        ...

    async def __aexit__(self, *exc: object) -> None:
        """Close it and remove its files."""
        ...

    def recording(self) -> AbstractAsyncContextManager[Recording]:
        """Lend what takes down a load that replaces a dataset.

        The first question about that generation is then answered from columns that are built without the
        store. An engine that is not open takes nothing down.
        """
        ...

    def edited(self, commit: Commit, record: bytes | None) -> None:
        """Be told of a commit that changed one record (None: removed it); to tell all of them is no duty.

        What is kept may be brought up to date by it instead of being built anew.
        """
        ...

    def snapshot(
        self, dataset: Dataset, source: Callable[[], AbstractAsyncContextManager[Snapshot]]
    ) -> AbstractAsyncContextManager[EngineSnapshot]:
        """Hold the columns of a revision, or of a newer one.

        Kept columns of the same generation are extended by what was appended since, and by those edits that
        were told (`edited`); they are built anew from `source` where there are none, or where a record was
        changed or removed otherwise. Many who ask for the
        same columns wait for one building. Raises what `source` raises, and `OutOfSpace`.
        """
        ...
