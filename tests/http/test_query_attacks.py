"""Attacks on the wire: each is refused or cut with a 4xx, and the service goes on for everyone else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector

from tests.contract.sql.databases import DUCKDB, SQLITE
from tests.waiting import patience

from .conftest import METEORITES, NEWEST, Api, MakeApi
from .sql import ask, served

ENDLESS = SQLITE.endless
CROSS_JOIN = "select count(*) from landings " + " ".join(f"cross join landings as t{n}" for n in range(20))
UNINTERRUPTIBLE = "select sum(length(repeat(range::varchar, 2000))) from range(1000000000)"
PATIENT = {"SQL_TIMEOUT_SECONDS": "3600"}
"""No statement ends by its time while a test runs."""

OTHERS = 10


async def with_landings(api: Api) -> Api:
    """Load a dataset."""
    csv = {"Content-Type": "text/csv"}
    async with api.put("/datasets/landings", data=METEORITES, headers=csv) as answer:
        assert answer.status == 201
    return api


@pytest.fixture
async def api(make_api: MakeApi) -> Api:
    """Give a client of a service with a dataset, whose statements end after 2 s."""
    return await with_landings(await make_api(SQL_TIMEOUT_SECONDS="2"))


async def another(api: Api) -> None:
    """Send another request, and see that it is served."""
    async with api.get("/datasets/landings/records?limit=2", headers=NEWEST) as answer:
        assert answer.status == 200
        await answer.read()


async def meanwhile(api: Api, work: Awaitable[tuple[int, object]]) -> tuple[int, object]:
    """Return what a statement answers; until then others are served."""
    task = asyncio.ensure_future(work)
    while not task.done():
        await another(api)
        await asyncio.sleep(0.02)
    return await task


@pytest.mark.parametrize("attack", [*SQLITE.refused, "cross join", "endless", "huge"])
async def test_an_attack_is_refused_and_others_are_served(api: Api, attack: str) -> None:
    """422 with words; other requests are served until then, and SQL after it."""
    sql = {**SQLITE.refused, "cross join": CROSS_JOIN, "endless": ENDLESS, "huge": SQLITE.huge}[attack]
    status, problem = await meanwhile(api, ask(api, sql))
    assert isinstance(problem, dict)
    assert (status, problem["type"], bool(problem["detail"])) == (422, "query-failed", True)
    assert await served(api, "select count(*) as n from landings") == (200, {"result": [{"n": 5}]})


@pytest.mark.parametrize(
    ("database", "sql"),
    [
        ({}, ENDLESS),
        ({}, CROSS_JOIN),
        ({"database": "datasets"}, DUCKDB.endless),
        ({"database": "datasets"}, UNINTERRUPTIBLE),
    ],
    ids=["endless", "cross join", "datasets: endless", "datasets: what cannot be interrupted"],
)
async def test_others_are_served_while_an_attack_runs(
    make_api: MakeApi, database: dict[str, str], sql: str
) -> None:
    """A statement that never ends has its place, and no more: other requests do not wait for its end."""
    api = await with_landings(await make_api(**PATIENT, SQL_CONCURRENCY="1"))
    attack = asyncio.ensure_future(ask(api, sql, **database))
    async with patience():
        while (await ask(api, "select 1 as a"))[0] != 503:
            if attack.done():  # it came second, and the first took so long that it was told to come back
                assert (await attack)[0] == 503
                attack = asyncio.ensure_future(ask(api, sql, **database))
        for _ in range(OTHERS):
            await another(api)
    assert not attack.done()
    attack.cancel()
    await asyncio.wait({attack})


async def test_a_client_that_leaves_takes_its_statement_along(make_api: MakeApi) -> None:
    """The only place is free again long before the statement's time is over."""
    api = await make_api(**PATIENT, SQL_CONCURRENCY="1")
    assert (await ask(api, "select 1 as a"))[0] == 200
    for _ in range(3):
        leaving = asyncio.ensure_future(ask(api, ENDLESS))
        await asyncio.wait({leaving}, timeout=0.3)
        leaving.cancel()
        await asyncio.wait({leaving})
    assert await served(api, "select 1 as a") == (200, {"result": [{"a": 1}]})


