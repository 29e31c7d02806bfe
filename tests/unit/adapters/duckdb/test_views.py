"""Questions asked through a client's view: columns renamed, cast, mapped and given defaults."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from service.adapters.duckdb import DuckdbEngine
from service.domain.columns import Column, ColumnType
from service.ports.engine import (
    Aggregate,
    Derivation,
    Filter,
    Measure,
    Operator,
    Order,
    Question,
    Window,
)

from .conftest import Shelf

RECORDS = [
    {"n": 1, "t": "5", "j": [1], "d": "2020-01-01"},
    {"n": 20, "t": "x", "j": 7, "d": None},
    {"n": None, "t": "1e2", "j": {"a": 1}, "d": "2021-01-01"},
    {"n": 3, "t": "'", "j": "text"},
]
STORED = {
    "n": ColumnType.INTEGER,
    "t": ColumnType.STRING,
    "j": ColumnType.JSON,
    "d": ColumnType.DATE,
}


def seen(name: str, kind: ColumnType, source: str | None, *steps: tuple[str, Any]) -> Derivation:
    """Return a column of a view."""
    return Derivation(Column(name, kind), source, steps)


VIEW = (
    seen("number", ColumnType.INTEGER, "n"),
    seen("text", ColumnType.STRING, "n", ("cast", "string")),
    seen("whole", ColumnType.INTEGER, "t", ("cast", "integer")),
    seen("mapped", ColumnType.STRING, "t", ("map", {"x": "it's x", "'": ""})),
    seen("filled", ColumnType.INTEGER, "n", ("default", -1)),
    seen("flat", ColumnType.STRING, "j", ("cast", "string")),
    seen("said", ColumnType.BOOLEAN, None, ("default", True)),
    seen("nothing", ColumnType.EMPTY, None, ("default", None)),
    seen("day", ColumnType.DATE, "d"),
)


@pytest.mark.parametrize(
    ("column", "operator", "value", "expected"),
    [
        ("number", Operator.GT, 2, [1, 3]),
        ("text", Operator.GT, "2", [1, 3]),
        ("text", Operator.LT, "2", [0]),
        ("whole", Operator.NULL, False, [0]),
        ("whole", Operator.EQ, 5, [0]),
        ("mapped", Operator.EQ, "it's x", [1]),
        ("mapped", Operator.LIKE, "%e2", [2]),
        ("filled", Operator.LT, 0, [2]),
        ("flat", Operator.NULL, True, [0, 2]),
        ("flat", Operator.EQ, "7", [1]),
        ("said", Operator.EQ, True, [0, 1, 2, 3]),
        ("nothing", Operator.NULL, True, [0, 1, 2, 3]),
        ("day", Operator.LIKE, "2021-%", [2]),
    ],
)
async def test_filters_act_on_what_the_client_sees(
    engine: DuckdbEngine, shelf: Shelf, column: str, operator: Operator, value: Any, expected: list[int]
) -> None:
    """A condition on a derived column matches the records whose seen value meets it."""
    dataset = await shelf.load("some", RECORDS, **STORED)
    question = Question((Filter(column, operator, (value,)),), view=VIEW)
    async with engine.snapshot(dataset, shelf.source("some")) as snapshot:
        matched = await snapshot.match(question, Window(limit=10))
        stored = [record async for batch in shelf_records(shelf) for record in batch]
    assert [stored.index(record) for record in matched.records] == expected


async def test_sorts_and_groups_act_on_what_the_client_sees(engine: DuckdbEngine, shelf: Shelf) -> None:
    """Order, groups, measures and facets take seen values."""
    dataset = await shelf.load("some", RECORDS, **STORED)
    async with engine.snapshot(dataset, shelf.source("some")) as snapshot:
        rows, more = await snapshot.aggregate(
            Question(order=(Order("text", descending=True),), view=VIEW),
            group=("text",),
            measures=(Measure(Aggregate.SUM, "filled"), Measure(Aggregate.MAX, "whole")),
            limit=3,
        )
        facets, cut = await snapshot.facet(Question(view=VIEW), "said", 10)
    assert msgspec.json.decode(msgspec.json.encode(rows)) == [
        {"text": "3", "sum(filled)": 3, "max(whole)": None},
        {"text": "20", "sum(filled)": 20, "max(whole)": None},
        {"text": "1", "sum(filled)": 1, "max(whole)": 5},
    ]
    assert more
    assert facets == [(True, 4)]
    assert not cut


async def shelf_records(shelf: Shelf) -> Any:
    """Yield the stored records."""
    async with shelf.storage.datasets.snapshot("some") as held:
        async for found in held.scan():
            yield found.records
