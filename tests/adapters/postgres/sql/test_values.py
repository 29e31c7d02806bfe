"""What comes out is JSON that loses nothing; what goes in is read as the type that PostgreSQL wants."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from service.domain.errors import QueryFailed

from .conftest import Client

_encode = msgspec.json.Encoder(decimal_format="number").encode

VALUES: dict[str, str] = {
    "true": "true",
    "null::int": "null",
    "9223372036854775807": "9223372036854775807",
    "1.10": "1.10",
    "12345678901234567890123456789.5": "12345678901234567890123456789.5",
    "123456789012345678901234567890": "123456789012345678901234567890",
    "'NaN'::numeric": "null",
    "'-Infinity'::float8": "null",
    "0.1::float8": "0.1",
    "1e300::float8": "1e300",
    "'a'::\"char\"": '"a"',
    "'x'::name": '"x"',
    r"'\x00ff'::bytea": '"AP8="',
    "''::bytea": '""',
    "'12345678-1234-1234-1234-123456789ABC'::uuid": '"12345678-1234-1234-1234-123456789abc"',
    "date '2026-02-28'": '"2026-02-28"',
    "date 'infinity'": '"infinity"',
    "date '0044-03-15 BC'": '"0044-03-15 BC"',
    "timestamp '2026-02-28 10:00:00.5'": '"2026-02-28T10:00:00.5"',
    "timestamp '20260-02-28 10:00'": '"20260-02-28T10:00:00"',
    "timestamptz '2026-02-28 10:00:00+02'": '"2026-02-28T08:00:00+00:00"',
    "timestamptz '-infinity'": '"-infinity"',
    "time '10:00'": '"10:00:00"',
    "interval '1 year 2 months 3 days 04:05:06'": '"1 year 2 mons 3 days 04:05:06"',
    "inet '192.168.0.1/24'": '"192.168.0.1/24"',
    "int4range(1, 5)": '"[1,5)"',
    "point(1, 2)": '"(1,2)"',
    "b'101'": '"101"',
    "money '1.50'": '"$1.50"',
    "row(1, 'x')": '"(1,x)"',
    'json \'{"b": 1.0, "a": [null]}\'': '{"b": 1.0, "a": [null]}',
    'jsonb \'{"b": 1.0, "a": [null]}\'': '{"a": [null], "b": 1.0}',
    r"""json '"\ud800"'""": r'"\"\\ud800\""',
    "array[1, null, 3]": "[1,null,3]",
    "array[[1.10, 2], [3, 4]]": "[[1.10,2],[3,4]]",
    "'[0:1]={1,2}'::int[]": "[1,2]",
    "array[]::text[]": "[]",
    r"""array['a b', '', 'NULL', null, 'q"\', '{}', ',']""": r'["a b","","NULL",null,"q\"\\","{}",","]',
    "array[date '2026-02-28', 'infinity']": '["2026-02-28","infinity"]',
    "array[json '{\"a\": 1}']": '[{"a": 1}]',
    "array[true]": "[true]",
    "array['happy'::mood]": '"{happy}"',
    "'happy'::mood": '"happy"',
    "(7, 'x')::pair": '"(7,x)"',
    "'17'::small": "17",
    "'a'::tsvector": "\"'a'\"",
    "pg_sleep(0)": '""',
    "'pg_class'::regclass": '"pg_class"',
}


async def test_values_lose_nothing(client: Client) -> None:
    """Each type has its place in JSON: numbers with all digits, documents as they are, all else as text."""
    await client.run("create type mood as enum ('happy', 'sad')")
    await client.run("create type pair as (a int, b text)")
    await client.run("create domain small as int check (value < 100)")
    for sql, expected in VALUES.items():
        assert _encode(await client.one(f"select {sql}")).decode() == expected, sql


async def test_unbroken_text_of_any_kind_comes_as_it_is(client: Client) -> None:
    """Text keeps its spaces, its lines and every character there is."""
    text = " \t\r\n'\"\\ ж😀\x01" + "x" * 10_000
    assert await client.one("select $1", text) == text


async def test_a_statement_that_changes_how_values_are_written_harms_itself_only(client: Client) -> None:
    """Settings of a statement change its texts, and break nothing."""
    settings = "set_config('bytea_output', 'escape', true), set_config('DateStyle', 'German', true)"
    values = r"'\xff61'::bytea, timestamp '2026-02-28 10:00', array[date '2026-02-28'], 0.1::float8"
    ((_, _, *found),) = await client.read(f"select {settings}, {values}")
    assert found == ["\\377a", "28.02.2026 10:00:00", ["28.02.2026"], 0.1]
    for writing in (True, False):
        with pytest.raises(QueryFailed, match="UTF-8"):
            await client.run("select set_config('client_encoding', 'SJIS', true), 'ソ'", writing=writing)


async def test_what_is_cut_off_in_another_encoding_is_refused_too(client: Client) -> None:
    """An answer that ends before the server tells of the encoding breaks nothing, either."""
    garbled = "set_config('client_encoding', 'SJIS', true), array['a}ソ', 'b}}}', 'c'], repeat('x', 10000)"
    with pytest.raises(QueryFailed, match="UTF-8"):
        await client.run(f"select {garbled} from generate_series(1, 200)", writing=False)


