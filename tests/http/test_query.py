"""`/query`: SQL over HTTP, beside an SQLite storage."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest

from .conftest import METEORITES, NEWEST, Api, MakeApi
from .sql import ask

SQL = {"Content-Type": "application/sql", **NEWEST}


async def test_a_table_is_made_filled_and_read(api: Api) -> None:
    """What users of a plain database API start from works to the letter."""
    created = "create table account (id_user serial PRIMARY KEY, username VARCHAR(50) NOT NULL)"
    assert await ask(api, created) == (200, "OK")
    assert await ask(api, "insert into account (username) values ('ada')") == (200, "OK")
    assert await ask(api, "select * from account") == (200, {"result": [{"id_user": 1, "username": "ada"}]})


async def test_ok_is_plain_text(api: Api) -> None:
    """A statement without rows answers the two letters and nothing else."""
    async with api.post("/query", json={"query": "create table t (a)"}, headers=NEWEST) as answer:
        assert (answer.content_type, await answer.read()) == ("text/plain", b"OK")


async def test_datasets_are_tables(loaded: Api) -> None:
    """A dataset stands under its name, its columns typed."""
    status, body = await ask(loaded, 'select name, id, "mass (g)", fell from landings where id < 10')
    assert (status, body["result"][1]) == (
        200,
        {"name": "Aarhus", "id": 2, "mass (g)": 720.5, "fell": 1},
    )


async def test_datasets_and_tables_are_joined(loaded: Api) -> None:
    """A client's own table and a dataset stand in one statement."""
    await ask(loaded, "create table notes (id integer, note text)")
    await ask(loaded, "insert into notes select id, 'seen ' || name from landings where fell")
    status, body = await ask(
        loaded, "select note from notes join landings on landings.id = notes.id where landings.id = 6"
    )
    assert (status, body) == (200, {"result": [{"note": "seen Abee"}]})


async def test_the_reader_of_datasets_is_always_there(loaded: Api) -> None:
    """`"database": "datasets"` asks DuckDB, which only reads."""
    status, body = await ask(loaded, "select max(id) as m from landings", database="datasets")
    assert (status, body) == (200, {"result": [{"m": 11}]})
    status, body = await ask(loaded, "create table t (a integer)", database="datasets")
    assert (status, body["type"]) == (422, "query-failed")


STATEMENTS = {
    "application/sql": b"select 1 as a",
    "text/plain; charset=utf-8": b"\xef\xbb\xbfselect 1 as a;",
    "application/x-www-form-urlencoded": b"select 1 as a",
    "application/octet-stream": b' {"query": "select 1 as a"}',
    "application/json": b'{"query": "select 1 as a", "params": null, "database": null}',
    "application/vnd.of.ours+json": b'{"query": "select 1 as a", "params": []}',
}


@pytest.mark.parametrize(("media_type", "body"), STATEMENTS.items(), ids=STATEMENTS)
async def test_a_statement_comes_as_it_is_or_as_json(api: Api, media_type: str, body: bytes) -> None:
    """What curl sends by itself is understood as what it looks like."""
    async with api.post("/query", data=body, headers={**NEWEST, "Content-Type": media_type}) as answer:
        assert (answer.status, await answer.json()) == (200, {"result": [{"a": 1}]})


async def test_a_statement_names_its_database_in_the_url(loaded: Api) -> None:
    """As a body has no room for it, the URL has."""
    sql = b"select count(*) as n from landings"
    async with loaded.post("/query?database=datasets", data=sql, headers=SQL) as answer:
        assert (answer.status, await answer.json()) == (200, {"result": [{"n": 5}]})


@pytest.mark.parametrize(
    ("sql", "params"),
    [("select ? as a, ? as b", [1, "x"]), ("select :a as a, :b as b", {"a": 1, "b": "x"})],
    ids=["by place", "by name"],
)
async def test_parameters_are_bound(api: Api, sql: str, params: Any) -> None:
    """By place or by name."""
    assert await ask(api, sql, params=params) == (200, {"result": [{"a": 1, "b": "x"}]})


async def test_an_array_is_bound_as_json(api: Api) -> None:
    """SQLite has JSON for it."""
    sql = "select value as v from json_each(?)"
    assert await ask(api, sql, params=[[1, 2]]) == (200, {"result": [{"v": 1}, {"v": 2}]})


