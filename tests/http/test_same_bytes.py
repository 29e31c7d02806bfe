"""One recorded session, replayed on every backend: the same requests give the same bytes.

Only what must differ from run to run is masked: request ids and the wire's own headers.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestServer
from dependency_injector import providers

from containers import build_container
from service.contracts import registered
from service.domain.sample import COLUMNS, sample
from service.settings import Settings
from tests.clocks import FakeClock
from tests.contract.backends import BACKENDS
from tests.servers import Servers

from .conftest import METEORITES, TODAY, Api
from .test_goldens import CASES, CSV, JSON, Case

CONTRACTS = [contract.date.isoformat() for contract in registered().contracts]

_VOLATILE = {"Date", "Server", "X-Request-ID", "Content-Length"}


def session() -> Sequence[Case]:
    """Return the session: every golden case under every contract, and a dataset's whole life beside it."""
    steps = [
        Case("load", "POST", "/data", METEORITES, CSV),
        Case("load", "PUT", "/datasets/landings?key=id", METEORITES, CSV),
        Case("load", "PUT", "/datasets/sample?key=id", _sample_csv(), CSV),
    ]
    for contract in CONTRACTS:
        steps += [replace(case, headers={"API-Version": contract, **case.headers}) for case in CASES]
        steps += _life(contract)
    return steps


def _life(contract: str) -> list[Case]:
    """Return requests that page, edit, delete and page again, so that positions grow sparse."""
    headers = {"API-Version": contract, **JSON}
    url = "/datasets/sample/records"
    steps = [
        Case("page", "GET", f"{url}?start={start}&limit=7", None, headers) for start in range(0, 320, 40)
    ]
    for key in range(10_010, 10_290, 13):
        steps.append(Case("delete", "DELETE", f"{url}/{key}", None, headers))
        steps.append(Case("patch", "PATCH", f"{url}/{key + 1}", b'{"recclass": "X"}', headers))
    steps += [
        Case("page", "GET", f"{url}?start={start}&limit=7", None, headers) for start in range(0, 320, 40)
    ]
    steps.append(
        Case("append", "POST", f"{url}?on_conflict=replace", b'[{"id": 10002}, {"id": 99}]', headers)
    )
    steps.append(Case("append", "POST", f"{url}?on_conflict=ignore", b'[{"id": 10003}, {"id": 98}]', headers))
    steps.append(Case("tail", "GET", f"{url}?start=270&limit=all&format=csv", None, headers))
    steps.append(Case("load", "PUT", "/datasets/sample?key=id", _sample_csv(), {**headers, **CSV}))
    return steps


@pytest.fixture(scope="module")
def servers() -> AsyncIterator[Servers]:
    """Keep the servers of this module."""
    with Servers() as running:
        yield running


Replay = Callable[[str], Awaitable[list[bytes]]]


@pytest.fixture
async def replay(servers: Servers, tmp_path: Path, aiohttp_client: Callable[..., Awaitable[Api]]) -> Replay:
    """Give a function that replays the session on a backend and returns its answers."""

    @asynccontextmanager
    async def service(name: str) -> AsyncIterator[Api]:
        clock = FakeClock(TODAY)
        directory = tmp_path / name
        directory.mkdir()
        async with BACKENDS[name].make(clock, directory, servers) as backend:
            container = build_container(Settings.from_env({"STORAGE_URL": "memory://"}))
            container.clock.override(providers.Object(clock))
            container.storage.override(providers.Object(backend.open()))
            server = TestServer(container.application())
            await server.start_server(auto_decompress=False)
            client = await aiohttp_client(server)
            yield client
            await client.close()

    async def play(name: str) -> list[bytes]:
        async with service(name) as api:
            return [await _ask(api, step) for step in session()]

    return play


@pytest.mark.timeout(600)
@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "memory"])
async def test_every_backend_answers_with_the_same_bytes(replay: Replay, backend: str) -> None:
    """Several hundred requests, errors too, are answered as the memory backend answers them."""
    expected, actual = await replay("memory"), await replay(backend)
    assert len(expected) > 300
    for step, wanted, found in zip(session(), expected, actual, strict=True):
        assert found == wanted, step


async def _ask(api: Api, step: Case) -> bytes:
    async with api.request(step.method, step.path, data=step.body, headers=step.headers) as answer:
        return await _masked(answer)


async def _masked(answer: ClientResponse) -> bytes:
    kept = sorted(f"{name}: {value}" for name, value in answer.headers.items() if name not in _VOLATILE)
    body = re.sub(rb'"instance":"[^"]*"', b"", await answer.read())
    return f"{answer.status}\n{kept}\n".encode() + body


def _sample_csv() -> bytes:
    lines = [",".join(COLUMNS)]
    lines += [",".join(f'"{value}"' for value in record.values()) for record in sample()]
    return "\n".join(lines).encode()
