"""`/query` with PostgreSQL, alone and beside the storage."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from tests.contract.backends.postgres import run_server
from tests.servers import Servers
from tests.waiting import patience

from .conftest import Api, MakeApi, load_meteorites
from .sql import ask, served


@pytest.fixture
async def url(servers: Servers) -> AsyncIterator[str]:
    """Give the address of an empty database."""
    server = await asyncio.to_thread(servers.get, run_server)
    async with server.database() as address:
        yield address


@pytest.fixture
async def beside(make_api: MakeApi, url: str) -> Api:
    """Give a client of a service whose storage and database are the same PostgreSQL, with five records."""
    return await serving_beside(make_api, url, timeout_s="3600")


async def serving_beside(make_api: MakeApi, url: str, *, timeout_s: str) -> Api:
    """Serve with this time limit for statements."""
    api = await make_api(STORAGE_URL=url, SQL_TIMEOUT_SECONDS=timeout_s, SQL_MAX_BYTES="1 MiB")
    await load_meteorites(api)
    return api


async def test_a_table_is_made_filled_and_read(make_api: MakeApi, url: str) -> None:
    """What users of a plain database API start from works to the letter, beside a storage elsewhere."""
    api = await make_api(DATABASE_URL=url)
    created = "create table account (id_user serial PRIMARY KEY, username VARCHAR(50) NOT NULL)"
    assert await ask(api, created) == (200, "OK")
    assert await ask(api, "insert into account (username) values ('ada')") == (200, "OK")
    assert await ask(api, "select * from account") == (200, {"result": [{"id_user": 1, "username": "ada"}]})


async def test_values_are_json(beside: Api) -> None:
    """Numbers keep their digits, documents are documents, and what JSON has not is text or null."""
    sql = """
    select 1.10 as exact, 12345678901234567890 as large, '{"a": [1.0]}'::json as document,
        array[1, null] as list, 'NaN'::float8 as nothing, date '2026-02-28' as day
    """
    async with beside.post("/query", json={"query": sql}) as answer:
        row = b'{"exact":1.10,"large":12345678901234567890,"document":{"a": [1.0]},"list":[1,null],'
        assert (await answer.read()).startswith(b'{"result":[' + row + b'"nothing":null,"day":"2026-02-28"}]')


async def test_datasets_are_joined_with_own_tables(beside: Api) -> None:
    """A dataset is there under its name, its columns typed, as new as its last append."""
    await ask(beside, "create table notes (id integer, note text)")
    await ask(beside, "insert into notes select id, 'seen ' || name from landings where fell")
    joined = """select note, "mass (g)" from notes join landings using (id) where id = $1"""
    assert await ask(beside, joined, params=[2]) == (
        200,
        {"result": [{"note": "seen Aarhus", "mass (g)": 720.5}]},
    )
    record = {"name": "new", "id": 12}
    async with beside.post("/datasets/landings/records", json=record) as answer:
        assert answer.status == 201, await answer.text()
    status, body = await ask(beside, "select name from landings where id = 12")
    assert (status, body) == (200, {"result": [{"name": "new"}]})


async def test_clients_see_the_columns_of_their_day(beside: Api) -> None:
    """A change of a dataset's columns is seen by those who ask for its day, in SQL too."""
    change = {
        "date": "2026-12-01",
        "description": "A shorter name",
        "operations": [{"op": "rename", "from": "mass (g)", "to": "mass"}],
    }
    async with beside.post("/datasets/landings/changes", json=change) as answer:
        assert answer.status == 201, await answer.text()
    for day, column in (("2026-12-01", "mass"), ("2026-11-30", "mass (g)")):
        sql = json.dumps({"query": f'select "{column}" from landings where id = 1'})
        headers = {"API-Version": day, "Content-Type": "application/json"}
        async with beside.post("/query", data=sql, headers=headers) as answer:
            assert (answer.status, await answer.json()) == (200, {"result": [{column: 21}]}), day


