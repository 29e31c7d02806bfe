"""Datasets are views, made when they are needed, in the columns of the client's day."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import date
from functools import partial
from typing import Any

import asyncpg
import pytest

from service.adapters.postgres import PostgresStorage
from service.adapters.postgres_sql import PostgresDatabase
from service.domain.columns import Column, ColumnType
from service.domain.datasets import Schema
from service.domain.errors import Busy, QueryFailed
from service.domain.records import Batch
from service.ports.database import Table
from service.ports.engine import Derivation
from service.usecases.views import Views, shown
from tests.contract.steps import load
from tests.waiting import PATIENCE_S

from .conftest import BOUNDS, Client, in_turn


class Shelf(Client):
    """A client beside a storage, who sees datasets as of a day."""

    def __init__(self, database: PostgresDatabase, storage: PostgresStorage, day: date | None = None) -> None:
        super().__init__(database)
        self.storage = storage
        self.day = day
        self._views = Views()

    async def put(
        self, name: str, columns: Sequence[Column], *records: Any, changes: Sequence[dict[str, Any]] = ()
    ) -> None:
        """Replace a dataset by records (JSON values, or bytes as they are)."""
        encoded = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in records]
        schema = Schema(tuple(columns), changes=tuple(changes))
        await load(self.storage, Batch(encoded), name=name, schema=schema)

    async def _tables(self) -> Sequence[Table]:
        found = await self.storage.datasets.datasets()
        return [Table(each, self._views.of(each, self.day).derivations) for each in found]


def texts(*names: str) -> list[Column]:
    """Return columns of JSON texts."""
    return [Column(name, ColumnType.STRING) for name in names]


@pytest.fixture
async def database(url: str) -> AsyncIterator[PostgresDatabase]:
    """Give the database that the storage is in, too."""
    async with PostgresDatabase(url, BOUNDS, shows_datasets=True, timeout_s=PATIENCE_S) as opened:
        yield opened


@pytest.fixture
async def shelf(database: PostgresDatabase, storage: PostgresStorage) -> Shelf:
    """Give a client beside the storage."""
    return Shelf(database, storage)


async def test_names_are_cut_where_postgresql_cuts_them(shelf: Shelf) -> None:
    """A long name is found by its whole text; what is not found so has a listed alias."""
    long, same = "ж" * 40, "x" * 63
    names = [long, same + "1", same + "2", "", "tab\tle", 'q"', "nul\0", "xmin", "column_4"]
    await shelf.put("d", texts(*names), {name: f"value {at}" for at, name in enumerate(names)})
    found = await shelf.run("select * from d", writing=False)
    assert found is not None
    aliases = (await shelf.aliases())["d"]
    assert [aliases.get(column, column) for column in found.columns] == names
    assert found.rows[0] == tuple(f"value {at}" for at in range(len(names)))
    assert await shelf.one(f'select "{long}" from d') == "value 0"
    assert await shelf.one(f'select "{same}1" from d') == "value 1"


async def test_long_names_of_datasets_are_cut_too(shelf: Shelf) -> None:
    """Two that begin alike are both there, under names that are told."""
    first, second = "d" * 64 + "1", "d" * 64 + "2"
    await shelf.put(first, texts("a"), {"a": "first"})
    await shelf.put(second, texts("a"), {"a": "second"})
    names = {name: alias for alias, name in (await shelf.aliases())[""].items()}
    assert await shelf.one(f'select a from "{names[first]}"') == "first"
    assert await shelf.one(f'select a from "{names[second]}"') == "second"


async def test_zero_characters_do_no_harm(shelf: Shelf) -> None:
    """A text with U+0000, which PostgreSQL cannot hold, has the replacement character instead."""
    record = rb'{"a": "\u0000x\u0000\u0000", "b": "\\u0000", "c": "\\\u0000\\\\u0000", "\u0000": "key"}'
    await shelf.put("d", texts("a", "b", "c", "\0"), record, {"a": "plain"})
    rows = await shelf.read("select * from d")
    assert rows[0] == ("\ufffdx\ufffd\ufffd", "\\u0000", "\\\ufffd\\\\u0000", "key")
    assert rows[1] == ("plain", None, None, None)


async def test_numbers_beyond_their_types_do_no_harm(shelf: Shelf) -> None:
    """No value fails the whole table: what a double cannot hold is zero or infinite, which is null."""
    columns = [Column("n", ColumnType.NUMBER), Column("i", ColumnType.INTEGER)]
    numbers = ["1e400", "-1e400", "1e-400", "9" * 400, "0." + "0" * 400 + "1", "-0", "1.5E2", "-0e-999"]
    await shelf.put("d", columns, *(b'{"n": %s, "i": 1}' % number.encode() for number in numbers))
    await shelf.put("e", columns, b'{"i": %s}' % (b"9" * 131_072), b'{"i": %s}' % (b"9" * 131_073))
    assert [row[0] for row in await shelf.read("select n from d")] == [None, None, 0, None, 0, 0, 150, 0]
    assert await shelf.one("select count(*) from d where n = 'Infinity'") == 2
    assert await shelf.read("select length(i::text) from e") == [(131_072,), (None,)]


async def test_cells_of_text_are_typed(shelf: Shelf) -> None:
    """A CSV's cells are numbers and booleans, empty ones null; arrays and objects are JSON text."""
    kinds = (ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.BOOLEAN, ColumnType.STRING, ColumnType.DATE)
    columns = [Column(kind.value, kind, textual=True) for kind in kinds]
    columns += [Column("json", ColumnType.JSON), Column("empty")]
    cells = {"integer": "7", "number": "1.50", "boolean": "true", "string": "x", "date": "2026-02-28"}
    await shelf.put("d", columns, cells | {"json": {"a": [1]}}, dict.fromkeys(cells, "") | {"json": "text"})
    assert await shelf.read("select * from d") == [
        (7, 1.5, True, "x", "2026-02-28", '{"a": [1]}', None),
        (None, None, None, None, None, "text", None),
    ]
    types = (
        "select pg_typeof(integer)::text, pg_typeof(number)::text, pg_typeof(boolean)::text from d limit 1"
    )
    assert await shelf.read(types) == [("numeric", "double precision", "boolean")]