async def test_values_are_json(api: Api) -> None:
    """Blobs are base64, what is no number is null, integers and texts are exact."""
    sql = "select x'00ff' as b, 1e999 as i, 9223372036854775807 as n, 1.5 as f, null as z, 'ж' as t"
    assert await ask(api, sql) == (
        200,
        {"result": [{"b": "AP8=", "i": None, "n": 9223372036854775807, "f": 1.5, "z": None, "t": "ж"}]},
    )


WRONG = {
    "no JSON": (b"{", 422),
    "an array": (b"[]", 422),
    "no statement": (b"{}", 422),
    "a statement that is no text": (b'{"query": 1}', 422),
    "an unknown member": (b'{"query": "select 1", "parmas": []}', 422),
    "parameters that are none": (b'{"query": "select 1", "params": 1}', 422),
    "a database that is none": (b'{"query": "select 1", "database": 1}', 422),
    "an unknown database": (b'{"query": "select 1", "database": "other"}', 422),
    "not UTF-8": (b'{"query": "\xff"}', 422),
    "a parameter too large": (b'{"query": "select ?", "params": [1e400]}', 422),
    "an integer too large": (b'{"query": "select ?", "params": [123456789012345678901234567890]}', 422),
    "an empty statement": (b'{"query": " "}', 422),
    "a mebibyte and more": (b'{"query": "%b"}' % (b" " * (1 << 20)), 413),
}


@pytest.mark.parametrize(("body", "status"), WRONG.values(), ids=WRONG)
async def test_a_bad_body_is_refused(api: Api, body: bytes, status: int) -> None:
    """With a problem document that says what to do."""
    headers = {**NEWEST, "Content-Type": "application/json"}
    async with api.post("/query", data=BytesIO(body), headers=headers) as answer:
        problem = await answer.json(content_type="application/problem+json")
        assert (answer.status, bool(problem["detail"])) == (status, True)


async def test_a_statement_is_utf_8(api: Api) -> None:
    """What is not is refused."""
    async with api.post("/query", data=b"select '\xff'", headers=SQL) as answer:
        assert (answer.status, (await answer.json(content_type=None))["type"]) == (422, "invalid-content")


async def test_an_unknown_member_is_told_with_the_known(api: Api) -> None:
    """The problem points at it and lists those there are."""
    status, problem = await ask(api, "select 1", parmas=[])
    assert (status, problem["pointer"], problem["valid"]) == (
        422,
        "/parmas",
        ["query", "params", "database"],
    )


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/query?format=parquet", {}, 400),
        ("/query?format=xml", {}, 400),
        ("/query?limit=1", {}, 400),
        ("/query?database=other", {}, 400),
        ("/query", {"Accept": "image/png"}, 406),
        ("/query", {"Content-Type": "application/xml"}, 415),
        ("/query", {"Content-Encoding": "br"}, 415),
    ],
)
async def test_a_bad_request_is_refused_before_anything_is_run(
    api: Api, path: str, headers: dict[str, str], status: int
) -> None:
    """Nothing was written when it was the answer that cannot be made."""
    sql = b"create table t (a)"
    async with api.post(path, data=sql, headers={**SQL, **headers}) as answer:
        assert answer.status == status
    assert (await ask(api, "select * from t"))[0] == 422


async def test_the_body_and_the_url_name_one_database(api: Api) -> None:
    """Two different ones are a mistake of the client's."""
    body = {"query": "select 1", "database": None}
    async with api.post("/query?database=datasets", json=body, headers=NEWEST) as answer:
        assert (answer.status, (await answer.json(content_type=None))["parameter"]) == (400, "database")


async def test_a_mistake_tells_the_databases_words_and_the_position(api: Api) -> None:
    """422, with SQLite's message and the character where."""
    status, problem = await ask(api, "select t, t frmo t")
    assert (status, problem["type"], problem["detail"], problem["position"]) == (
        422,
        "query-failed",
        'near "t": syntax error',
        18,
    )


async def test_a_misspelt_column_is_no_text(loaded: Api) -> None:
    """A name in double quotes that is no column is refused, where SQLite would take it for a text."""
    for sql in ('select "mass" as m from landings', 'select * from landings where "mass" = 1'):
        status, problem = await ask(loaded, sql)
        assert (status, problem["detail"]) == (422, "no such column: mass")
    assert (await ask(loaded, 'select max("mass (g)") from landings'))[1] == {
        "result": [{'max("mass (g)")': 2000000.0}]
    }


