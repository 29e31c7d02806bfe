"""`serial` is understood where it is the type of a primary key, and nowhere else."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from service.adapters.sqlite_child.serial import understood
from service.adapters.sqlite_child.tokens import tokens
from service.domain.errors import QueryFailed


def rewritten(sql: str) -> str:
    """Return the statement as SQLite gets it."""
    return understood(sql, list(tokens(sql)))


COUNTED = (
    "create table t (id serial primary key, b text)",
    "CREATE TABLE IF NOT EXISTS t (id SERIAL PRIMARY KEY)",
    "create table main.t (id bigserial not null primary key, b text default ('serial'))",
    'create table t (b text, "my id" smallserial, primary key ("my id"))',
    "create table t (id serial4, b int, constraint k primary key (ID))",
    "create table t -- (x serial)\n (/* serial */ id serial primary key asc)",
    "create table t (id serial constraint k primary key check (id > 0), check ((1) = 1))",
)


@pytest.mark.parametrize("sql", COUNTED)
def test_a_serial_primary_key_counts_by_itself(sql: str) -> None:
    """SQLite gives 1 and 2 to rows that name none."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(rewritten(sql))
        for number in (1, 2):
            assert (
                connection.execute("insert into t default values returning rowid, *").fetchone()[0] == number
            )
        (key,) = [row[1] for row in connection.execute("pragma table_info(t)") if row[5]]
        assert connection.execute(f'select "{key}" from t order by 1').fetchall() == [(1,), (2,)]


UNTOUCHED = (
    "select serial from t",
    "create table serial (serial text)",
    'create table t ("id serial" text, b "serial")',
    "create table t (a text default 'a serial primary key')",
    "create table t as select 1 as serial",
    "create index serial on t (serial)",
    "alter table t add column serial text",
    "alter table t rename to serial",
    "insert into t (serial) values ('serial')",
    "create view serial as select cast(1 as serial) as serial",
    "create table t (a int, serial)",
    "alter table t add",
    "create table t (",
    "create table t ()",
    "",
)


@pytest.mark.parametrize("sql", UNTOUCHED)
def test_the_word_elsewhere_stays(sql: str) -> None:
    """In names, texts and comments it is none of ours."""
    assert rewritten(sql) == sql


REFUSED = (
    ("create table t (a serial)", 19),
    ("create table t (id integer primary key, a serial)", 43),
    ("create table t (a serial, b serial, primary key (a, b))", 19),
    ("create table t (a serial primary key desc)", 19),
    ("create table t (a serial primary key) without rowid", 19),
    ("alter table t add column a serial", 28),
    ("alter table t add a bigserial", 21),
    ("create table t (a serial, primary key (a) on conflict ignore)", 19),
)


@pytest.mark.parametrize(("sql", "position"), REFUSED)
def test_a_serial_that_sqlite_would_not_count_is_refused(sql: str, position: int) -> None:
    """It would be null, silently; the error says what to do, and where."""
    with pytest.raises(QueryFailed) as refused:
        rewritten(sql)
    assert refused.value.members["position"] == position
    assert "primary key" in refused.value.detail
