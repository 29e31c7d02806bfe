"""A contract that changed columns: its change is a lens, and what a client of before sees follows from it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path

import duckdb
import pytest
from aiohttp.test_utils import TestServer
from dependency_injector import providers
from openapi_spec_validator import OpenAPIV31SpecValidator

from containers import Container
from service.contracts import registered
from service.contracts.changes import Change
from service.contracts.registry import Contract, Registry
from service.lenses.operations import AnyOperation, Hide, MapValues, Rename

from .conftest import METEORITES, Api
from .test_goldens import CSV

OLD, NEW = {"API-Version": "2026-11-20"}, {"API-Version": "2026-11-25"}
RECORDS = "/datasets/landings/records"
LENSES: tuple[AnyOperation, ...] = (
    Rename("mass (g)", "grams"),
    Hide("found"),
    MapValues("recclass", {"L5": "ordinary"}),
    Rename("nothing of the kind", "something"),
    Rename("fell", "name"),
)
OPERATIONS = ("data.read", "records.read", "records.aggregate")


class Clearer(Change):
    """Columns had other names, and one more was there."""

    description = "Columns have clearer names."
    lenses = dict.fromkeys(OPERATIONS, LENSES)


@pytest.fixture
async def api(make_container: Callable[..., Container], aiohttp_client: Callable[..., Awaitable[Api]]) -> Api:
    """Give a client of a service with one contract more, and two datasets."""
    container = make_container()
    released = registered()
    contracts = [*released.contracts[:3], Contract(date(2026, 11, 25), "Clearer names.", (Clearer,))]
    container.registry.override(providers.Object(Registry(contracts, released.operations.values())))
    server = TestServer(container.application())
    await server.start_server(auto_decompress=False)
    client = await aiohttp_client(server)
    for method, path in (("POST", "/data"), ("PUT", "/datasets/landings?key=id")):
        async with client.request(method, path, data=METEORITES, headers=CSV) as answer:
            assert answer.status in {200, 201}
    return client


async def told(api: Api, path: str, headers: dict[str, str]) -> str:
    """Return what a path answers under a contract."""
    async with api.get(path, headers=headers) as answer:
        text = await answer.text()
        assert answer.status == 200, text
        return text


async def test_records_are_led_back(api: Api, tmp_path: Path) -> None:
    """Old clients see the old names and values in JSON, CSV and Parquet, new ones what is stored; also when cached."""
    new = ["name", "id", "recclass", "mass (g)", "fell", "found"]
    old = ["name", "id", "recclass", "grams", "fell"]
    for path in ("/data", RECORDS):
        for _ in range(2):
            for headers, names, kind in ((OLD, old, "ordinary"), (NEW, new, "L5")):
                first = json.loads(await told(api, path, headers))["records"][0]
                assert (list(first), first["recclass"], first["id"]) == (names, kind, 1)
                lines = csv.reader(io.StringIO(await told(api, f"{path}?format=csv", headers)))
                assert next(lines) == names
    async with api.get(f"{RECORDS}?format=parquet", headers=OLD) as answer:
        (tmp_path / "old.parquet").write_bytes(await answer.read())
    with duckdb.connect() as connection:
        assert connection.read_parquet(str(tmp_path / "old.parquet")).columns == old


async def test_questions_speak_of_the_old_columns(api: Api) -> None:
    """Filters, `sort`, `fields`, facets and groups know the names and values of the contract, and no others."""
    asked = f"{RECORDS}?grams.gt=20&sort=-grams&fields=id,grams&limit=2"
    page = json.loads(await told(api, asked, OLD))
    assert [record["id"] for record in page["records"]] == [11, 6]
    assert list(page["records"][0]) == ["id", "grams"]
    following = json.loads(await told(api, page["next"], OLD))
    assert [record["id"] for record in following["records"]] == [2, 1]
    assert json.loads(await told(api, f"{RECORDS}?recclass=ordinary", OLD))["count"] == 1
    groups = json.loads(await told(api, "/datasets/landings/aggregate?group=fell&max=grams", OLD))
    assert groups["rows"][-1] == {"fell": True, "max(grams)": 2e6}
    for path, headers in ((f"{RECORDS}?found=1880-01-01", OLD), (f"{RECORDS}?grams=21", NEW)):
        async with api.get(path, headers=headers) as answer:
            assert answer.status == 400
    cursor = page["next"].partition("?")[2]
    async with api.get(f"{RECORDS}?{cursor}", headers=NEW) as answer:
        assert answer.status == 400


async def test_changes_of_the_dataset_come_first(api: Api) -> None:
    """What an owner has renamed before keeps its new name; the contract leads what is left."""
    change = {
        "date": "2026-12-02",
        "description": "x",
        "operations": [{"op": "rename", "from": "mass (g)", "to": "weight"}],
    }
    async with api.post("/datasets/landings/changes", json=change) as answer:
        assert answer.status == 201
    first = json.loads(await told(api, RECORDS, OLD))["records"][0]
    assert "grams" in first, "the day asked for lies before the change"


@pytest.mark.parametrize("headers", [OLD, NEW])
async def test_openapi_tells_nothing_that_is_not_so(api: Api, headers: dict[str, str]) -> None:
    """Columns that a contract's lenses lead are left to the general schema; the others are told."""
    document = json.loads(await told(api, "/openapi.json", headers))
    OpenAPIV31SpecValidator(document).validate()
    schema = document["paths"]["/data"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/" + ("Page" if headers is OLD else "Page.data")}
    record = document["paths"][f"{RECORDS}/{{key}}"]["get"]["responses"]["200"]["content"]
    assert record["application/json"]["schema"] == {"$ref": "#/components/schemas/Record.landings"}
