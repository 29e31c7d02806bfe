"""Datasets as tables: every name, every type, fresh, of one revision, and never written."""

from __future__ import annotations

from typing import Any

import pytest

from service.domain.columns import Column, ColumnType
from service.domain.errors import QueryFailed
from service.ports.database import Database
from service.ports.engine import Derivation

from .conftest import Ask, Shelf
from .databases import DATABASES, Dialect

pytestmark = pytest.mark.parametrize(
    "entry", [name for name, entry in DATABASES.items() if entry.dialect.datasets], indirect=True
)


async def rows(ask: Ask, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a statement."""
    found = await ask(sql, list(parameters))
    assert found is not None
    return [tuple(row) for row in found.rows]


LANDINGS = (
    "name,id,mass (g),fell,found,seen\r\n"
    "Aachen,1,21,true,1880-01-01,2020-01-01T10:00:00Z\r\n"
    '"Björböle, ""B""",2,720.50,false,,\r\n'
)


async def test_columns_have_their_types(ask: Ask, shelf: Shelf, dialect: Dialect) -> None:
    """Numbers are numbers, an empty cell is null, and all else is text."""
    await shelf.csv("landings", LANDINGS)
    assert await rows(ask, 'select name, id, "mass (g)", fell, found, seen from landings order by id') == [
        ("Aachen", 1, 21, dialect.true, "1880-01-01", "2020-01-01T10:00:00Z"),
        ('Björböle, "B"', 2, 720.5, not dialect.true, None, None),
    ]


async def test_numbers_compare_as_numbers(ask: Ask, shelf: Shelf) -> None:
    """9 is less than 10, and what is null is neither."""
    await shelf.csv("landings", "id,m\n1,9\n2,10\n3,\n4,-1.5e3\n")
    assert await rows(ask, "select id from landings where m < 10 order by m") == [(4,), (1,)]
    assert await rows(ask, "select count(*) as n from landings where m is null") == [(1,)]


async def test_every_column_comes_in_order(ask: Ask, shelf: Shelf) -> None:
    """`*` is the columns of the dataset, and no other."""
    await shelf.csv("landings", "b,a\n1,2\n")
    found = await ask("select * from landings")
    assert found is not None
    assert (found.columns, tuple(found.rows[0])) == (("b", "a"), (1, 2))


async def test_records_are_counted(ask: Ask, shelf: Shelf) -> None:
    """Also where no column is asked for, and across tables."""
    await shelf.csv("landings", "a\n1\n2\n3\n")
    await shelf.csv("others", "a\n2\n3\n")
    assert await rows(ask, "select count(*) as n from landings") == [(3,)]
    assert await rows(ask, "select count(*) as n from landings, others") == [(6,)]
    joined = "select count(*) as n from landings join others on landings.a = others.a"
    assert await rows(ask, joined) == [(2,)]


@pytest.mark.parametrize("name", ["odd.name-1", "2024", "Select", "x" * 60])
async def test_a_dataset_of_any_name_is_there(ask: Ask, shelf: Shelf, name: str) -> None:
    """What is no word of SQL stands in quotes."""
    await shelf.csv(name, "a\n1\n")
    assert await rows(ask, f'select a from "{name}"') == [(1,)]


async def test_odd_columns_are_reached_under_their_names(ask: Ask, shelf: Shelf) -> None:
    """Blanks, quotes, unicode and words of SQL are names like any other."""
    names = ["mass (g)", 'a "quoted" one', "ж 😀", "select", "a'b", "back\\slash", "per%cent", "?1", "$x"]
    await shelf.records("landings", [{name: place for place, name in enumerate(names)}])
    columns = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
    assert await rows(ask, f"select {columns} from landings") == [tuple(range(len(names)))]


async def test_names_that_sql_cannot_bear_have_a_listed_alias(
    ask: Ask, database: Database, shelf: Shelf
) -> None:
    """Columns that differ only in case, or that have no name, are there under another, which is told."""
    await shelf.records("landings", [{"a": 1, "A": 2, "": 3, "b": 4}])
    found = await ask("select * from landings")
    assert found is not None
    aliases = (await database.aliases(shelf.tables)).get("landings", {})
    assert [aliases.get(name, name) for name in found.columns] == ["a", "A", "", "b"]
    assert tuple(found.rows[0]) == (1, 2, 3, 4)
    for alias, name in aliases.items():
        ((value,),) = await rows(ask, f'select "{alias}" from landings')
        assert value == {"a": 1, "A": 2, "": 3}[name]


async def test_names_that_need_none_have_no_alias(database: Database, shelf: Shelf) -> None:
    """Only what differs is listed."""
    await shelf.csv("landings", "a,mass (g)\n1,2\n")
    assert not {name: found for name, found in (await database.aliases(shelf.tables)).items() if found}


async def test_datasets_that_differ_in_case_are_both_there(
    ask: Ask, database: Database, shelf: Shelf
) -> None:
    """Where the database takes their names for one, the second has a listed alias."""
    await shelf.csv("Landings", "a\n1\n")
    await shelf.csv("landings", "a\n2\n")
    names = (await database.aliases(shelf.tables)).get("", {})
    table = {name: name for name in ("Landings", "landings")} | {name: alias for alias, name in names.items()}
    assert await rows(ask, f'select a from "{table["Landings"]}"') == [(1,)]
    assert await rows(ask, f'select a from "{table["landings"]}"') == [(2,)]


