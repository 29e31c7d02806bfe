"""One recorded session, replayed on every backend: the same requests give the same bytes.

Only what must differ from run to run is masked: request ids and the wire's own headers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from aiohttp import ClientResponse

from service.contracts import registered
from service.domain.sample import COLUMNS, sample
from tests.contract.backends import BACKENDS

from .conftest import METEORITES, Api, OnBackend
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


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "memory"])
async def test_every_backend_answers_with_the_same_bytes(on_backend: OnBackend, backend: str) -> None:
    """Several hundred requests, errors too, are answered as the memory backend answers them."""
    expected, actual = await _replay(on_backend, "memory"), await _replay(on_backend, backend)
    assert len(expected) > 300
    for step, wanted, found in zip(session(), expected, actual, strict=True):
        assert found == wanted, step


async def _replay(on_backend: OnBackend, backend: str) -> list[bytes]:
    async with on_backend(backend) as api:
        return [await _ask(api, step) for step in session()]


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
