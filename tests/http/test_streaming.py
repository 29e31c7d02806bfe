"""Long answers are streamed, of one revision, and never look whole where they are not."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from dependency_injector import providers

from containers import build_container
from service.settings import Settings
from tests.clocks import FakeClock
from tests.contract.backends import BACKENDS
from tests.servers import Servers
from tests.waiting import patience

from .conftest import NEWEST, SECOND, Api

ROWS = 60_000
JSON = {"Content-Type": "application/json"}
IDENTITY = {"Accept-Encoding": "identity"}


def big_csv() -> bytes:
    """Return a CSV whose records come to some 8 MiB."""
    padding = "x" * 100
    return b"id,text\n" + b"".join(f"{number},{padding}\n".encode() for number in range(ROWS))


@pytest.fixture(scope="module")
def servers() -> AsyncIterator[Servers]:
    """Keep the servers of this module."""
    with Servers() as running:
        yield running


@pytest.fixture(params=["sqlite", "redis"])
async def streaming(
    request: pytest.FixtureRequest,
    servers: Servers,
    tmp_path: Path,
    clock: FakeClock,
    aiohttp_client: Callable[..., Awaitable[Api]],
) -> AsyncIterator[tuple[Api, bool]]:
    """Give a client of a service with a big dataset, and whether its store has snapshots."""
    async with BACKENDS[request.param].make(clock, tmp_path, servers) as backend:
        container = build_container(Settings.from_env({"STORAGE_URL": "memory://", "CACHE_BYTES": "0"}))
        container.storage.override(providers.Object(backend.open()))
        server = TestServer(container.application())
        await server.start_server(auto_decompress=False)
        client = await aiohttp_client(server)
        csv = {"Content-Type": "text/csv"}
        async with client.put("/datasets/big?key=id", data=io.BytesIO(big_csv()), headers=csv) as answer:
            assert answer.status == 201
        async with client.post("/data", data=io.BytesIO(big_csv()), headers=csv) as answer:
            assert answer.status == 200
        yield client, backend.snapshots_hold
        await client.close()


async def test_every_contract_streams_everything(streaming: tuple[Api, bool]) -> None:
    """The first two contracts give all by default, the newest with `limit=all`."""
    api, _ = streaming
    asked = [("/data", {}), ("/data", SECOND), ("/data?limit=all", NEWEST)]
    for url, headers in asked:
        async with api.get(url, headers={**headers, **IDENTITY}) as answer:
            assert answer.headers["Transfer-Encoding"] == "chunked"
            found = json.loads(await answer.read())
        records = found if isinstance(found, list) else found["records"]
        assert [int(record["id"]) for record in records] == list(range(ROWS))


async def test_a_long_limited_answer_says_where_to_go_on(streaming: tuple[Api, bool]) -> None:
    """A stream that stops at its limit names the next page before it begins."""
    api, _ = streaming
    async with api.get("/data?limit=50000", headers={**SECOND, **IDENTITY}) as answer:
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert len(await answer.json()) == 50_000
        following = answer.links["next"]["url"]
    async with api.get(following.relative(), headers=SECOND) as answer:
        assert (await answer.json())[0]["id"] == "50000"


async def test_head_of_a_stream_has_no_body(streaming: tuple[Api, bool]) -> None:
    """HEAD of a long answer reads nothing."""
    api, _ = streaming
    async with api.head("/data", headers=IDENTITY) as answer:
        assert (answer.status, await answer.read()) == (200, b"")


async def test_appends_after_its_start_are_not_in_an_answer(streaming: tuple[Api, bool]) -> None:
    """A stream ends where the dataset ended when it began."""
    api, _ = streaming
    url = "/datasets/big/records?limit=all&format=ndjson"
    async with api.get(url, headers=IDENTITY) as answer:
        first = await answer.content.readline()
        async with api.post("/datasets/big/records", data=b'{"id": 60000}', headers=JSON) as appended:
            assert appended.status == 201
        rest = await answer.content.read()
    assert json.loads(first)["id"] == 0
    assert rest.count(b"\n") == ROWS - 1


async def test_an_edit_under_a_stream_is_never_mixed_in(streaming: tuple[Api, bool]) -> None:
    """A store with snapshots goes on with the old revision; without, the connection is cut."""
    api, snapshots_hold = streaming
    url = "/datasets/big/records?limit=all&format=ndjson"
    async with api.get(url, headers=IDENTITY) as answer:
        await answer.content.readline()
        patch = b'{"text": "changed"}'
        async with api.patch("/datasets/big/records/59999", data=patch, headers=JSON) as edited:
            assert edited.status == 200
        if snapshots_hold:
            assert b"changed" not in await answer.content.read()
        else:
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.content.read()


async def test_a_client_that_leaves_is_let_go(streaming: tuple[Api, bool]) -> None:
    """Half-read answers hold nothing: many of them do not keep the next client waiting."""
    api, _ = streaming
    for _ in range(40):
        async with api.get("/data", headers=IDENTITY) as answer:
            await answer.content.readexactly(10)
            answer.close()
    async with patience(), api.get("/data?start=59999", headers=IDENTITY) as answer:
        assert (await answer.json())[0]["id"] == "59999"
