"""Golden files of a dataset that has changed three times: every contract, view and format, the same on every store.

`pytest tests/http/test_view_goldens.py --update` rewrites `view_goldens/<day>/<case>.txt` from what is answered now.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.clocks import FakeClock
from tests.contract.backends import BACKENDS

from .conftest import METEORITES, Api, OnBackend
from .test_goldens import CSV, JSON, Case, _render

GOLDENS = Path(__file__).parent / "view_goldens"

CHANGES: dict[str, list[dict[str, Any]]] = {
    "2023-06-01": [
        {"op": "rename", "from": "mass (g)", "to": "grams"},
        {"op": "add", "column": "status", "value": "unknown"},
    ],
    "2023-10-01": [
        {"op": "hide", "column": "fell"},
        {"op": "cast", "column": "grams", "to": "string"},
        {"op": "rename", "from": "name", "to": "place, found"},
    ],
    "2026-11-25": [
        {"op": "map", "column": "recclass", "values": {"L5": "ordinary", "H6": "high iron"}},
        {"op": "cast", "column": "found", "to": "string"},
        {"op": "rename", "from": "status", "to": "state"},
    ],
}

DAYS = ("2023-04-01", "2023-06-01", "2023-09-01", "2023-10-01", "2026-11-20", "2026-11-25")
"""Each contract before and behind changes: a day stands for all until the next."""

CASES = (
    Case("data", "GET", "/data?start=1"),
    Case("data-ndjson", "GET", "/data?format=ndjson"),
    Case("data-csv", "GET", "/data?format=csv"),
    Case("data-parquet", "GET", "/data?format=parquet"),
    Case("records", "GET", "/datasets/landings/records?limit=2&sort=-recclass"),
    Case("records-ndjson", "GET", "/datasets/landings/records?format=ndjson&sort=recclass"),
    Case("records-csv", "GET", "/datasets/landings/records?format=csv&start=1"),
    Case("records-parquet", "GET", "/datasets/landings/records?format=parquet"),
    Case("records-unknown-field", "GET", "/datasets/landings/records?fields=none"),
    Case("record", "GET", "/datasets/landings/records/2"),
    Case("dataset", "GET", "/datasets/landings"),
    Case("changes", "GET", "/datasets/landings/changes"),
    Case("record-patch", "PATCH", "/datasets/landings/records/1", b'{"recclass": "H7"}', JSON),
    Case("record-put", "PUT", "/datasets/landings/records/11", b'{"id": 11, "recclass": "CV3"}', JSON),
    Case("record-put-misfit", "PUT", "/datasets/landings/records/11", b'{"id": 11, "grams": true}', JSON),
)


@pytest.fixture
def clock() -> FakeClock:
    """Give a clock that stands at a day soon after the first contract."""
    return FakeClock(datetime(2023, 5, 1, 12, tzinfo=UTC))


@pytest.mark.parametrize("backend", list(BACKENDS))
async def test_a_view_is_what_it_was(
    on_backend: OnBackend, clock: FakeClock, backend: str, request: pytest.FixtureRequest
) -> None:
    """Each answer in each view equals its golden file, whatever the store."""
    async with on_backend(backend) as api:
        await _prepare(api, clock)
        for day in DAYS:
            for case in CASES:
                headers = {"API-Version": day, **case.headers}
                async with api.request(case.method, case.path, data=case.body, headers=headers) as answer:
                    actual = await _render(answer)
                golden = GOLDENS / day / f"{case.name}.txt"
                if request.config.getoption("--update") and backend == "sqlite":
                    golden.parent.mkdir(parents=True, exist_ok=True)
                    golden.write_bytes(actual)
                assert actual == golden.read_bytes(), f"see {golden}"


def test_no_golden_is_left_over() -> None:
    """Each golden file belongs to a day and a case."""
    expected = {f"{day}/{case.name}.txt" for day in DAYS for case in CASES}
    assert {str(path.relative_to(GOLDENS)) for path in GOLDENS.glob("*/*")} == expected


async def _prepare(api: Api, clock: FakeClock) -> None:
    """Load two datasets in 2023, announce their changes, and let the years go by."""
    for method, path in (("POST", "/data"), ("PUT", "/datasets/landings?key=id")):
        async with api.request(method, path, data=METEORITES, headers=CSV) as answer:
            assert answer.status in {200, 201}, await answer.text()
    for day, operations in CHANGES.items():
        document = {"date": day, "description": f"Since {day}.", "operations": operations}
        for name in ("data", "landings"):
            async with api.post(f"/datasets/{name}/changes", json=document) as answer:
                assert answer.status == 201, await answer.text()
    clock.move(days=1400)
