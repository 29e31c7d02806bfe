"""Clients' SQL in PostgreSQL: what can be known without a server."""

from __future__ import annotations

import pytest

from service.adapters.postgres_sql.names import MAX_BYTES, sql_names
from service.adapters.postgres_sql.role import Role
from service.adapters.postgres_sql.statements import kind_of
from service.domain.errors import QueryFailed

KINDS = {
    "select 1": "SELECT",
    " \t\r\n\f((values (1)))": "VALUES",
    "-- a\n-- b\rwith x as (select 1) table x": "WITH",
    "/* /* ; */ begin */ /**/ insert into t values (1)": "INSERT",
    ";; update t set a = 1": "UPDATE",
    "'no word'": "",
    "": "",
    "/* never ends": "",
    "/* /* */ select": "",
}


@pytest.mark.parametrize(("sql", "kind"), KINDS.items())
def test_the_first_word_tells_the_kind(sql: str, kind: str) -> None:
    """Blanks, comments (nested ones, too), brackets and empty statements come before it."""
    assert kind_of(sql) == kind


REFUSED = {
    "begin": 1,
    "/**/commit": 5,
    "--\rrollback": 4,
    "SET x = 1": 1,
    "\ufeffselect 1": 1,
    "selec 1": 1,
    "copy t from stdin": 1,
    "select '\0'": 9,
}


@pytest.mark.parametrize(("sql", "position"), REFUSED.items())
def test_other_kinds_are_refused_where_they_stand(sql: str, position: int) -> None:
    """The error has the place of the word."""
    with pytest.raises(QueryFailed) as caught:
        kind_of(sql)
    assert caught.value.members["position"] == position


def test_names_fit_and_differ() -> None:
    """Whatever columns are called: each has a name that PostgreSQL tells from the others."""
    names = ["a", "A", "a_2", "", "column_4", "x" * 63, "x" * 64, "x" * 65, "ж" * 32, "\0", "\ufffd"]
    given = sql_names(names)
    assert len(set(given)) == len(names)
    assert all(0 < len(name.encode()) <= MAX_BYTES for name in given)
    assert given[:3] == ["a", "A", "a_2"]


def test_the_role_is_the_same_for_every_replica() -> None:
    """Name and password follow from the database and the URL's password, and differ with them."""
    url = "postgresql://u:p%40ss@host/db"
    assert Role.of(url, "db") == Role.of("postgresql://other@elsewhere/x?password=p%40ss", "db")
    others = [Role.of(url, "db2"), Role.of("postgresql://u:other@host/db", "db")]
    assert Role.of(url, "db").password not in {other.password for other in others}
    assert Role.of("postgresql://host/db", "db") == Role("aerolite_sql_db", None)
    assert Role("aerolite_sql_db", None).verifier() is None
    assert len(Role.of(url, "ж" * 40).name) <= MAX_BYTES
    assert "p@ss" not in repr(Role.of(url, "db"))
