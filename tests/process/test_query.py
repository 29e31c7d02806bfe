"""The flow that users of a plain database API start from, against `aerolite serve` as it is run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.http.leaving import CLIENT_LEFT
from tests.contract.backends.postgres import run_server
from tests.servers import Servers
from tests.waiting import patience, until

from .serving import Serving, serving

CREATE = "create table account (id_user serial PRIMARY KEY, username VARCHAR(50) NOT NULL)"
ENDLESS = "with recursive t(a) as (select 1 union all select a + 1 from t) select count(*) from t"
LANDINGS = b"name,id,mass (g)\nAachen,1,21\nAarhus,2,720.5\n"


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Keep the servers of this module."""
    with Servers() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql", "postgresql beside sqlite"])
async def settings(
    request: pytest.FixtureRequest, tmp_path: Path, servers: Servers
) -> AsyncIterator[dict[str, str]]:
    """Name the storage and the database."""
    if request.param == "sqlite":
        yield {}
        return
    server = await asyncio.to_thread(servers.get, run_server)
    async with server.database() as url:
        yield {"DATABASE_URL": url} if "beside" in request.param else {"STORAGE_URL": url}


async def query(server: Serving, sql: str, **members: Any) -> Any:
    """Return the answer to a statement: its text, or its JSON."""
    body = {"query": sql, **members}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{server.url}/query", json=body) as answer,
    ):
        text = await answer.text()
        assert answer.status == 200, text
        return await answer.json() if answer.content_type == "application/json" else text


async def test_an_account_is_created_filled_read_and_kept(tmp_path: Path, settings: dict[str, str]) -> None:
    """`OK`, `OK`, and the row: to the letter, without a header; it is there after a SIGKILL."""
    async with serving(tmp_path, **settings) as server:
        assert await query(server, CREATE) == "OK"
        assert await query(server, "insert into account (username) values ('ada')") == "OK"
        ada = {"result": [{"id_user": 1, "username": "ada"}]}
        assert await query(server, "select * from account") == ada
        server.kill()
        await server.wait()
    async with serving(tmp_path, **settings) as server:
        assert await query(server, "select * from account") == ada
        assert await query(server, "update account set username = 'eve'") == "OK"
        assert await query(server, "insert into account (username) values ('bob')") == "OK"
        found = await query(server, "select username from account where id_user = 2")
        assert found == {"result": [{"username": "bob"}]}
        assert await query(server, "drop table account") == "OK"


async def test_datasets_are_asked_beside_it(tmp_path: Path, settings: dict[str, str]) -> None:
    """In the database where the storage is its like, and always by the reader of datasets."""
    sql = 'select name from landings where "mass (g)" > 100'
    async with serving(tmp_path, **settings) as server:
        async with (
            aiohttp.ClientSession(headers={"Content-Type": "text/csv"}) as session,
            session.put(f"{server.url}/datasets/landings", data=LANDINGS) as answer,
        ):
            assert answer.status == 201
        assert await query(server, sql, database="datasets") == {"result": [{"name": "Aarhus"}]}
        if "DATABASE_URL" not in settings:
            assert await query(server, sql) == {"result": [{"name": "Aarhus"}]}


async def test_a_client_that_leaves_is_no_error_of_the_service(tmp_path: Path) -> None:
    """The log says that it left, long before its statement's time is over, and tells of no failure."""
    async with serving(tmp_path, SQL_TIMEOUT_SECONDS="3600") as server:

        async def left() -> bool:
            """Leave; a busy machine may not have seen the request by then."""
            leaving = asyncio.create_task(query(server, ENDLESS))
            await asyncio.wait({leaving}, timeout=0.5)
            leaving.cancel()
            await asyncio.wait({leaving})
            return any(line.get("status") == CLIENT_LEFT for line in server.lines)

        async with patience():
            while not await left():
                pass
    assert [line for line in server.lines if line.get("level") == "error"] == []


async def test_a_statement_ends_with_a_service_that_is_killed(tmp_path: Path) -> None:
    """No process is left that computes for nobody."""
    async with serving(tmp_path, SQL_TIMEOUT_SECONDS="3600") as server:
        asked = asyncio.create_task(query(server, ENDLESS))
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
        await until(lambda: any(computing(pid) for pid in children.read_text().split()))
        child = next(pid for pid in children.read_text().split() if computing(pid))
        server.kill()
        await until(lambda: state_of(child) in {"", "Z"})
        with pytest.raises(aiohttp.ClientError):
            await asked


def state_of(pid: str) -> str:
    """Return the letter for what a process does, `Z` where it has ended and nobody has asked how."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def computing(pid: str) -> bool:
    """Return whether a process has computed for longer than any that only starts."""
    with suppress(FileNotFoundError, ProcessLookupError):
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])
        return ticks > 2 * os.sysconf("SC_CLK_TCK")
    return False
