"""Questions: what of a dataset matches, in which order, in groups; answered by the engine."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from typing import Any, TypeAlias, TypeVar

from service.domain.columns import Column, ColumnType
from service.domain.datasets import Dataset
from service.domain.errors import InvalidParameter
from service.lenses.operations import AnyOperation
from service.ports.engine import (
    Aggregate,
    Behind,
    Engine,
    EngineSnapshot,
    Matched,
    Measure,
    Order,
    Question,
    Window,
)
from service.ports.storage import Datasets
from service.usecases.conditions import column_of, filter_of
from service.usecases.cursors import Cursor
from service.usecases.reading import Page, Reading, Selection, check_cursor, streams
from service.usecases.views import View, Views

T = TypeVar("T")
Stream: TypeAlias = AsyncGenerator[T, None]
File: TypeAlias = Callable[..., Stream[bytes]]

MAX_FACET_VALUES = 100
_NUMERIC = frozenset({ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.EMPTY})
_OF_NUMBERS = frozenset({Aggregate.SUM, Aggregate.AVG, Aggregate.MEDIAN})


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks in its own words, yet to be held against the columns that it sees.

    `filters` are names and values of query parameters, `sort` names of which one with `-` in front sorts
    downwards, `facets` names of columns. `known` are the names of the operation's other parameters, for
    errors. `file` asks for what only the engine can make. `lenses` are what the client's contract has
    otherwise than the columns.
    """

    filters: tuple[tuple[str, str], ...] = ()
    sort: tuple[str, ...] = ()
    facets: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    file: bool = False
    lenses: tuple[AnyOperation, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether the store alone can answer: all records, as they stand."""
        return not (self.filters or self.sort or self.facets or self.file)

    @property
    def normalised(self) -> tuple[str, ...]:
        """The question as text that is the same for the same question."""
        filters = sorted(f"{name}={value}" for name, value in self.filters)
        return (*filters, *(f"sort={name}" for name in self.sort), *(f"facet={name}" for name in self.facets))


@dataclass(frozen=True, slots=True)
class Answered(Page):
    """A page of what matches: `count` of all that does, `facets` of it, `truncated` those that are cut.

    `file` yields a Parquet file of the selection, given the fields and whether values are typed.
    """

    batches: Stream[Sequence[bytes]] | None = None
    count: int = 0
    facets: Mapping[str, Sequence[tuple[Any, int]]] = field(default_factory=dict)
    truncated: Sequence[str] = ()
    file: File | None = None


@dataclass(frozen=True, slots=True)
class Grouping:
    """Groups wanted: by which columns, with which measures, from which group on and how many."""

    group: tuple[str, ...]
    measures: tuple[Measure, ...]
    start: int
    limit: int


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups found: a row each, and whether more follow."""

    dataset: Dataset
    rows: Sequence[dict[str, Any]]
    more: bool


class Questions:
    """Answers questions about the datasets of a store."""

    def __init__(self, datasets: Datasets, reading: Reading, engine: Engine, views: Views) -> None:
        self._datasets = datasets
        self._reading = reading
        self._engine = engine
        self._views = views

    @asynccontextmanager
    async def open(
        self, name: str, asked: Asked, selection: Selection, day: date | None = None
    ) -> AsyncIterator[Answered]:
        """Hold what matches, as the clients of a day see it, for as long as it takes to send it.

        Raises `DatasetNotFound`, `InvalidParameter`, `UnknownColumn`, `InvalidCursor`, and what the engine
        raises.
        """
        async with self._held(name, day, asked, partial(resolve, asked)) as (snapshot, view, question):
            place = fingerprint(asked, view)
            check_cursor(snapshot.dataset, selection.after, place)
            page = await self._page(snapshot, question, asked, selection, place)
            if page.batches is None and page.file is None:
                yield page
                return
            async with AsyncExitStack() as left:
                # A client may go away half-way: what streams is ended with the page.
                yield replace(page, batches=_ended(page.batches, left), file=_ending(page.file, left))

    async def aggregate(self, name: str, asked: Asked, grouping: Grouping, day: date | None = None) -> Groups:
        """Return the groups of what matches. Raises what `open` raises."""
        groups = partial(resolve_groups, asked, grouping)
        async with self._held(name, day, asked, groups) as (snapshot, _, question):
            rows, more = await snapshot.aggregate(
                question,
                group=grouping.group,
                measures=grouping.measures,
                limit=grouping.limit,
                start=grouping.start,
            )
            return Groups(snapshot.dataset, rows, more)

    @asynccontextmanager
    async def _held(
        self, name: str, day: date | None, asked: Asked, resolve: Callable[[View], Question]
    ) -> AsyncIterator[tuple[EngineSnapshot, View, Question]]:
        """Hold the columns of a dataset; what is wrong with the question is told before they are built."""
        dataset = await self._reading.dataset(name)
        view = self._views.of(dataset, day, asked.lenses)
        question = resolve(view)
        async with self._engine.snapshot(dataset, partial(self._datasets.snapshot, name)) as snapshot:
            if snapshot.dataset is not dataset:
                view = self._views.of(snapshot.dataset, day, asked.lenses)
                question = resolve(view)
            yield snapshot, view, question

    async def _page(
        self, snapshot: EngineSnapshot, question: Question, asked: Asked, selection: Selection, place: str
    ) -> Answered:
        dataset, limit = snapshot.dataset, selection.limit
        after = selection.after
        behind = None if after is None else Behind(after.keys, after.position)
        window = Window(selection.start, behind, limit)
        whole = not asked.file and not streams(dataset, selection)
        if whole:
            bounded = replace(window, limit=dataset.count if limit is None else limit)
            matched = await snapshot.match(question, bounded)
        else:
            matched = await _outline(snapshot, question, window)
        facets, truncated = await _facets(snapshot, question, asked.facets)
        return Answered(
            dataset,
            matched.start,
            _next(dataset, matched, place),
            matched.records if whole else None,
            None if whole else snapshot.scan(question, window),
            count=matched.count,
            facets=facets,
            truncated=truncated,
            file=partial(snapshot.parquet, question, window) if asked.file else None,
        )


def _ended(stream: Stream[T] | None, left: AsyncExitStack) -> Stream[T] | None:
    """Close a stream when the stack is left."""
    if stream is not None:
        left.push_async_callback(stream.aclose)
    return stream


def _ending(file: File | None, left: AsyncExitStack) -> File | None:
    """Close what makes a file when the stack is left."""
    if file is None:
        return None

    def begin(*fields: Any, **options: Any) -> Stream[bytes]:
        stream = file(*fields, **options)
        left.push_async_callback(stream.aclose)
        return stream

    return begin


def resolve(asked: Asked, view: View) -> Question:
    """Return the question in the terms of a view. Raises `InvalidParameter`, `UnknownColumn`."""
    columns = view.by_name
    filters = tuple(filter_of(name, text, columns, asked.known) for name, text in asked.filters)
    order = _distinct(tuple(_order(name, columns) for name in asked.sort))
    for name in asked.facets:
        column_of("facet", name, columns)
    return Question(filters, order, view.derivations)


def resolve_groups(asked: Asked, grouping: Grouping, view: View) -> Question:
    """Return the question that groups are made of. Raises `InvalidParameter`, `UnknownColumn`."""
    question = resolve(replace(asked, sort=()), view)
    _check_grouping(grouping, view.by_name)
    return replace(question, order=_group_order(asked.sort, grouping))


def fingerprint(asked: Asked, view: View) -> str:
    """Return what binds a cursor to a view, a sort and filters; empty for all records as they stand."""
    if not (asked.filters or asked.sort or view.fingerprint):
        return ""
    text = "\0".join((view.fingerprint, *replace(asked, facets=()).normalised))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=9).hexdigest()