async def test_values_that_no_column_type_holds_keep_their_digits(ask: Ask, shelf: Shelf) -> None:
    """An integer beyond 64 bits loses no digit, and minus zero and what is beyond doubles do no harm."""
    await shelf.json("landings", '[{"i": 123456789012345678901234567890, "n": 1e400}, {"i": -0, "n": 1.5}]')
    found = await rows(ask, "select i, n from landings")
    assert str(found[0][0]) == "123456789012345678901234567890"
    assert (int(found[1][0]), found[1][1]) == (0, 1.5)


async def test_nested_values_are_their_json(ask: Ask, shelf: Shelf) -> None:
    """Arrays, objects and mixed values are text."""
    await shelf.json("landings", '[{"a": {"b": [1, "x"]}, "m": 1}, {"a": null, "m": "s"}]')
    found = await rows(ask, "select a, m from landings order by a is null")
    assert [str(value).replace(" ", "") for value in found[0]] == ['{"b":[1,"x"]}', "1"]
    assert found[1][0] is None
    assert found[1][1] in {"s", '"s"'}


async def test_2000_columns_are_there(ask: Ask, shelf: Shelf, dialect: Dialect) -> None:
    """The widest dataset is a table like any other, as far as the database has columns."""
    await shelf.csv("wide", ",".join(f"c{n}" for n in range(2000)) + "\n" + ",".join(map(str, range(2000))))
    last = dialect.columns - 1
    assert await rows(ask, f"select c0, c{last} from wide") == [(0, last)]


async def test_a_statement_sees_what_was_acknowledged_before_it(ask: Ask, shelf: Shelf) -> None:
    """Appends, new columns, a whole new generation and a deletion show at once."""
    await shelf.records("landings", [{"a": 1}])
    assert await rows(ask, "select count(*) as n from landings") == [(1,)]
    await shelf.append("landings", {"a": 2})
    assert await rows(ask, "select max(a) as m from landings") == [(2,)]
    await shelf.append("landings", {"a": 3, "b": "new"})
    assert await rows(ask, "select b from landings where a = 3") == [("new",)]
    await shelf.csv("landings", "c\nx\n")
    assert await rows(ask, "select * from landings") == [("x",)]
    await shelf.delete("landings")
    with pytest.raises(QueryFailed):
        await ask("select * from landings")


async def test_the_clients_view_is_shown(ask: Ask, shelf: Shelf, dialect: Dialect) -> None:
    """Columns are renamed, hidden, cast, mapped and given defaults as the client's day has them."""
    await shelf.records("landings", [{"a": "1", "b": "old", "h": 1, "r": 5}, {"a": "x", "b": None, "r": 6}])
    shelf.views["landings"] = (
        Derivation(Column("new name", ColumnType.INTEGER), "r"),
        Derivation(Column("a", ColumnType.INTEGER), "a", (("cast", "integer"),)),
        Derivation(Column("b", ColumnType.STRING), "b", (("map", {"old": "new"}),)),
        Derivation(Column("d", ColumnType.STRING), None, (("default", "given"),)),
        Derivation(Column("e", ColumnType.BOOLEAN), None, (("default", True),)),
    )
    found = await ask('select * from landings order by "new name"')
    assert found is not None
    assert found.columns == ("new name", "a", "b", "d", "e")
    assert [tuple(row) for row in found.rows] == [
        (5, 1, "new", "given", dialect.true),
        (6, None, None, "given", dialect.true),
    ]
    with pytest.raises(QueryFailed):
        await ask("select h from landings")


ATTEMPTS = (
    "insert into landings values (9)",
    "update landings set a = 9",
    "delete from landings",
    "drop table landings",
    "drop view landings",
    "alter table landings add column z integer",
    "alter table landings rename to gone",
    "create trigger t after insert on landings begin select 1; end",
    "create index i on landings (a)",
)


@pytest.mark.parametrize("sql", ATTEMPTS)
async def test_a_dataset_cannot_be_written(ask: Ask, shelf: Shelf, sql: str) -> None:
    """Not even by who may write."""
    await shelf.csv("landings", "a\n1\n")
    with pytest.raises(QueryFailed):
        await ask(sql, writing=True)
    assert await rows(ask, "select * from landings") == [(1,)]


@pytest.mark.parametrize("what", ["table landings (a integer)", "view landings as select 2 as a"])
async def test_nobody_takes_a_datasets_name(ask: Ask, shelf: Shelf, what: str) -> None:
    """A table of a client cannot stand in for a dataset."""
    await shelf.csv("landings", "a\n1\n")
    with pytest.raises(QueryFailed):
        await ask(f"create {what}", writing=True)
    assert await rows(ask, "select a from landings") == [(1,)]


async def test_a_dataset_comes_before_a_table_of_its_name(ask: Ask, shelf: Shelf, dialect: Dialect) -> None:
    """Also where the table was there first."""
    if dialect.writes:
        await ask("create table landings (a integer)", writing=True)
    await shelf.csv("landings", "a\n1\n")
    assert await rows(ask, "select a from landings") == [(1,)]
