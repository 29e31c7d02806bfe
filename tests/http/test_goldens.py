"""Golden files: every contract answers every case, to the byte, as it did on the day it was released, on every store.

A Parquet file is held against its columns and rows, for its bytes are the engine's. `pytest tests/http/test_goldens.py --update` rewrites `tests/goldens/<date>/<case>` from what is answered now.
A file that changed for an old contract is a promise that was broken, so read its diff twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from tempfile import NamedTemporaryFile

import duckdb
import pytest
from aiohttp import ClientResponse

from service.contracts import registered
from service.contracts.schemas import PARQUET
from tests.clocks import FakeClock
from tests.contract.backends import BACKENDS

from .conftest import OnBackend, load_meteorites

GOLDENS = Path(__file__).parent.parent / "goldens"
CONTRACTS = [contract.date.isoformat() for contract in registered().contracts]
CSV = {"Content-Type": "text/csv"}
JSON = {"Content-Type": "application/json"}
SQL = {"Content-Type": "application/sql"}
QUERY = b"select * from landings where id > ? order by id"

_SHOWN = (
    "Allow", "API-Version", "API-Version-Source", "Cache-Control", "Content-Type", "Dataset-Version",
    "Deprecation", "ETag", "Link", "Location", "Retry-After", "Sunset", "Vary", "WWW-Authenticate",
    "X-Content-Type-Options", "X-Total-Count",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One request, to a service whose `data` and `landings` hold five meteorites."""

    name: str
    method: str
    path: str
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


CASES = (
    Case("data", "GET", "/data"),
    Case("data-head", "HEAD", "/data"),
    Case("data-start", "GET", "/data?start=3"),
    Case("data-past-the-end", "GET", "/data?start=5"),
    Case("data-limit", "GET", "/data?limit=2"),
    Case("data-limit-all", "GET", "/data?limit=all&start=1"),
    Case("data-limit-too-large", "GET", "/data?limit=10001"),
    Case("data-negative-start", "GET", "/data?start=-1"),
    Case("data-fields", "GET", "/data?fields=id,mass (g)&start=1"),
    Case("data-unknown-parameter", "GET", "/data?strat=1"),
    Case("data-ndjson", "GET", "/data?format=ndjson"),
    Case("data-csv", "GET", "/data?start=2", headers={"Accept": "text/csv"}),
    Case("data-parquet", "GET", "/data?format=parquet"),
    Case("data-load-sample", "POST", "/data"),
    Case("data-load-csv", "POST", "/data", b"a,b\n1,x\n", CSV),
    Case("data-load-json", "POST", "/data", b'[{"a": 1.0, "b": [1, 2]}]', JSON),
    Case("data-load-ragged", "POST", "/data", b"a,b\n1,x\n2\n", CSV),
    Case("data-load-unsupported", "POST", "/data", b"<a/>", {"Content-Type": "application/xml"}),
    Case("data-delete", "DELETE", "/data"),
    Case("data-put", "PUT", "/data", b"", CSV),
    Case("datasets", "GET", "/datasets"),
    Case("dataset", "GET", "/datasets/landings"),
    Case("dataset-unknown", "GET", "/datasets/nothing"),
    Case("dataset-create", "PUT", "/datasets/new", b'[{"a": 1}]', JSON),
    Case("dataset-replace", "PUT", "/datasets/landings", b"a\n1\n", CSV),
    Case("dataset-title", "PATCH", "/datasets/landings", b'{"title": "Landings"}', JSON),
    Case("dataset-delete", "DELETE", "/datasets/landings"),
    Case("records", "GET", "/datasets/landings/records?limit=2"),
    Case("records-ndjson", "GET", "/datasets/landings/records?format=ndjson&sort=-id"),
    Case("records-csv", "GET", "/datasets/landings/records?format=csv&fell=true"),
    Case("records-parquet", "GET", "/datasets/landings/records?format=parquet&start=1"),
    Case("aggregate", "GET", "/datasets/landings/aggregate?group=fell&count&avg=mass (g)"),
    Case("records-bad-cursor", "GET", "/datasets/landings/records?after=nonsense"),
    Case("records-append", "POST", "/datasets/landings/records", b'{"name": "Barea", "id": 12}', JSON),
    Case("records-append-duplicate", "POST", "/datasets/landings/records", b'{"id": 1}', JSON),
    Case("records-append-misfit", "POST", "/datasets/landings/records", b'{"id": 12, "fell": "maybe"}', JSON),
    Case("record", "GET", "/datasets/landings/records/10"),
    Case("record-by-position", "GET", "/datasets/data/records/@3"),
    Case("record-unknown", "GET", "/datasets/landings/records/12"),
    Case("record-put", "PUT", "/datasets/landings/records/10", b'{"id": "10", "mass (g)": 1.50}', JSON),
    Case("record-patch", "PATCH", "/datasets/landings/records/2", b'{"recclass": null, "mass (g)": 7}', JSON),
    Case("record-delete", "DELETE", "/datasets/landings/records/1"),
    Case("query", "POST", "/query", b'{"query": "%b", "params": [5], "database": "datasets"}' % QUERY, JSON),
    Case("query-csv", "POST", "/query?database=datasets&format=csv", b"select id, fell from landings", SQL),
    Case("query-unknown-member", "POST", "/query", b'{"query": "select 1", "database_name": "x"}', JSON),
    Case("query-unknown-database", "POST", "/query?database=other", b"select 1", SQL),
    Case("query-names", "GET", "/query?database=datasets"),
    Case("favorite", "GET", "/favorite"),
    Case("favorite-post", "POST", "/favorite", b"{}", JSON),
    Case("versions", "GET", "/versions"),
    Case("path-unknown", "GET", "/nothing"),
)