def _order(name: str, columns: Mapping[str, Column]) -> Order:
    """Return what a name in `sort` means; a column of that exact name wins over a `-` in front of another."""
    if name in columns or name[:1] != "-":
        return Order(column_of("sort", name, columns).name)
    return Order(column_of("sort", name[1:], columns).name, descending=True)


def _distinct(order: tuple[Order, ...]) -> tuple[Order, ...]:
    if len({each.column for each in order}) != len(order):
        raise InvalidParameter("sort", "'sort' names a column twice.")
    return order


def _check_grouping(grouping: Grouping, columns: Mapping[str, Column]) -> None:
    for name in grouping.group:
        column_of("group", name, columns)
    for measure in grouping.measures:
        if measure.column is None:
            continue
        column = column_of(measure.aggregate, measure.column, columns)
        if measure.aggregate in _OF_NUMBERS and column.type not in _NUMERIC:
            raise InvalidParameter(
                measure.aggregate,
                f"{measure.aggregate.value!r} is of numbers; {column.name!r} is of type {column.type}.",
                valid=[name for name, each in columns.items() if each.type in _NUMERIC],
            )
    names = [*grouping.group, *(measure.name for measure in grouping.measures)]
    for name in names:
        if names.count(name) > 1:
            raise InvalidParameter("group", f"The answer would have {name!r} twice; leave one out.")


def _group_order(sort: Sequence[str], grouping: Grouping) -> tuple[Order, ...]:
    """Return the order of groups: by what they are grouped by, or by measures."""
    names = [*grouping.group, *(measure.name for measure in grouping.measures)]
    order = []
    for name in sort:
        descending = name not in names and name[:1] == "-"
        column = name[1:] if descending else name
        if column not in names:
            raise InvalidParameter("sort", f"There is no {column[:200]!r} in the answer.", valid=names)
        order.append(Order(column, descending))
    return _distinct(tuple(order))


async def _outline(snapshot: EngineSnapshot, question: Question, window: Window) -> Matched:
    """Return the numbers of a selection that streams, and the place where it ends if more follow."""
    matched = await snapshot.match(question, replace(window, limit=None), records=False)
    if window.limit is None or matched.start + window.limit >= matched.count:
        return matched
    last = Window(start=matched.start + window.limit - 1, limit=1)
    return replace(matched, last=(await snapshot.match(question, last, records=False)).last, more=True)


async def _facets(
    snapshot: EngineSnapshot, question: Question, names: Sequence[str]
) -> tuple[dict[str, Sequence[tuple[Any, int]]], list[str]]:
    facets, truncated = {}, []
    for name in names:
        facets[name], more = await snapshot.facet(question, name, MAX_FACET_VALUES)
        if more:
            truncated.append(name)
    return facets, truncated


def _next(dataset: Dataset, matched: Matched, place: str) -> Cursor | None:
    if not matched.more or matched.last is None:
        return None
    return Cursor(dataset.generation, matched.last.position, place, matched.last.keys)
