"""Who may run SQL, and who may write by it."""

from __future__ import annotations

import pytest

from .conftest import METEORITES, NEWEST, Api, MakeApi
from .keyring import ADMIN, ADMIN_KEY, make_key
from .sql import ask

CREATE = "create table t (a integer)"


@pytest.fixture
async def closed(make_api: MakeApi) -> Api:
    """Give a client of a service that wants keys, with a dataset and a table."""
    api = await make_api(ADMIN_KEY=ADMIN_KEY, AUTH_MODE="keys")
    csv = {"Content-Type": "text/csv", **ADMIN}
    async with api.put("/datasets/landings", data=METEORITES, headers=csv) as answer:
        assert answer.status == 201
    assert await ask(api, CREATE, {**NEWEST, **ADMIN}) == (200, "OK")
    return api


async def test_who_has_no_key_is_asked_for_one(closed: Api) -> None:
    """401, which names the scope."""
    status, problem = await ask(closed, "select 1")
    assert (status, "sql:read" in problem["detail"]) == (401, True)


@pytest.mark.parametrize("scopes", [("read", "write"), ("sql:write",)])
async def test_sql_needs_its_own_scope(closed: Api, scopes: tuple[str, ...]) -> None:
    """No other scope lets SQL be run."""
    key = await make_key(closed, *scopes)
    status, problem = await ask(closed, "select 1", {**NEWEST, **key.header})
    assert (status, "sql:read" in problem["detail"]) == (403, True)


@pytest.mark.parametrize(
    "sql",
    [
        CREATE,
        "insert into t values (1)",
        "update t set a = 1",
        "delete from t",
        "drop table t",
        "with w as (select 1 as a) insert into t select a from w",
        "alter table t rename to u",
        "create index i on t (a)",
        "explain insert into t values (1)",
    ],
)
async def test_to_write_needs_the_scope_of_writing(closed: Api, sql: str) -> None:
    """403, which names it, and nothing was written."""
    key = await make_key(closed, "sql:read")
    headers = {**NEWEST, **key.header}
    status, problem = await ask(closed, sql, headers)
    assert (status, problem["type"], "sql:write" in problem["detail"]) == (403, "forbidden", True)
    assert await ask(closed, "select * from t", headers) == (200, {"result": []})


async def test_who_may_write_writes_and_reads(closed: Api) -> None:
    """A key with both scopes does both."""
    key = await make_key(closed, "sql:read", "sql:write")
    headers = {**NEWEST, **key.header}
    assert await ask(closed, "insert into t values (1)", headers) == (200, "OK")
    assert await ask(closed, "select a from t", headers) == (200, {"result": [{"a": 1}]})


async def test_an_answer_to_a_key_is_private(closed: Api) -> None:
    """No cache on the way keeps it for others."""
    key = await make_key(closed, "sql:read")
    async with closed.post("/query", data=b"select 1", headers={**NEWEST, **key.header}) as answer:
        assert (answer.status, answer.headers["Cache-Control"]) == (200, "private, no-cache")


async def test_beyond_loopback_nobody_writes_without_a_key(make_api: MakeApi) -> None:
    """Open to everyone means to read, unless the owner says otherwise."""
    api = await make_api(HOST="0.0.0.0")
    assert (await ask(api, "select 1 as a"))[0] == 200
    status, problem = await ask(api, CREATE)
    assert (status, "sql:write" in problem["detail"]) == (401, True)
    async with api.get("/query", headers=NEWEST) as answer:
        assert (await answer.json())["writing"] is False
    willing = await make_api(HOST="0.0.0.0", OPEN_SQL_WRITE="1")
    assert await ask(willing, CREATE) == (200, "OK")


async def test_the_storages_own_file_is_no_database(make_api: MakeApi, storage_url: str) -> None:
    """A service that would let strangers into its storage does not start."""
    with pytest.raises(Exception, match="the storage's own file"):
        await make_api(DATABASE_URL=storage_url)