async def test_more_columns_than_postgresql_has_are_not_seen(shelf: Shelf) -> None:
    """Of 2,000 columns the first 1,600 are there, all at once, too."""
    columns = [Column(f"c{at}", ColumnType.INTEGER) for at in range(2000)]
    await shelf.put("d", columns, {f"c{at}": at for at in range(2000)})
    assert await shelf.read("select * from d") == [tuple(range(1600))]
    with pytest.raises(QueryFailed, match="c1600"):
        await shelf.run("select c1600 from d")


CHANGES = [
    {
        "date": "2026-01-01",
        "description": "Names and kinds",
        "operations": [
            {"op": "rename", "from": "mass (g)", "to": "mass"},
            {"op": "cast", "column": "mass", "to": "integer", "lossy": True},
            {"op": "map", "column": "kind", "values": {"old": "new", "it's": '"quoted"'}},
        ],
    },
    {
        "date": "2026-02-01",
        "description": "More",
        "operations": [
            {"op": "hide", "column": "secret"},
            {"op": "add", "column": "certain", "value": True},
            {"op": "cast", "column": "kind", "to": "boolean", "lossy": True},
            {"op": "cast", "column": "any", "to": "number", "lossy": True},
        ],
    },
]
COLUMNS = [
    Column("mass (g)", ColumnType.STRING, textual=True),
    Column("kind", ColumnType.STRING, textual=True),
    Column("secret", ColumnType.INTEGER),
    Column("any", ColumnType.JSON),
    Column("certain", ColumnType.BOOLEAN),
]
RECORDS = [
    {"mass (g)": "21", "kind": "old", "secret": 1, "any": 5},
    {"mass (g)": "720.5", "kind": "true", "secret": 2, "any": [5]},
    {"mass (g)": "", "kind": "", "any": "1.5"},
    {"mass (g)": "007", "kind": "it's", "secret": None, "any": {"a": 1}, "certain": False},
    {"any": None, "certain": None},
]


