"""What DuckDB answers: datasets as tables, values as JSON, parameters bound, errors with their place."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from service.adapters.duckdb_sql import DuckdbDatabase
from service.domain.columns import Column, ColumnType
from service.domain.errors import QueryFailed
from service.ports.database import Parameters
from service.ports.engine import Derivation

from .conftest import Ask, Shop

NUMBERS = {"n": ColumnType.INTEGER}


async def test_a_dataset_is_a_table_of_typed_columns(shop: Shop, ask: Ask) -> None:
    """Integers, numbers and booleans are DuckDB's own, an empty cell is null, all else text as it came."""
    kinds = list(ColumnType)
    columns = [
        Column(kind.value, kind, textual=kind not in {ColumnType.JSON, ColumnType.BOOLEAN}) for kind in kinds
    ]
    full = {
        "empty": "", "integer": "7", "number": "1.50", "boolean": True, "date": "2024-02-03",
        "timestamp": "2024-02-03 04:05:06.70+02:00", "string": "a'b", "json": {"a": [1.0, None]},
    }  # fmt: skip
    await shop.load(
        "all", [full, {kind.value: "" for kind in kinds if kind.value not in {"json", "boolean"}}], columns
    )
    found = await ask('select * from "all"')
    assert found.columns == tuple(kind.value for kind in kinds)
    assert found.rows[0] == (
        None, 7, 1.5, True, "2024-02-03", "2024-02-03 04:05:06.70+02:00", "a'b", '{"a":[1.0,null]}',
    )  # fmt: skip
    assert set(found.rows[1]) == {None}
    described = {name: kind for name, kind, *_ in (await ask('describe "all"')).rows}
    assert [described[name] for name in ("integer", "number", "boolean", "date")] == [
        "BIGINT",
        "DOUBLE",
        "BOOLEAN",
        "VARCHAR",
    ]


async def test_rows_stand_in_the_order_of_their_positions(shop: Shop, ask: Ask) -> None:
    """Without ORDER BY the records come as they were loaded."""
    await shop.load("data", [{"n": (at * 7919) % 5000} for at in range(5000)], NUMBERS)
    found = await ask("select n from data")
    assert [row[0] for row in found.rows] == [(at * 7919) % 5000 for at in range(1000)]
    assert found.truncated


@pytest.mark.parametrize(
    ("big", "shown"),
    [(1 << 70, Decimal(1 << 70)), (-(1 << 100), Decimal(-(1 << 100))), (10**60, str(10**60))],
)
async def test_integers_beyond_64_bits_are_exact(shop: Shop, ask: Ask, big: int, shown: object) -> None:
    """They are numbers where DuckDB has such integers, and else their digits."""
    await shop.load("data", [f'{{"n":{big}}}'.encode(), b'{"n":1}', b"{}"], NUMBERS)
    found = await ask("select n from data")
    assert found.rows[0] == (shown,)
    assert found.rows[2] == (None,)


async def test_a_view_shows_the_columns_of_its_day(shop: Shop, ask: Ask) -> None:
    """Renamed, cast, hidden and added columns are those of the client; the others are not there."""
    await shop.load(
        "data", [{"n": 1, "secret": "x"}, {"n": 2, "secret": "y"}], NUMBERS | {"secret": ColumnType.STRING}
    )
    shop.views["data"] = (
        Derivation(Column("number", ColumnType.INTEGER), "n"),
        Derivation(Column("text", ColumnType.STRING), "n", (("map", {"1": "one"}),)),
        Derivation(Column("added", ColumnType.INTEGER), None, (("default", 5),)),
    )
    found = await ask("select * from data")
    assert (found.columns, found.rows) == (("number", "text", "added"), [(1, "one", 5), (2, "2", 5)])
    with pytest.raises(QueryFailed, match="secret"):
        await ask("select secret from data")


async def test_an_append_is_seen_by_the_next_statement(shop: Shop, ask: Ask) -> None:
    """Each statement sees the datasets as they are when it begins."""
    dataset = await shop.load("data", [{"n": 1}], NUMBERS)
    assert (await ask("select count(*) from data")).rows == [(1,)]
    await shop.append(dataset, {"n": 2})
    assert (await ask("select count(*) from data")).rows == [(2,)]


