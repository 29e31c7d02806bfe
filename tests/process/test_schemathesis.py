"""Schemathesis attacks a running service with each contract's own OpenAPI document: all checks, no failure.

A fourth document tells of a dataset, too, and its own paths are attacked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig

from service.contracts import registered
from service.domain.columns import Column, ColumnType
from service.http.openapi_columns import Described
from service.http.openapi_document import openapi
from tests.waiting import PATIENCE_S

ADMIN_KEY = "admin-key-of-the-tests"
REGISTRY = registered()
EXAMPLES = int(os.environ.get("AEROLITE_SCHEMATHESIS_EXAMPLES", "8"))
REFUSED = ["2xx", "304", "400", "401", "403", "404", "409", "410", "412", "415", "422"]
"""What a request may get that fits its schema and yet not what is stored: an unknown column, say."""

CONFIG = {
    "checks": {"positive_data_acceptance": {"expected-statuses": REFUSED}},
    "generation": {"allow-x00": False},
}

_CELL = st.text("abc 12.5,\"'", max_size=6)
_ROWS = st.lists(st.lists(_CELL, min_size=2, max_size=2).map(",".join), max_size=3)
schemathesis.openapi.media_type("text/csv", _ROWS.map(lambda rows: "\n".join(["a,b", *rows]).encode()))
schemathesis.openapi.media_type(
    "application/x-ndjson",
    st.lists(st.fixed_dictionaries({"a": st.integers()}), max_size=3).map(
        lambda records: "".join(f"{json.dumps(record)}\n" for record in records).encode()
    ),
)
schemathesis.openapi.media_type("application/octet-stream", st.binary(max_size=40))
schemathesis.openapi.media_type("application/sql", st.sampled_from([b"SELECT 1", b"SELECT", b""]))


WEIGHTS_CSV = (
    b"id,mass (g),limit,fell,found,seen,nothing\n1,21.5,x,true,1880-01-01,1880-01-01T10:00:00Z,\n2,,y,,,,\n"
)
WEIGHTS = Described(
    "weights",
    tuple(
        Column(name, kind, textual=True)
        for name, kind in {
            "id": ColumnType.INTEGER,
            "mass (g)": ColumnType.NUMBER,
            "limit": ColumnType.STRING,
            "fell": ColumnType.BOOLEAN,
            "found": ColumnType.DATE,
            "seen": ColumnType.TIMESTAMP,
            "nothing": ColumnType.EMPTY,
        }.items()
    ),
    None,
)


def document(number: int, *datasets: Described) -> schemathesis.BaseSchema:
    """Return the schema of a contract."""
    config = SchemathesisConfig.from_dict(CONFIG)
    made = openapi(REGISTRY, REGISTRY.contracts[number], "", datasets)
    return schemathesis.openapi.from_dict(json.loads(json.dumps(made)), config=config)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve, with keys."""
    directory = tmp_path_factory.mktemp("serving")
    environment = {
        **os.environ,
        "PORT": "0",
        "DRAIN_SECONDS": "0",
        "STORAGE_URL": f"sqlite:///{directory}/aerolite.db",
        "SPOOL_DIR": str(directory),
        "AUTH_MODE": "keys",
        "ADMIN_KEY": ADMIN_KEY,
    }
    log = directory / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen([sys.executable, "-m", "service", "serve"], env=environment, stderr=stderr)
        try:
            yield _ready(process, log)
        finally:
            process.kill()
            process.wait()


def _ready(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text().splitlines():
            if '"serving"' in line:
                url: str = json.loads(line)["url"]
                try:
                    with urllib.request.urlopen(f"{url}/readyz"):
                        return url
                except OSError:
                    break
        time.sleep(0.02)
    raise AssertionError(log.read_text())


BOUNDED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def check(case: schemathesis.Case, url: str, contract: str) -> None:
    """Send a case under a contract, unless it is a case of a wrong one, and run all checks on the answer."""
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    if "API-Version" not in (case.headers or {}):
        headers["API-Version"] = contract
    case.call_and_validate(base_url=url, headers=headers, timeout=PATIENCE_S)


first, second, newest = (document(number) for number in range(3))
own = document(2, WEIGHTS).include(path_regex="^/datasets/weights/")


@first.parametrize()
@BOUNDED
def test_the_first_contract_is_as_documented(case: schemathesis.Case, url: str) -> None:
    """Whatever is sent, 2023-04-01 answers as its document says."""
    check(case, url, "2023-04-01")


@second.parametrize()
@BOUNDED
def test_the_second_contract_is_as_documented(case: schemathesis.Case, url: str) -> None:
    """Whatever is sent, 2023-09-01 answers as its document says."""
    check(case, url, "2023-09-01")


@newest.parametrize()
@BOUNDED
def test_the_newest_contract_is_as_documented(case: schemathesis.Case, url: str) -> None:
    """Whatever is sent, 2026-11-20 answers as its document says."""
    check(case, url, "2026-11-20")


@pytest.fixture(scope="module")
def weights(url: str) -> str:
    """Load the dataset that a document tells of."""
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "text/csv"}
    request = urllib.request.Request(f"{url}/datasets/weights", WEIGHTS_CSV, headers, method="PUT")
    with urllib.request.urlopen(request):
        return url


def test_a_dataset_is_told_as_it_was_attacked(weights: str) -> None:
    """What the service tells of the dataset is what the attack has from it."""
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "API-Version": "2026-11-20"}
    with urllib.request.urlopen(
        urllib.request.Request(f"{weights}/openapi.json?dataset=weights", headers=headers)
    ) as answer:
        assert json.load(answer) == json.loads(json.dumps(openapi(REGISTRY, REGISTRY.newest, "", [WEIGHTS])))


@own.parametrize()
@BOUNDED
def test_a_dataset_is_as_documented(case: schemathesis.Case, weights: str) -> None:
    """Whatever is sent, the dataset's own paths answer as the document says, with the columns that it names."""
    for name in ("widen", "on_error"):  # they let in what does not fit the columns
        (case.query or {}).pop(name, None)
    check(case, weights, "2026-11-20")


def test_every_contract_is_attacked() -> None:
    """A new contract needs a test here."""
    assert len(REGISTRY.contracts) == 3