async def test_what_was_cut_says_so_in_every_format(make_api: MakeApi) -> None:
    """By a member in JSON, by a header everywhere."""
    api = await make_api(SQL_MAX_ROWS="2")
    sql = b"values (1), (2), (3)"
    rows = [{"column1": 1}, {"column1": 2}]
    async with api.post("/query", data=sql, headers=SQL) as answer:
        assert await answer.json() == {"result": rows, "truncated": True}
        assert answer.headers["Truncated"] == "true"
    async with api.post("/query?format=csv", data=sql, headers=SQL) as answer:
        assert (answer.headers["Truncated"], await answer.text()) == ("true", "column1\r\n1\r\n2\r\n")
    async with api.post("/query", data=sql, headers={**SQL, "Accept": "application/x-ndjson"}) as answer:
        lines = (await answer.text()).splitlines()
        assert (answer.headers["Truncated"], [json.loads(line) for line in lines]) == ("true", rows)
    async with api.post("/query", data=b"values (1), (2)", headers=SQL) as answer:
        assert await answer.json() == {"result": rows}
        assert "Truncated" not in answer.headers


async def test_an_answer_is_kept_by_nobody(api: Api) -> None:
    """It has no ETag, and whoever keeps it must ask."""
    async with api.post("/query", data=b"select 1", headers=SQL) as answer:
        assert "ETag" not in answer.headers
        assert answer.headers["Cache-Control"] == "no-cache"


async def test_many_rows_come_whole(api: Api) -> None:
    """Thousands of rows are encoded off the event loop, and none is lost."""
    sql = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 9000) select i from n"
    status, body = await ask(api, sql)
    assert (status, body) == (200, {"result": [{"i": number} for number in range(1, 9001)]})


@pytest.mark.parametrize("contract", ["2023-04-01", "2023-09-01", "2026-11-20"])
async def test_every_contract_has_it_in_one_shape(loaded: Api, contract: str) -> None:
    """What is new answers in its only shape, typed."""
    headers = {"API-Version": contract}
    found = await ask(loaded, 'select id, "mass (g)" as m from landings limit 1', headers)
    assert found == (200, {"result": [{"id": 1, "m": 21.0}]})
    assert await ask(loaded, "create table t (a)", headers) == (200, "OK")


async def test_the_columns_are_those_of_the_clients_day(api: Api) -> None:
    """Who integrated before a change asks by the old name, and who came after by the new."""
    async with api.put("/datasets/landings", data=METEORITES, headers={"Content-Type": "text/csv"}) as answer:
        assert answer.status == 201
    change = {
        "date": "2026-12-01",
        "description": "Shorter.",
        "operations": [{"op": "rename", "from": "mass (g)", "to": "mass"}],
    }
    async with api.post("/datasets/landings/changes", json=change, headers=NEWEST) as answer:
        assert answer.status == 201, await answer.text()
    old, new = 'select max("mass (g)") as m from landings', "select max(mass) as m from landings"
    for database in ({}, {"database": "datasets"}):
        assert (await ask(api, old, NEWEST, **database))[0] == 200
        assert (await ask(api, new, NEWEST, **database))[0] == 422
        today = {"API-Version": "2026-12-01"}
        assert (await ask(api, new, today, **database))[0] == 200
        assert (await ask(api, old, today, **database))[0] == 422


async def test_the_listing_tells_what_can_be_asked(api: Api) -> None:
    """The kind of the database, whether the caller may write, and the names that are others in SQL."""
    records = [{"a": 1, "A": 2, "": 3}]
    for name in ("pairs", "Pairs"):
        async with api.put(f"/datasets/{name}", json=records) as answer:
            assert answer.status == 201
    async with api.get("/query", headers=NEWEST) as answer:
        aliases = {"A_2": "A", "column_3": ""}
        assert await answer.json() == {
            "database": "sqlite",
            "writing": True,
            "names": {"pairs": "pairs_2"},
            "aliases": {"Pairs": aliases, "pairs": aliases},
        }
    async with api.get("/query?database=datasets", headers=NEWEST) as answer:
        listed = await answer.json()
        assert (listed["database"], listed["writing"], listed["aliases"]["pairs"]) == (
            "duckdb",
            False,
            aliases,
        )
    assert (await ask(api, 'select "A_2", column_3 from pairs_2'))[1] == {
        "result": [{"A_2": 2, "column_3": 3}]
    }


async def test_other_methods_are_told_which_there_are(api: Api) -> None:
    """405 with Allow."""
    async with api.delete("/query") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS, POST")
