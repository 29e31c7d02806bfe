"""Attacks on the wire: each is refused or cut with a 4xx, and the service goes on for everyone else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector

from tests.contract.sql.databases import DUCKDB, SQLITE

from .conftest import METEORITES, NEWEST, Api, MakeApi
from .sql import ask

ENDLESS = SQLITE.endless
CROSS_JOIN = "select count(*) from landings " + " ".join(f"cross join landings as t{n}" for n in range(20))
CALM_S = 1.0
"""What another request may take meanwhile: it is some milliseconds; the machine of the tests has other work."""


@pytest.fixture
async def api(make_api: MakeApi) -> Api:
    """Give a client of a service with a dataset, whose statements end after 2 s."""
    api = await make_api(SQL_TIMEOUT_SECONDS="2")
    csv = {"Content-Type": "text/csv"}
    async with api.put("/datasets/landings", data=METEORITES, headers=csv) as answer:
        assert answer.status == 201
    return api


async def calm(api: Api, until: Callable[[], bool]) -> list[float]:
    """Send other requests until then, and return the seconds that each took."""
    taken = []
    while not until():
        began = time.monotonic()
        async with api.get("/datasets/landings/records?limit=2", headers=NEWEST) as answer:
            assert answer.status == 200
            await answer.read()
        taken.append(time.monotonic() - began)
        await asyncio.sleep(0.02)
    return taken


async def meanwhile(api: Api, work: Awaitable[tuple[int, object]]) -> tuple[int, object]:
    """Return what a statement answers, and see that others are served while it runs."""
    task = asyncio.ensure_future(work)
    taken = await calm(api, task.done)
    assert max(taken, default=0.0) < CALM_S
    return await task


@pytest.mark.parametrize("attack", [*SQLITE.refused, "cross join", "endless", "huge"])
async def test_an_attack_is_refused_and_others_are_served(api: Api, attack: str) -> None:
    """422 with words; other requests are answered while it runs, and SQL after it."""
    sql = {**SQLITE.refused, "cross join": CROSS_JOIN, "endless": ENDLESS, "huge": SQLITE.huge}[attack]
    status, problem = await meanwhile(api, ask(api, sql))
    assert isinstance(problem, dict)
    assert (status, problem["type"], bool(problem["detail"])) == (422, "query-failed", True)
    assert await ask(api, "select count(*) as n from landings") == (200, {"result": [{"n": 5}]})


async def test_a_client_that_leaves_takes_its_statement_along(make_api: MakeApi) -> None:
    """The only place is free again long before the statement's time is over."""
    api = await make_api(SQL_TIMEOUT_SECONDS="60", SQL_CONCURRENCY="1")
    assert (await ask(api, "select 1 as a"))[0] == 200
    for _ in range(3):
        leaving = asyncio.ensure_future(ask(api, ENDLESS))
        await asyncio.wait({leaving}, timeout=0.3)
        leaving.cancel()
        await asyncio.wait({leaving})
    deadline = time.monotonic() + 20
    while (found := await ask(api, "select 1 as a"))[0] == 503:
        assert time.monotonic() < deadline
    assert found == (200, {"result": [{"a": 1}]})


@pytest.fixture
async def crowd(api: Api) -> AsyncIterator[ClientSession]:
    """Give a client that has any number of connections, none of which is that of the other requests."""
    async with ClientSession(api.make_url("/"), connector=TCPConnector(limit=0)) as session:
        yield session


async def sent(crowd: ClientSession, sql: str, *params: object) -> tuple[int, str | None, Any]:
    """Return status, Retry-After and body of a statement's answer."""
    body = {"query": sql, "params": params}
    async with crowd.post("/query", json=body, headers=NEWEST) as answer:
        return answer.status, answer.headers.get("Retry-After"), await answer.json(content_type=None)


async def test_200_at_once_are_served_or_told_to_come_back(api: Api, crowd: ClientSession) -> None:
    """Quick statements are all served, in turns."""
    work = [asyncio.ensure_future(sent(crowd, "select ? as a", n)) for n in range(200)]
    taken = await calm(api, lambda: all(task.done() for task in work))
    assert max(taken) < CALM_S
    for number, task in enumerate(work):
        status, retry_after, body = task.result()
        served = (status, body) == (200, {"result": [{"a": number}]})
        assert served or (status, retry_after, body["type"]) == (503, "1", "busy")
    assert sum(task.result()[0] == 200 for task in work) >= 100


async def test_200_endless_ones_at_once_are_stopped_or_told_to_come_back(
    api: Api, crowd: ClientSession
) -> None:
    """Slow statements do not pile up: who waits too long is told, with the time to come back."""
    work = [asyncio.ensure_future(sent(crowd, ENDLESS)) for _ in range(200)]
    taken = await calm(api, lambda: all(task.done() for task in work))
    assert max(taken) < CALM_S
    found = {(status, retry_after) for status, retry_after, _ in (task.result() for task in work)}
    assert found == {(422, None), (503, "1")}
    assert (await ask(api, "select 1 as a"))[0] == 200


async def test_writers_at_once_are_all_done(api: Api) -> None:
    """Each waits for its turn."""
    await ask(api, "create table t (a integer)")
    done = await asyncio.gather(*(ask(api, "insert into t values (?)", params=[n]) for n in range(40)))
    assert set(done) == {(200, "OK")}
    assert await ask(api, "select count(distinct a) as n from t") == (200, {"result": [{"n": 40}]})


@pytest.mark.parametrize("attack", [*DUCKDB.refused, "endless", "huge"])
async def test_an_attack_on_the_reader_of_datasets_is_refused_and_others_are_served(
    api: Api, attack: str
) -> None:
    """422 with words; other requests are answered while it runs, and the reader after it."""
    sql = {**DUCKDB.refused, "endless": DUCKDB.endless, "huge": DUCKDB.huge}[attack]
    status, problem = await meanwhile(api, ask(api, sql, database="datasets"))
    assert isinstance(problem, dict)
    assert (status, problem["type"], bool(problem["detail"])) == (422, "query-failed", True)
    counted = "select count(*) as n from landings"
    assert await ask(api, counted, database="datasets") == (200, {"result": [{"n": 5}]})