ATTACKS = {
    "two statements": "select 1; drop table landings",
    "a hidden one": "select 1 /* ; */ ; -- \n drop table landings",
    "a program": "copy (select 1) to program 'id'",
    "a file": "select pg_read_file('/etc/passwd')",
    "dblink": "create extension dblink",
    "a role": "set role aerolite",
    "keys": "select * from aerolite.documents",
    "a row of 2 GB": "select repeat('x', 2000000000)",
    "a row of 1 GB": "select repeat('x', 1000000000)",
    "a sleep": "select pg_sleep(1000)",
    "a cross join": "select count(*) from generate_series(1, 1e7) a, generate_series(1, 1e7) b",
    "a recursion": "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n",
}


async def test_attacks_are_refused_while_others_are_served(make_api: MakeApi, url: str) -> None:
    """Each is a 4xx with words, or told to come back; pages and SQL go on meanwhile."""
    beside = await serving_beside(make_api, url, timeout_s="3")
    attacks = {name: asyncio.create_task(ask(beside, sql)) for name, sql in ATTACKS.items()}
    while not all(task.done() for task in attacks.values()):
        async with beside.get("/datasets/landings") as answer:
            assert answer.status == 200
        await asyncio.sleep(0.05)
    for name, task in attacks.items():
        status, body = task.result()
        assert (status, body["type"]) in {(422, "query-failed"), (429, "busy"), (503, "busy")}, (name, body)
        assert body["detail"], name
    assert await served(beside, "select count(*) as n from landings") == (200, {"result": [{"n": 5}]})


async def test_an_error_has_its_place_and_its_code(beside: Api) -> None:
    """The problem document says what PostgreSQL says: message, SQLSTATE, position and hint."""
    status, body = await ask(beside, "select upper(1)")
    assert (status, body["sqlstate"], body["position"]) == (422, "42883", 8)
    assert body["detail"].startswith("function upper(integer) does not exist")
    assert "type casts" in body["hint"]


async def test_who_only_reads_is_told_to_get_a_key(make_api: MakeApi, url: str) -> None:
    """Without the scope a write is refused as such, and nothing was written."""
    api = await make_api(DATABASE_URL=url, AUTH_MODE="keys", ANONYMOUS_SCOPES="sql:read")
    status, body = await ask(api, "create table t (a int)")
    assert status in {401, 403}, body
    status, body = await ask(api, "select to_regclass('t') as t")
    assert (status, body) == (200, {"result": [{"t": None}]})


async def test_what_is_cut_says_so(beside: Api) -> None:
    """More rows than the bounds let through are flagged."""
    status, body = await ask(beside, "select generate_series(1, 1000000000) as i")
    assert (status, len(body["result"]), body["truncated"]) == (200, 10_000, True)


async def test_200_at_once_are_answered_or_told_to_come_back(beside: Api) -> None:
    """Nobody gets another's answer, and nobody an error of the server's; who comes back is served."""

    async def own(number: int) -> Any:
        while (found := await ask(beside, "select $1::int as n", params=[number]))[0] == 503:
            assert found[1]["type"] == "busy"
        return found

    found = await asyncio.gather(*map(own, range(200)))
    assert found == [(200, {"result": [{"n": number}]}) for number in range(200)]


async def test_a_sleeping_statement_ends_when_its_client_leaves(beside: Api, url: str) -> None:
    """Also one that catches its being cancelled; its session is gone long before the time limit."""
    sleeping = "select from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"
    stubborn = """
    do $$ begin loop
        begin perform pg_sleep(1000); exception when query_canceled then null; end;
    end loop; end $$"""
    superuser = await asyncpg.connect(url)
    task = asyncio.create_task(ask(beside, stubborn))
    async with patience():
        while not await superuser.fetch(sleeping):
            assert not task.done()
        task.cancel()  # aiohttp's client hangs up
        while await superuser.fetch(sleeping):
            await asyncio.sleep(0.01)
    await superuser.close()