@pytest.mark.parametrize("day", [None, date(2026, 1, 15), date(2026, 3, 1)])
async def test_a_client_sees_the_columns_of_its_day(shelf: Shelf, day: date | None) -> None:
    """What SQL shows is what the other answers show of the same day, value by value."""
    shelf.day = day
    await shelf.put("d", COLUMNS, *RECORDS, changes=CHANGES)
    (dataset,) = await shelf.storage.datasets.datasets()
    view = Views().of(dataset, day)
    found = await shelf.run("select * from d", writing=False)
    assert found is not None
    assert found.columns == tuple(column.name for column in view.columns)
    for row, record in zip(found.rows, RECORDS, strict=True):
        seen = json.loads(shown(view, json.dumps(record).encode()))
        expected = tuple(_typed(seen.get(column.name), column) for column in view.columns)
        assert row == expected, record


def _typed(value: Any, column: Column) -> Any:
    """Return a shown value as SQL has it."""
    if value is None or (value == "" and column.textual):
        return None
    if isinstance(value, str) and column.type in {ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.BOOLEAN}:
        return json.loads(value)
    if column.type is ColumnType.JSON:
        return value if isinstance(value, str) else json.dumps(value)
    return value


async def test_clients_of_different_days_do_not_disturb_each_other(
    database: PostgresDatabase, shelf: Shelf, storage: PostgresStorage
) -> None:
    """At the same time each sees the columns of its own day."""
    await shelf.put("d", COLUMNS, *RECORDS, changes=CHANGES)
    days = [None, date(2026, 1, 15), date(2026, 3, 1)]
    clients = [Shelf(database, storage, day) for day in days for _ in range(4)]
    found = await asyncio.gather(*(client.run("select * from d limit 0") for client in clients))
    columns = [rows.columns for rows in found if rows is not None]
    assert columns == [columns[at // 4 * 4] for at in range(12)]
    assert len(set(columns)) == 3


async def test_many_steps_on_a_column_stay_small(shelf: Shelf, database: PostgresDatabase) -> None:
    """A column that was changed forty times is one expression of forty steps."""
    steps = tuple(("map", {str(at): str(at + 1)}) for at in range(40))
    await shelf.put("d", texts("a"), {"a": "0"})
    (dataset,) = await shelf.storage.datasets.datasets()
    table = Table(dataset, (Derivation(Column("b", ColumnType.STRING), "a", steps),))
    assert await Client(database, table).one("select b from d") == "40"


async def test_replicas_agree_on_the_views(url: str, shelf: Shelf, storage: PostgresStorage) -> None:
    """Several processes that make them at the same time, and again after each change, end with the same."""
    replicas = [PostgresDatabase(url, BOUNDS, shows_datasets=True, timeout_s=PATIENCE_S) for _ in range(4)]
    for turn in range(3):
        await shelf.put("d", texts("a", f"b{turn}"), {"a": "x", f"b{turn}": "y"})
        asks = [partial(Shelf(replica, storage).run, "select * from d") for replica in replicas]
        for found in await asyncio.gather(*map(in_turn, asks)):
            assert found is not None
            assert found.columns == ("a", f"b{turn}")
    for replica in replicas:
        await replica.__aexit__()


async def test_nothing_is_done_where_nothing_changed(shelf: Shelf, superuser: asyncpg.Connection) -> None:
    """Appends and new generations with the same columns need no new views."""
    await shelf.put("d", texts("a"), {"a": "x"})
    await shelf.read("select * from d")
    made = await superuser.fetchval("select 'datasets.d'::regclass::oid")
    await shelf.put("d", texts("a"), {"a": "y"}, {"a": "z"})
    assert await shelf.read("select * from d") == [("y",), ("z",)]
    assert await superuser.fetchval("select 'datasets.d'::regclass::oid") == made


async def test_views_of_what_is_gone_are_dropped(shelf: Shelf, superuser: asyncpg.Connection) -> None:
    """A dataset that was deleted, and the columns of other days of one that changed, leave nothing."""
    shelf.day = date(2026, 3, 1)
    await shelf.put("d", COLUMNS, *RECORDS, changes=CHANGES)
    await shelf.put("e", texts("a"), {"a": "x"})
    await shelf.read("select * from d, e")
    await shelf.put("d", texts("a"), {"a": "x"})
    await shelf.storage.datasets.delete("e")
    await shelf.read("select * from d")
    views = "select schemaname, viewname from pg_views where viewowner = current_user and schemaname !~ '^pg_|^info'"
    assert [tuple(row) for row in await superuser.fetch(views)] == [("datasets", "d")]
    assert await superuser.fetchval("select count(*) from pg_namespace where nspname like '%@%'") == 0


async def test_a_clients_view_of_a_dataset_outlives_its_columns(shelf: Shelf) -> None:
    """What a client has made of a dataset stays as it was when the dataset's columns change."""
    await shelf.put("d", texts("a", "b"), {"a": "x", "b": "y"})
    await shelf.run("create view mine as select a, b from d")
    await shelf.put("d", texts("b"), {"b": "z"})
    assert await shelf.read("select * from d") == [("z",)]
    assert await shelf.read("select * from mine") == [(None, "z")]
    await shelf.run("drop view mine")
    await shelf.put("d", texts("c"), {"c": "z"})
    assert await shelf.read("select * from d") == [("z",)]


async def test_a_view_that_is_in_use_is_busy(shelf: Shelf, superuser: asyncpg.Connection) -> None:
    """Columns that cannot be changed while somebody reads them are waited for, and not for long."""
    await shelf.put("d", texts("a"), {"a": "x"})
    await shelf.read("select * from d")
    async with superuser.transaction():
        await superuser.execute("lock table datasets.d in access share mode")
        await shelf.put("d", texts("b"), {"b": "x"})
        with pytest.raises(Busy):
            await shelf.read("select * from d")
    assert await shelf.read("select b from d") == [("x",)]


async def test_no_function_of_a_client_sees_other_rows(shelf: Shelf, superuser: asyncpg.Connection) -> None:
    """However cheap it says it is, it is called for the dataset's rows only."""
    await shelf.put("d", texts("a"), {"a": "mine"})
    await shelf.put("e", texts("a"), {"a": "another's"})
    await shelf.put("d", texts("a"), {"a": "new"})  # what was replaced is still stored for a while
    await shelf.run("create table seen (a text)")
    await shelf.run("""
        create function spy(a text) returns boolean language plpgsql cost 0.0000001 as $$ begin
            insert into sql.seen values (a); return true;
        end $$""")
    await superuser.execute("analyze aerolite.records, aerolite.datasets")
    assert await shelf.run("select * from d where spy(a)") is not None
    assert await shelf.read("select * from seen") == [("new",)]


async def test_an_odd_record_is_one_row(shelf: Shelf) -> None:
    """A record without members is a row of nulls; a dataset without columns is no table yet."""
    await shelf.put("d", texts("a"), {})
    await shelf.put("e", [], {})
    assert await shelf.read("select * from d") == [(None,)]
    with pytest.raises(QueryFailed, match='"e" does not exist'):
        await shelf.run("select * from e")


async def test_many_datasets_are_shown(shelf: Shelf) -> None:
    """More than one transaction's worth of views is made before the first statement."""
    for number in range(250):
        await shelf.put(f"d{number}", texts("a"), {"a": str(number)})
    shown_now = "select count(*) from information_schema.views where table_schema = 'datasets'"
    assert await shelf.one(shown_now) == 250
    assert await shelf.one("select a from d249") == "249"