async def test_a_dataset_without_columns_still_counts(shop: Shop, ask: Ask) -> None:
    """SQL knows no table without a column: it has one that holds nothing."""
    await shop.load("data", [{}, {}], {})
    assert (await ask("select count(*) from data")).rows == [(2,)]


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("170141183460469231731687303715884105727", Decimal(2**127 - 1)),
        ("18446744073709551615", 2**64 - 1),
        ("1.10::decimal(4,2)", Decimal("1.10")),
        ("'nan'::double", None),
        ("'-inf'::float", None),
        ("0.1::double", 0.1),
        ("date '2024-02-03'", "2024-02-03"),
        ("date '-0043-03-15'", "0044-03-15 (BC)"),
        ("timestamp '2024-02-03 04:05:06.5'", "2024-02-03T04:05:06.500000"),
        ("timestamptz '2024-02-03 04:05:06+02'", "2024-02-03T02:05:06+00:00"),
        ("time '04:05:06'", "04:05:06"),
        ("interval '2 days 3 hours 1 millisecond'", "P2DT10800.001000S"),
        ("interval '0 days'", "PT0S"),
        ("'ab\\xFF'::blob", "YWL/"),
        ("uuid '00000000-0000-0000-0000-000000000001'", "00000000-0000-0000-0000-000000000001"),
        ("[1, null, 3]", [1, None, 3]),
        ("{'a': 1.5::decimal(2,1), 'b': [date '2024-02-03']}", {"a": Decimal("1.5"), "b": ["2024-02-03"]}),
        ("map {1: 'x', 2: null}", {"1": "x", "2": None}),
        ("row(1, 'x')", [1, "x"]),
        ("'{\"a\": 1}'::json", '{"a": 1}'),
        ("'goo\\0se'", "goo\\0se"),
        ("true", True),
        ("null", None),
    ],
)
async def test_values_are_json(ask: Ask, sql: str, value: object) -> None:
    """Numbers are exact, dates and times ISO 8601, bytes Base64, lists and structs arrays and objects."""
    found = (await ask(f"select {sql} as value")).rows[0][0]
    assert (found, type(found)) == (value, type(value))


async def test_every_type_of_duckdb_has_an_answer(ask: Ask) -> None:
    """Also what is beyond the calendar of Python, and what nests."""
    found = await ask("from test_all_types()")
    assert len(found.rows) == 3
    assert len(found.columns) == len(set(found.columns)) > 50


async def test_columns_have_names_of_their_own(ask: Ask) -> None:
    """A name that is there already gets a number."""
    assert (await ask("select 1 as a, 2 as a, 3 as a_2, 4 as a")).columns == ("a", "a_3", "a_2", "a_4")


@pytest.mark.parametrize(
    ("sql", "parameters", "row"),
    [
        ("select ?, ?", [1, "x'; drop table data; --"], (1, "x'; drop table data; --")),
        ("select $2, $1", [1, None], (None, 1)),
        ("select $name || $other", {"name": "a", "other": "b"}, ("ab",)),
        ("select ?", [[1, 2.5]], ([1.0, 2.5],)),
        ("select ?", [{"a": True}], ({"a": True},)),
        ("select ?", [2**100], (Decimal(2**100),)),
    ],
)
async def test_parameters_are_bound(ask: Ask, sql: str, parameters: Parameters, row: Any) -> None:
    """By place and by name, JSON values of all kinds."""
    assert (await ask(sql, parameters)).rows == [row]


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("select ?, ?", [1]),
        ("select $a", {"b": 1}),
        ("select 1", [1]),
        ("select ?", {"a": 1}),
        ("select ? + $a", [1]),
    ],
)
async def test_parameters_that_do_not_fit_are_refused(ask: Ask, sql: str, parameters: Parameters) -> None:
    """Too few, too many, of another name or of two kinds: the reader says so and goes on."""
    with pytest.raises(QueryFailed):
        await ask(sql, parameters)
    assert (await ask("select 1")).rows == [(1,)]