def crowd(api: Api) -> ClientSession:
    """Return a client that has any number of connections, none of which is that of the other requests."""
    return ClientSession(api.make_url("/"), connector=TCPConnector(limit=0))


async def sent(crowd: ClientSession, sql: str, *params: object) -> tuple[int, str | None, Any]:
    """Return status, Retry-After and body of a statement's answer."""
    body = {"query": sql, "params": params}
    async with crowd.post("/query", json=body, headers=NEWEST) as answer:
        return answer.status, answer.headers.get("Retry-After"), await answer.json(content_type=None)


async def test_200_at_once_are_served_or_told_to_come_back(make_api: MakeApi) -> None:
    """Quick statements are all served, in turns; who waits too long is told, and served when it comes back."""
    api = await with_landings(await make_api(**PATIENT))

    async def own(number: int) -> Any:
        while True:
            status, retry_after, body = await sent(session, "select ? as a", number)
            if status == 200:
                return body["result"]
            assert (status, retry_after, body["type"]) == (503, "1", "busy")

    async with crowd(api) as session:
        work = asyncio.gather(*map(own, range(200)))
        while not work.done():
            await another(api)
            await asyncio.sleep(0.02)
        assert await work == [[{"a": number}] for number in range(200)]


async def test_200_endless_ones_at_once_have_their_places_or_are_told_to_come_back(make_api: MakeApi) -> None:
    """Slow statements do not pile up: who waits too long is told, with the time to come back."""
    api = await with_landings(await make_api(**PATIENT, SQL_CONCURRENCY="2"))
    async with crowd(api) as session:
        work = [asyncio.ensure_future(sent(session, ENDLESS)) for _ in range(200)]
        async with patience():
            while sum(task.done() for task in work) < 198:
                await another(api)
                await asyncio.sleep(0.02)
        told = [task.result() for task in work if task.done()]
        running = [task for task in work if not task.done()]
        assert {(status, retry_after) for status, retry_after, _ in told} == {(503, "1")}
        for _ in range(OTHERS):
            await another(api)
        assert not any(task.done() for task in running)
        assert len(running) == 2
        for task in running:
            task.cancel()
        await asyncio.wait(running)
    assert await served(api, "select 1 as a") == (200, {"result": [{"a": 1}]})


async def test_writers_at_once_are_all_done(make_api: MakeApi) -> None:
    """Each waits for its turn, or is told to come back before anything was done."""
    api = await make_api(**PATIENT)
    await ask(api, "create table t (a integer)")
    done = await asyncio.gather(*(served(api, "insert into t values (?)", params=[n]) for n in range(40)))
    assert done == [(200, "OK")] * 40
    counted = "select count(*) as n, count(distinct a) as d from t"
    assert await served(api, counted) == (200, {"result": [{"n": 40, "d": 40}]})


@pytest.mark.parametrize("attack", [*DUCKDB.refused, "endless", "huge"])
async def test_an_attack_on_the_reader_of_datasets_is_refused_and_others_are_served(
    api: Api, attack: str
) -> None:
    """422 with words; other requests are served until then, and the reader after it."""
    sql = {**DUCKDB.refused, "endless": DUCKDB.endless, "huge": DUCKDB.huge}[attack]
    status, problem = await meanwhile(api, ask(api, sql, database="datasets"))
    assert isinstance(problem, dict)
    assert (status, problem["type"], bool(problem["detail"])) == (422, "query-failed", True)
    counted = "select count(*) as n from landings"
    assert await served(api, counted, database="datasets") == (200, {"result": [{"n": 5}]})