@pytest.mark.parametrize("backend", list(BACKENDS))
@pytest.mark.parametrize("contract", CONTRACTS)
async def test_answers_are_what_they_were(
    on_backend: OnBackend, clock: FakeClock, contract: str, backend: str, request: pytest.FixtureRequest
) -> None:
    """Each answer equals its golden file, but for the request's id, whatever the store."""
    for cases in _services():
        async with on_backend(backend) as api:
            await load_meteorites(api)
            # The tests stand on a day on which a contract to come cannot be asked for.
            clock.move(days=max(0, (date.fromisoformat(contract) - clock.now().date()).days))
            for case in cases:
                headers = {"API-Version": contract, **case.headers}
                async with api.request(case.method, case.path, data=case.body, headers=headers) as answer:
                    actual = await _render(answer)
                golden = GOLDENS / contract / f"{case.name}.txt"
                if request.config.getoption("--update") and backend == "sqlite":
                    golden.parent.mkdir(exist_ok=True)
                    golden.write_bytes(actual)
                assert actual == golden.read_bytes(), f"see {golden}"


def _services() -> Iterator[list[Case]]:
    """Yield the cases that a service is asked: all that only read, and each of the others alone."""
    yield [case for case in CASES if case.method in {"GET", "HEAD"}]
    yield from ([case] for case in CASES if case.method not in {"GET", "HEAD"})


def test_no_golden_is_left_over() -> None:
    """Each golden file belongs to a contract and a case."""
    expected = {f"{contract}/{case.name}.txt" for contract in CONTRACTS for case in CASES}
    assert {str(path.relative_to(GOLDENS)) for path in GOLDENS.glob("*/*")} == expected


async def _render(answer: ClientResponse) -> bytes:
    lines = [f"{answer.status}"]
    lines += [f"{name}: {answer.headers[name]}" for name in _SHOWN if name in answer.headers]
    body = await answer.read()
    if answer.content_type == PARQUET and answer.status == 200:
        body = _decoded(body)
    body = re.sub(rb'"instance":"[^"]*"', b'"instance":"-"', body)
    return "\n".join(lines).encode() + b"\n\n" + body


def _decoded(parquet: bytes) -> bytes:
    """Return a Parquet file as lines: its columns with their types, and its rows."""
    with NamedTemporaryFile(suffix=".parquet") as file, duckdb.connect() as connection:
        file.write(parquet)
        file.flush()
        relation = connection.read_parquet(file.name)
        lines = [f"{name} {kind}" for name, kind in zip(relation.columns, relation.types, strict=True)]
        lines += [json.dumps(row, ensure_ascii=False, default=str) for row in relation.fetchall()]
    return "\n".join(lines).encode()