@pytest.mark.parametrize(
    ("sql", "position", "words"),
    [
        ("select nosuch from data", 8, "nosuch"),
        ("selec 1", 1, "selec"),
        ("select 'é', nosuch from data", 13, "nosuch"),
        ("explain select nosuch from data", 16, "nosuch"),
        ("explain selec 1", 9, "selec"),
        ("select *\n  from nosuch", 17, "nosuch"),
        ("select cast('x' as int)", 8, "'x'"),
        ("select 'abc", 8, "unterminated"),
        ("select '\ud800'", 9, "half a character"),
        ("select 1\0", 9, "NUL"),
        ("select error('boom')", None, "boom"),
    ],
)
async def test_an_error_says_what_and_where(
    shop: Shop, ask: Ask, sql: str, position: int | None, words: str
) -> None:
    """The message is DuckDB's own, the position counts characters from 1."""
    await shop.load("data", [{"n": 1}], NUMBERS)
    with pytest.raises(QueryFailed, match=words) as caught:
        await ask(sql)
    assert caught.value.members.get("position") == position
    assert not {"{", "/"} & set(caught.value.detail)


async def test_rows_and_bytes_are_bounded(shop: Shop) -> None:
    """What was cut says so; a row too large by itself is refused."""
    async with shop.reader(max_rows=10, max_bytes=10_000) as reader:
        for rows, truncated in ((9, False), (10, False), (11, True), (100_000, True)):
            found = await shop.ask(reader, f"from range({rows})")
            assert (len(found.rows), found.truncated) == (min(rows, 10), truncated)
        found = await shop.ask(reader, "select repeat('x', 3000) from range(5)")
        assert (len(found.rows), found.truncated) == (3, True)
        with pytest.raises(QueryFailed, match="10000 bytes"):
            await shop.ask(reader, "select repeat('x', 10001)")


async def test_long_answers_come_in_many_pieces(shop: Shop) -> None:
    """All of 20,000 rows arrive, in order."""
    async with shop.reader(max_rows=20_000, max_bytes=8 << 20) as reader:
        found = await shop.ask(reader, "select range, repeat('x', 100) from range(20000)")
    assert [row[0] for row in found.rows] == list(range(20_000))


async def test_explain_and_listings_are_answered(shop: Shop, reader: DuckdbDatabase, ask: Ask) -> None:
    """SHOW, DESCRIBE, SUMMARIZE and information_schema know all datasets, also those that no statement named."""
    await shop.load("data", [{"n": 1}], NUMBERS)
    await shop.load("Other-1", [{"a": 1, "A": 2}], {"a": ColumnType.INTEGER, "A": ColumnType.NUMBER})
    await shop.load("empty", [], {})
    assert [row[0] for row in (await ask("show tables")).rows] == ["Other-1", "data", "empty"]
    columns = await ask(
        "select table_name, column_name, data_type from information_schema.columns where table_schema = 'main'"
        " and table_catalog = current_database() order by all"
    )
    assert columns.rows == [
        ("Other-1", "A_2", "DOUBLE"), ("Other-1", "a", "BIGINT"), ("data", "n", "BIGINT"), ("empty", "_", "VARCHAR"),
    ]  # fmt: skip
    joined = await ask(
        "select (select count(*) from data), count(*) from duckdb_tables() where not internal and table_name <> 't'"
    )
    assert joined.rows == [(1, 2)]
    assert (await ask("show data")).rows[0][:2] == ("n", "BIGINT")
    assert (await ask("select name, type from pragma_table_info('data')")).rows == [("n", "BIGINT")]
    assert (await ask("summarize data")).rows[0][0] == "n"
    assert "Seq Scan" in (await ask("explain select * from data")).rows[0][1]
    assert (await ask("explain analyze select * from data")).rows
    assert (await ask("pivot data on n in (1, 2) using count(*)")).rows == [(1, 0)]
