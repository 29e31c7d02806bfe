"""SQL as tokens, as SQLite itself sees it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.sqlite_child.tokens import altered, made_view, strictly, tokens


def texts(sql: str) -> list[str]:
    """Return the texts of the tokens."""
    return [token.text for token in tokens(sql)]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select 1", ["select", "1"]),
        ("a--b\nc", ["a", "c"]),
        ("a/* ; */b", ["a", "b"]),
        ("a/* never ends", ["a"]),
        ("'it''s'", ["'it''s'"]),
        ("'never ends", ["'never ends"]),
        ('"a""b" `c``d` [e f]', ['"a""b"', "`c``d`", "[e f]"]),
        ("x'00ff' X''", ["x'00ff'", "X''"]),
        ("1.5e-3 .5 0xff", ["1.5e", "-", "3", ".5", "0xff"]),
        (":name @name $name ?1 ?", [":name", "@name", "$name", "?1", "?"]),
        ("ж$1_ a;", ["ж$1_", "a", ";"]),
        ("", []),
    ],
)
def test_a_statement_falls_apart_as_in_sqlite(sql: str, expected: list[str]) -> None:
    """Blanks and comments separate; what is not closed runs to the end."""
    assert texts(sql) == expected


def test_names_are_read_out_of_their_quotes() -> None:
    """Each kind of quote, and a bare word as it stands."""
    found = [token.name for token in tokens("""a "b""c" `d``e` [f g] 'h''i' 5""")]
    assert found == ["a", 'b"c', "d`e", "f g", "h'i", ""]


@given(st.text(alphabet="ab '\"`[]-*/;\n(),1x:", max_size=40))
def test_no_character_is_lost(sql: str) -> None:
    """Tokens stand where they say, and between them are blanks and comments only."""
    end = 0
    for token in tokens(sql):
        assert sql[token.start : token.start + len(token.text)] == token.text
        between = sql[end : token.start]
        assert not between.strip() or between.lstrip().startswith(("--", "/*"))
        end = token.start + len(token.text)


@pytest.mark.parametrize("character", ["'", '"', "`", "[", "(", "/*", "x'", "-"])
def test_a_mebibyte_of_what_is_not_closed_costs_no_time(character: str) -> None:
    """Nothing is scanned twice: what takes the square of the length would not end while anybody waits."""
    assert sum(len(token.text) for token in tokens(character * (1 << 20))) <= len(character) << 20


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("alter table a add b", ["a"]),
        ("alter table main.a add b", ["a"]),
        ('alter table "a b" rename to c', ["a b", "c"]),
        ("alter table a rename column x to data", ["a"]),
        ("alter table a rename x to data", ["a"]),
        ("alter table", []),
    ],
)
def test_the_tables_of_an_alter_table_are_known(sql: str, expected: list[str]) -> None:
    """The old name, and the new one where the table is renamed; columns are none."""
    assert [token.name for token in altered(list(tokens(sql)))] == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("create view v as select 1", "v"),
        ('create view if not exists main."v w" (a) as select 1', "v w"),
        ("create view", None),
        ("create table v (a)", None),
        ("select 1", None),
    ],
)
def test_the_view_that_is_made_is_known(sql: str, expected: str | None) -> None:
    """Its name, without the schema."""
    assert made_view(list(tokens(sql))) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select 1", None),
        ("select 'a \"b\"'", None),
        ('select "a", 1', "select `a`, 1"),
        ('select "a""b`c"', 'select `a"b``c`'),
    ],
)
def test_names_in_double_quotes_get_others(sql: str, expected: str | None) -> None:
    """SQLite takes those for names only."""
    assert strictly(sql, list(tokens(sql))) == expected


@pytest.mark.parametrize("name", ["a", 'a"b', "a`b", "a b", "ж", "select", "]"])
def test_sqlite_takes_them_for_the_same_names(name: str) -> None:
    """A column is found by the rewritten name, and a misspelt one is not found."""
    quoted = name.replace('"', '""')
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f'create table t ("{quoted}")')
        for sql, found in ((f'select "{quoted}" from t', True), (f'select "{quoted}x" from t', False)):
            strict = strictly(sql, list(tokens(sql)))
            assert strict is not None
            if found:
                connection.execute(strict)
            else:
                with pytest.raises(sqlite3.OperationalError, match="no such column"):
                    connection.execute(strict)
