"""The promise itself: a script written for 2023-04-01 passes unchanged, whatever the owner changes."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from tests.clocks import FakeClock

from .conftest import METEORITES, Api
from .test_changes import ADD, CAST, HIDE, MAP, RENAME
from .test_view_goldens import CHANGES

DAY = {"API-Version": "2023-04-01"}
CSV = {**DAY, "Content-Type": "text/csv"}

EVERY_CHANGE: list[list[dict[str, Any]]] = [
    [RENAME],
    [HIDE],
    [ADD],
    [CAST | {"column": "mass (g)"}],
    [MAP],
    [CAST | {"column": "name", "to": "integer", "lossy": True}],
    [RENAME, HIDE, ADD, MAP],
    [operation for operations in CHANGES.values() for operation in operations],
]


async def script(api: Api) -> None:
    """Use the service as somebody did in April 2023."""
    async with api.post("/data", data=METEORITES, headers=CSV) as answer:
        assert (answer.status, await answer.text()) == (200, "Loaded 5 records\n")
    async with api.get("/data?start=3", headers=DAY) as answer:
        assert await answer.json() == [
            {
                "name": 'Björböle, "B"',
                "id": "10",
                "recclass": "",
                "mass (g)": "",
                "fell": "false",
                "found": "",
            },
            {
                "name": "Allende",
                "id": "11",
                "recclass": "CV3",
                "mass (g)": "2e6",
                "fell": "true",
                "found": "1969-02-08",
            },
        ]
    async with api.get("/data?format=csv", headers=DAY) as answer:
        rows = list(csv.reader(io.StringIO(await answer.text())))
    assert rows[0] == ["name", "id", "recclass", "mass (g)", "fell", "found"]
    assert rows[2] == ["Aarhus", "2", "H6", "720.50", "true", "1951-10-02"]
    async with api.get("/data?fields=mass (g),name&start=4", headers=DAY) as answer:
        assert await answer.json() == [{"mass (g)": "2e6", "name": "Allende"}]
    async with api.post(
        "/datasets/data/records", data=b"id,fell,name\n12,true,Barea\n", headers=CSV
    ) as answer:
        assert answer.status == 201
    record = {"name": "Barea", "id": 12, "recclass": "L5", "mass (g)": 3.2, "fell": False}
    async with api.put("/datasets/data/records/@5", json=record, headers=DAY) as answer:
        assert (answer.status, await answer.json()) == (200, record)
    async with api.patch(
        "/datasets/data/records/@5", json={"recclass": "H6", "fell": None}, headers=DAY
    ) as answer:
        assert answer.status == 200
    async with api.get("/data?start=5", headers=DAY) as answer:
        assert await answer.json() == [{"name": "Barea", "id": 12, "recclass": "H6", "mass (g)": 3.2}]
    async with api.get(
        "/datasets/data/records?mass (g).gt=100&sort=-mass (g)&fields=name", headers=DAY
    ) as answer:
        assert [each["name"] for each in (await answer.json())["records"]] == ["Allende", "Abee", "Aarhus"]
    async with api.get("/datasets/data", headers=DAY) as answer:
        columns = [column["name"] for column in (await answer.json())["columns"]]
        assert columns == ["name", "id", "recclass", "mass (g)", "fell", "found"]
    async with api.delete("/data", headers=DAY) as answer:
        assert (answer.status, await answer.text()) == (200, "Deleted 6 records\n")


@pytest.mark.parametrize("operations", EVERY_CHANGE, ids=lambda each: "-".join(one["op"] for one in each))
async def test_the_script_of_2023_passes_after_every_change(
    api: Api, clock: FakeClock, operations: list[dict[str, Any]]
) -> None:
    """It passes before a change, behind it, and after a client of today has rewritten what it sees."""
    await script(api)
    async with api.post("/data", data=METEORITES, headers=CSV):
        pass
    document = {"date": "2027-01-01", "description": "Something new.", "operations": operations}
    async with api.post("/datasets/data/changes", json=document) as answer:
        assert answer.status == 201, await answer.text()
    clock.move(days=60)
    after = {"API-Version": "2027-01-20"}
    before = await names(api)
    async with api.get("/datasets/data/records/@1", headers=after) as answer:
        assert answer.headers["Dataset-Version"] == "2027-01-01"
        record = await answer.json()
    async with api.put("/datasets/data/records/@1", json=record, headers=after) as answer:
        assert answer.status == 200, await answer.text()
    assert await names(api) == before
    await script(api)


async def names(api: Api) -> list[str]:
    """Return what the column `name` holds for the client of 2023."""
    async with api.get("/data", headers=DAY) as answer:
        return [row["name"] for row in await answer.json()]
