"""One revision of a dataset in columns: pages, streams, groups and files of what matches."""

# ruff: noqa: S608 - names are ours (c0, s1.t); whatever a client sends is a bound parameter

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from service.adapters.duckdb.columns import Stored, as_json, computed
from service.adapters.duckdb.connections import Database
from service.adapters.duckdb.expressions import Bound, Columns, key_of, no_place
from service.adapters.duckdb.files import database_file
from service.adapters.duckdb.parquet import parquet_file
from service.adapters.duckdb.statements import Relation, Statement
from service.adapters.duckdb.tables import Table
from service.domain.columns import ColumnType
from service.domain.datasets import Dataset
from service.domain.records import BATCH_BYTES
from service.ports.engine import Aggregate, Behind, Derivation, Matched, Measure, Question, Window

T = TypeVar("T")
Show = Callable[[Any], Any]

_MIN_BATCH, _MAX_BATCH = 1, 10_000


class DuckdbSnapshot:
    """A table as a revision sees it."""

    def __init__(self, database: Database, table: Table, dataset: Dataset, directory: Path) -> None:
        self.dataset = dataset
        self._database = database
        self._table = table
        self._directory = directory
        self._stored = {
            column.name: _as_of(column.type, table.columns[column.name]) for column in dataset.schema.columns
        }

    async def match(self, question: Question, window: Window, *, records: bool = True) -> Matched:
        """Return what matches."""
        return await self._asked(
            question, lambda cursor, relation: self._match(cursor, relation, question, window, records)
        )

    async def scan(self, question: Question, window: Window) -> AsyncGenerator[Sequence[bytes], None]:
        """Yield the window's canonical records in order."""
        relation = self._relation(question)
        async with self._database.stream() as lease:
            window = await lease.run(lambda cursor: self._placed(cursor, question, window))
            statement = relation.rows(question, window, "r", Bound())
            await lease.run(lambda cursor: self._database.execute(cursor, statement.sql, statement.values))
            size = self._batch_records()
            while rows := await lease.run(lambda cursor: cursor.fetchmany(size)):
                yield [row[0].encode() for row in rows]

    async def aggregate(
        self,
        question: Question,
        *,
        group: tuple[str, ...],
        measures: tuple[Measure, ...],
        limit: int,
        start: int = 0,
    ) -> tuple[Sequence[dict[str, Any]], bool]:
        """Return a row per group of the matching records."""
        rows = await self._asked(
            question,
            lambda cursor, relation: self._rows(
                cursor, relation.groups(question, group, measures, limit + 1, start)
            ),
        )
        relation = self._relation(question)
        shown = [(name, self._shown(relation, name)) for name in group]
        shown += [(each.name, self._measured(relation, each)) for each in measures]
        named = [
            {name: show(value) for (name, show), value in zip(shown, row, strict=True)}
            for row in rows[:limit]
        ]
        return named, len(rows) > limit

    async def facet(
        self, question: Question, column: str, limit: int
    ) -> tuple[Sequence[tuple[Any, int]], bool]:
        """Return a column's values with the number of matching records."""
        rows = await self._asked(
            question,
            lambda cursor, relation: self._rows(cursor, relation.facet(question, column, limit + 1)),
        )
        show = self._shown(self._relation(question), column)
        return [(show(value), count) for value, count in rows[:limit]], len(rows) > limit

    async def parquet(
        self, question: Question, window: Window, fields: tuple[str, ...], *, typed: bool
    ) -> AsyncGenerator[bytes, None]:
        """Yield a Parquet file of the window's records."""
        relation = self._relation(question)
        async with self._database.stream() as lease:
            window = await lease.run(lambda cursor: self._placed(cursor, question, window))
            file = parquet_file(lease, self._directory, relation, question, window, fields, typed=typed)
            async with aclosing(file):
                async for chunk in file:
                    yield chunk

    async def database_file(self, view: tuple[Derivation, ...] | None, start: int = 0) -> Path:
        """Write what a view shows of the records from a position on to a DuckDB file."""
        question = Question(view=view)
        window = Window(behind=Behind(None, start - 1))
        async with self._database.stream() as lease:
            return await database_file(lease, self._directory, self._relation(question), question, window)

    async def _asked(self, question: Question, work: Callable[[duckdb.DuckDBPyConnection, Relation], T]) -> T:
        """Return what comes of work on the table as the revision sees it.

        To leave out what was appended since takes a fifth of the time of a page; mostly there is nothing.
        """
        table, growths = self._table, self._table.growths
        if table.end == self.dataset.next_position and not table.growing:
            whole = replace(self._relation(question), end=None)
            found = await self._database.run(lambda cursor: work(cursor, whole))
            if table.growths == growths:
                return found
        relation = self._relation(question)
        return await self._database.run(lambda cursor: work(cursor, relation))

    def _relation(self, question: Question) -> Relation:
        return Relation(self._table.sql, self.dataset.next_position, Columns(self._stored, question.view))

    def _match(
        self,
        cursor: duckdb.DuckDBPyConnection,
        relation: Relation,
        question: Question,
        window: Window,
        records: bool,
    ) -> Matched:
        window = self._placed(cursor, question, window)
        limit, behind = window.limit, window.behind
        # Without filters and a place all is known already.
        known = not question.filters and behind is None
        if limit is None:
            counts = [] if known else self._rows(cursor, relation.counts(question, behind))
            count, start = self._counted(counts, window)
            return Matched(count, start, (), None, more=False)
        # Sorting drags the records along: sort without them, then fetch those that are wanted.
        direct = records and not question.order
        wider = replace(window, limit=limit + 1)
        rows = self._rows(cursor, relation.page(question, wider, records=direct, count=not known))
        extra = 0 if known else 1 if behind is None else 2
        count, start = self._counted(rows[len(rows) - extra :], window)
        del rows[len(rows) - extra :]
        more = len(rows) > limit
        del rows[limit:]
        last = Behind(tuple(map(key_of, rows[-1][1:-1])), rows[-1][0]) if rows else None
        found: Sequence[bytes] = ()
        if direct:
            found = [row[-1].encode() for row in rows]
        elif records:
            found = self._records(cursor, [row[-1] for row in rows])
        return Matched(count, start, found, last, more)

    def _counted(self, counts: Sequence[tuple[Any, ...]], window: Window) -> tuple[int, int]:
        """Return how many match, and the rank of the window's first."""
        count = counts[-1][0] if counts else self.dataset.count
        return count, window.start if window.behind is None else count - counts[0][0]

    def _records(self, cursor: duckdb.DuckDBPyConnection, wanted: Sequence[int]) -> Sequence[bytes]:
        """Return the records in rows of these numbers."""
        if not wanted:
            return ()
        sql = f"SELECT rowid, r FROM {self._table.sql} WHERE rowid IN (SELECT unnest($1))"
        found = dict(self._rows(cursor, Statement(sql, [wanted])))
        return [found[row].encode() for row in wanted]

    def _placed(self, cursor: duckdb.DuckDBPyConnection, question: Question, window: Window) -> Window:
        """Return the window with the sort keys of the place that it begins behind. Raises `InvalidCursor`."""
        behind = window.behind
        if behind is None or not question.order:
            return window
        if behind.keys is None:
            found = self._rows(cursor, self._relation(question).keys_at(question, behind.position))
            if not found:
                raise no_place()
            return replace(window, behind=Behind(tuple(map(key_of, found[0])), behind.position))
        if len(behind.keys) != len(question.order):
            raise no_place()
        return window

    def _rows(self, cursor: duckdb.DuckDBPyConnection, statement: Statement) -> list[tuple[Any, ...]]:
        return self._database.execute(cursor, statement.sql, statement.values).fetchall()

    def _batch_records(self) -> int:
        average = self.dataset.size_bytes // max(self.dataset.count, 1)
        return min(max(BATCH_BYTES // max(average, 1), _MIN_BATCH), _MAX_BATCH)

    @staticmethod
    def _shown(relation: Relation, name: str) -> Show:
        """Return what makes JSON of a column's values."""
        expression = relation.columns[name]
        return partial(as_json, kind=expression.column.type, wide=expression.wide)

    @staticmethod
    def _measured(relation: Relation, measure: Measure) -> Show:
        """Return what makes JSON of a measure's values."""
        if measure.column is None or measure.aggregate not in {Aggregate.MIN, Aggregate.MAX}:
            return computed
        return partial(as_json, kind=ColumnType.STRING, wide=relation.columns[measure.column].wide)


def _as_of(kind: ColumnType, stored: Stored) -> Stored:
    """Return a column as a revision knew it: one that had no value yet may have got a type since."""
    if kind is ColumnType.EMPTY and stored.column.type is not kind:
        return Stored(replace(stored.column, type=kind), "CAST(NULL AS VARCHAR)")
    return stored
