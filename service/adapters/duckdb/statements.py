"""Questions as SQL statements over a snapshot's table."""

# ruff: noqa: S608 - names are ours (c0, s1.t); whatever a client sends is a bound parameter

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.adapters.duckdb.columns import sql_type
from service.adapters.duckdb.expressions import (
    Bound,
    Columns,
    Expression,
    behind_condition,
    condition,
    order_terms,
)
from service.domain.columns import ColumnType
from service.ports.engine import Aggregate, Behind, Measure, Order, Question, Window


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL and the values of its parameters."""

    sql: str
    values: list[Any]


@dataclass(frozen=True, slots=True)
class Relation:
    """What questions are asked of: a table as far as a position (None: all of it), and its columns."""

    sql: str
    end: int | None
    columns: Columns

    def where(self, question: Question, bound: Bound, behind: Behind | None = None) -> str:
        """Return the WHERE clause of the matching records (behind a place)."""
        terms = [] if self.end is None else [f"p < {bound(self.end)}"]
        terms += condition(question.filters, self.columns, bound)
        if behind is not None:
            terms.append(behind_condition(question, behind, self.columns, bound))
        return "WHERE " + " AND ".join(terms) if terms else ""

    def rows(self, question: Question, window: Window, select: str, bound: Bound) -> Statement:
        """Return the statement that selects something of each of the window's records, in order."""
        where = self.where(question, bound, window.behind)
        terms = order_terms(question.order, self.columns)
        # Rows stand in the order of their positions, and DuckDB keeps it where no other is asked for.
        order = f" ORDER BY {', '.join([*terms, 'p'])}" if terms else ""
        limit = "" if window.limit is None else f" LIMIT {int(window.limit)}"
        offset = f" OFFSET {int(window.start)}" if window.start and window.behind is None else ""
        return Statement(f"SELECT {select} FROM {self.sql} {where}{order}{limit}{offset}", bound.values)

    def page(self, question: Question, window: Window, *, records: bool, count: bool) -> Statement:
        """Return the statement of a page: position, sort keys, and the record or else its row number.

        With `count` a last row has, in place of the position, how many match; and where the window begins
        behind a place, a row before it how many of them stand behind that.
        """
        keys = [self.columns[each.column].sql for each in question.order]
        bound = Bound()
        page = self.rows(question, window, ", ".join(["p", *keys, "r" if records else "rowid"]), bound)
        if not count:
            return page
        # UNION ALL keeps the order of its parts, and of the rows in them.
        counted = self._counted(question, window.behind, bound, nulls=len(keys) + 1)
        return Statement(f"({page.sql}) UNION ALL {counted}", bound.values)

    def counts(self, question: Question, behind: Behind | None) -> Statement:
        """Return the statement that counts what matches: the last rows of `page` alone."""
        bound = Bound()
        return Statement(self._counted(question, behind, bound), bound.values)

    def _counted(self, question: Question, behind: Behind | None, bound: Bound, nulls: int = 0) -> str:
        where = self.where(question, bound)
        count = "count(*)"
        if behind is not None:
            place = behind_condition(question, behind, self.columns, bound)
            count = f"unnest([count(*) FILTER (WHERE {place}), count(*)])"
        return f"SELECT {count}{', NULL' * nulls} FROM {self.sql} {where}"

    def keys_at(self, question: Question, position: int) -> Statement:
        """Return the statement that reads the sort keys of the record at a position."""
        bound = Bound()
        keys = ", ".join(self.columns[each.column].sql for each in question.order)
        within = "" if self.end is None else f" AND p < {bound(self.end)}"
        where = f"WHERE p = {bound(position)}{within}"
        return Statement(f"SELECT {keys} FROM {self.sql} {where}", bound.values)

    def groups(
        self, question: Question, group: Sequence[str], measures: Sequence[Measure], limit: int, start: int
    ) -> Statement:
        """Return the statement of an aggregate: a row per group, its values first, then its measures."""
        bound = Bound()
        keys = [self.columns[name].shown(bound) for name in group]
        selected = [f"{sql} AS k{at}" for at, sql in enumerate(keys)]
        selected += [f"{self._measure(each, bound)} AS m{at}" for at, each in enumerate(measures)]
        where = self.where(Question(question.filters), bound)
        names = {name: f"k{at}" for at, name in enumerate(group)}
        names.update({each.name: f"m{at}" for at, each in enumerate(measures)})
        # What is shown of a time or of JSON does not sort as the values do.
        for name in group:
            if not self.columns[name].exact:
                names[name] = f"min({self.columns[name].sql})"
        order = self._group_order(question.order, names, group)
        grouping = f" GROUP BY {', '.join(str(at + 1) for at in range(len(keys)))}" if keys else ""
        return Statement(
            f"SELECT {', '.join(selected)} FROM {self.sql} {where}{grouping}{order} "
            f"LIMIT {int(limit)} OFFSET {int(start)}",
            bound.values,
        )

    def _group_order(self, order: Sequence[Order], names: dict[str, str], group: Sequence[str]) -> str:
        terms = [f"{names[each.column]} {'DESC' if each.descending else 'ASC'} NULLS LAST" for each in order]
        asked = {each.column for each in order}
        terms += [f"{names[name]} NULLS LAST" for name in group if name not in asked]
        # Times that are equal may be written in two ways.
        terms += [f"k{at} NULLS LAST" for at, name in enumerate(group) if not self.columns[name].exact]
        return f" ORDER BY {', '.join(terms)}" if group else ""

    def _measure(self, measure: Measure, bound: Bound) -> str:
        if measure.column is None:
            return "count(*)"
        expression = self.columns[measure.column]
        match measure.aggregate:
            case Aggregate.MIN | Aggregate.MAX if expression.column.type is ColumnType.TIMESTAMP:
                # The text of the earliest or latest time; of those written in two ways the least.
                pair = f"{{'k': {expression.sql}, 't': {expression.text(bound)}}}"
                chosen = f"{measure.aggregate.value}({pair}) FILTER (WHERE {expression.sql} IS NOT NULL)"
                return f"struct_extract({chosen}, 't')"
            case Aggregate.SUM | Aggregate.AVG:
                return _sum(measure.aggregate, expression)
            case Aggregate.MEDIAN if expression.wide:
                return f"median({_number(expression)})"
            case _:
                return f"{measure.aggregate.value}({expression.sql})"

    def facet(self, question: Question, name: str, limit: int) -> Statement:
        """Return the statement of a facet: values and how many records have each, most first."""
        bound = Bound()
        key = self.columns[name].shown(bound)
        where = self.where(Question(question.filters), bound)
        return Statement(
            f"SELECT {key} AS k, count(*) AS n FROM {self.sql} {where} "
            f"GROUP BY 1 ORDER BY n DESC, k NULLS LAST LIMIT {int(limit)}",
            bound.values,
        )


def _sum(aggregate: Aggregate, expression: Expression) -> str:
    """Return a sum or mean that does not depend on the order of the records: exact, or compensated."""
    if expression.column.type is ColumnType.INTEGER and not expression.wide:
        return f"{aggregate.value}({expression.sql})"
    function = "fsum" if aggregate is Aggregate.SUM else "favg"
    return f"{function}({_number(expression)})"


def _number(expression: Expression) -> str:
    """Return a numeric column as doubles."""
    if not expression.wide:
        return expression.sql
    # A key (see `wide_key`) says the sign first and has the digits, or their complement, behind the ninth.
    key = expression.sql
    digits = f"substr({key}, 10)"
    negative = f"-CAST(translate({digits}, '0123456789', '9876543210') AS {sql_type(ColumnType.NUMBER)})"
    return f"CASE WHEN {key}[1] = '0' THEN {negative} ELSE CAST({digits} AS DOUBLE) END"
