"""What statements answer: rows or none, values as JSON has them, columns that can be told apart."""

from __future__ import annotations

from typing import Any

import pytest

from service.domain.errors import QueryFailed

from .conftest import Ask
from .databases import Dialect


async def test_rows_come_in_order_with_their_columns(ask: Ask) -> None:
    """A statement that has rows answers them."""
    found = await ask("select 1 as a, 'x' as b union all select 2, 'y' order by 1")
    assert found is not None
    assert (found.columns, [tuple(row) for row in found.rows]) == (("a", "b"), [(1, "x"), (2, "y")])
    assert not found.truncated


async def test_no_rows_are_rows_too(ask: Ask) -> None:
    """A statement that could have rows answers an empty list, and its columns."""
    found = await ask("select 1 as a where 1 = 0")
    assert found is not None
    assert (found.columns, list(found.rows)) == (("a",), [])


async def test_columns_of_one_name_are_told_apart(ask: Ask) -> None:
    """Each column has a name of its own, so none is lost in a JSON object."""
    found = await ask("select 1 as a, 2 as a, 3 as b, 4 as a")
    assert found is not None
    assert len(set(found.columns)) == 4
    assert (found.columns[0], found.columns[2]) == ("a", "b")
    assert tuple(found.rows[0]) == (1, 2, 3, 4)


@pytest.mark.parametrize("value", ["plain", "'; drop table t; --", "ж \U0001f600 \\ \" '", "", "a\nb\tc"])
async def test_a_parameter_is_bound_and_never_spliced(ask: Ask, dialect: Dialect, value: str) -> None:
    """A text comes back as it was sent, whatever it looks like."""
    found = await ask(f"select cast({dialect.place} as varchar(100)) as a", [value])
    assert found is not None
    assert tuple(found.rows[0]) == (value,)


async def test_a_number_is_bound_as_a_number(ask: Ask, dialect: Dialect) -> None:
    """A parameter takes part in arithmetic."""
    found = await ask(f"select 2 + {dialect.place} as a", [40])
    assert found is not None
    assert tuple(found.rows[0]) == (42,)


async def test_null_is_bound_as_null(ask: Ask, dialect: Dialect) -> None:
    """A parameter may be null."""
    found = await ask(f"select coalesce({dialect.place}, 5) as a", [None])
    assert found is not None
    assert tuple(found.rows[0]) == (5,)


async def test_names_of_parameters(ask: Ask, dialect: Dialect) -> None:
    """A database that knows names binds by them; any other says that it does not."""
    if dialect.named is None:
        with pytest.raises(QueryFailed):
            await ask("select 1 as a", {"name": 2})
        return
    found = await ask(f"select 1 + {dialect.named} as a", {"name": 2})
    assert found is not None
    assert tuple(found.rows[0]) == (3,)


async def test_parameters_must_be_as_many_as_are_wanted(ask: Ask, dialect: Dialect) -> None:
    """A parameter too few is an error, and so is one too many."""
    for parameters in ([], [1, 2]):
        with pytest.raises(QueryFailed):
            await ask(f"select 1 + {dialect.place} as a", parameters)


async def test_integers_are_exact(ask: Ask) -> None:
    """The largest integer of 64 bits loses no digit."""
    found = await ask("select 9223372036854775807 as a, -9223372036854775807 as b")
    assert found is not None
    assert tuple(found.rows[0]) == (9223372036854775807, -9223372036854775807)


async def test_a_null_is_a_null(ask: Ask) -> None:
    """Null comes as None."""
    found = await ask("select null as a")
    assert found is not None
    assert tuple(found.rows[0]) == (None,)


NOTHING = {
    "empty": "",
    "blank": " \n\t ",
    "a semicolon": ";",
    "a comment": "-- nothing",
    "a long comment": "/* nothing */",
}


@pytest.mark.parametrize("sql", NOTHING.values(), ids=NOTHING)
async def test_nothing_is_no_statement(ask: Ask, sql: str) -> None:
    """What has no statement in it is refused, so that nobody takes it for done."""
    with pytest.raises(QueryFailed):
        await ask(sql, writing=True)


@pytest.mark.parametrize(
    "sql", ["select 1 as a;", "select 1 as a -- end", "/* first */ select 1 as a ; /* end */"]
)
async def test_comments_and_an_end_do_no_harm(ask: Ask, sql: str) -> None:
    """One statement may end in a semicolon and have comments around it."""
    found = await ask(sql)
    assert found is not None
    assert tuple(found.rows[0]) == (1,)


WRONG = {
    "two statements": "select 1; select 2",
    "two statements on lines": "select 1;\nselect 2",
    "two statements and a comment": "select 1; /* ; */ select 2 --",
    "an unterminated text": "select 'a",
    "an unterminated name": 'select "a',
    "a zero": "select 1\0",
    "brackets without end": "select " + "(" * 100_000,
    "brackets of the other kind": "[" * 200_000,
    "no SQL": "¿qué?",
    "an unknown table": "select * from no_such_table_here",
    "an unknown function": "select no_such_function_here()",
}


@pytest.mark.parametrize("sql", WRONG.values(), ids=WRONG)
async def test_a_mistake_is_refused_in_the_databases_words(ask: Ask, sql: str) -> None:
    """What is no statement is refused, with words, and the next one is served."""
    with pytest.raises(QueryFailed) as refused:
        await ask(sql)
    assert refused.value.detail
    assert await ask("select 1 as a") is not None


async def test_a_mistake_has_its_place(ask: Ask) -> None:
    """The position of a wrong word is told as a character of the statement, from 1."""
    with pytest.raises(QueryFailed) as refused:
        await ask("select 1 as a\nfrmo where")
    position: Any = refused.value.members.get("position")
    assert position in {15, 20}, refused.value.detail