async def test_a_document_that_is_nested_too_deep_is_a_text(client: Client) -> None:
    """PostgreSQL takes what other readers of JSON do not."""
    deep = "[" * 6000 + "]" * 6000
    assert await client.one("select $1::json", deep) == deep


PARAMETERS: list[tuple[str, Any, Any]] = [
    ("select $1::int + 1", 1, 2),
    ("select $1::int + 1", "1", 2),
    ("select $1::text", 5, "5"),
    ("select $1::text", True, "true"),
    ("select $1", "it's", "it's"),
    ("select $1::text is null", None, True),
    ("select $1::bool", True, True),
    ("select $1::float8", 0.1, 0.1),
    ("select $1::numeric::text", 12345678901234567890123, "12345678901234567890123"),
    ("select $1::date", "2026-02-28", "2026-02-28"),
    ("select $1::date + 1", "2026-02-28", "2026-03-01"),
    ("select $1::interval", "1 day", "1 day"),
    ("select $1::uuid", "12345678123412341234123456789abc", "12345678-1234-1234-1234-123456789abc"),
    ("select $1::jsonb ->> 'a'", {"a": "x"}, "x"),
    ("select ($1::jsonb -> 1)::text", [1, {"b": None}], '{"b": null}'),
    ("select $1::text", [1, "x"], '[1, "x"]'),
    ("select 2 = any ($1)", [1, 2, None], True),
    ("select $1::text[]", ['a"b\\', None, "NULL", ""], ['a"b\\', None, "NULL", ""]),
    ("select $1::int[]", [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
    ("select ($1::jsonb[])[1] ->> 'a'", [{"a": "x"}], "x"),
    ("select $1::bytea", "\\x00ff", "AP8="),
]


async def test_parameters_are_read_as_what_the_statement_wants(client: Client) -> None:
    """A JSON value is written as text, and PostgreSQL reads it as the type at its place."""
    for sql, value, expected in PARAMETERS:
        assert await client.one(sql, value) == expected, (sql, value)


WRONG: list[tuple[str, Any, str]] = [
    ("select $1::int", "x", "22P02"),
    ("select $1::int", 1.5, "22P02"),
    ("select $1::date", "2026-02-30", "22008"),
    ("select $1::bool", [True], "22P02"),
    ("select $1::int[]", [1, [2]], "22P02"),
]


async def test_a_parameter_that_does_not_fit_is_refused(client: Client) -> None:
    """The error is PostgreSQL's, with its code."""
    for sql, value, code in WRONG:
        with pytest.raises(QueryFailed) as caught:
            await client.run(sql, value)
        assert caught.value.members["sqlstate"] == code, (sql, caught.value.detail)


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
async def test_what_is_no_text_is_refused(client: Client, text: str) -> None:
    """Neither a NUL nor half a character is sent, alone or in an array."""
    for value in (text, [text]):
        with pytest.raises(QueryFailed, match=r"Parameter \$1"):
            await client.run("select $1::text[]", value)


async def test_parameters_are_counted(client: Client) -> None:
    """Too few, too many, by name, and more than a message holds are refused, each in words."""
    for parameters in ((), (1, 2)):
        with pytest.raises(QueryFailed, match="takes 1 parameters"):
            await client.run("select $1::int", *parameters)
    with pytest.raises(QueryFailed, match="65535"):
        await client.run("select 1", *range(65_536))


ERRORS: list[tuple[str, dict[str, Any], str]] = [
    ("select * from nowhere", {"sqlstate": "42P01", "position": 15}, 'relation "nowhere" does not exist'),
    ("select 'ж', frm", {"sqlstate": "42703", "position": 13}, 'column "frm" does not exist'),
    ("select 1 / 0", {"sqlstate": "22012"}, "division by zero"),
    ("insert into t values (1)", {"sqlstate": "23505"}, "(Key (a)=(1) already exists.)"),
    ("select upper(1)", {"sqlstate": "42883", "position": 8}, "No function matches"),
    ("do $$ begin raise exception 'no' using errcode = '57P01'; end $$", {"sqlstate": "57P01"}, "no"),
    ("do $$ begin raise exception 'no' using errcode = '08006'; end $$", {"sqlstate": "08006"}, "no"),
    ("do $$ begin raise exception 'no' using errcode = '25006'; end $$", {"sqlstate": "25006"}, "no"),
]


async def test_errors_are_the_databases_own(client: Client) -> None:
    """Message, code, place and hint are told; no error of a client's making is taken for the server's."""
    await client.run("create table t (a int primary key)")
    await client.run("insert into t values (1)")
    for sql, members, words in ERRORS:
        with pytest.raises(QueryFailed) as caught:
            await client.run(sql)
        found = caught.value
        assert {**found.members, **members} == found.members, sql
        assert words in found.detail + found.members.get("hint", ""), sql
