"""The engine sees a view as its rows are: each step is a row function and an SQL expression, and they are equal."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from tests.clocks import FakeClock

from .conftest import Api

AFTER = {"API-Version": "2027-01-01"}

CELLS = [
    "",
    "x",
    "5",
    "-0",
    "007",
    "+1",
    " 5",
    "1.0",
    "2e3",
    "true",
    "TRUE",
    "null",
    "é",
    "a'b",
    'q""',
    "2024-02-29",
]
VALUES = [
    None,
    "x",
    "",
    5,
    -7,
    1.5,
    20.0,
    True,
    False,
    "5",
    "007",
    "true",
    "null",
    "é",
    "a'b",
    [1],
    {"k": "v"},
    10**20,
]

KINDS = ("string", "integer", "number", "boolean")
CASTS = [[{"op": "cast", "column": "v", "to": kind, "lossy": True}] for kind in KINDS]
MAP = [
    {
        "op": "map",
        "column": "v",
        "values": {"5": "five", "x": "5", "a'b": "it's", "true": "yes"},
        "lossy": True,
    }
]
CHAINS = [
    [{"op": "rename", "from": "v", "to": "w"}],
    *CASTS,
    MAP,
    [*CASTS[1], *MAP],
    [*MAP, *CASTS[1]],
    [*MAP, *CASTS[3]],
    [{"op": "add", "column": "n", "value": 5}, {"op": "cast", "column": "n", "to": "string"}],
    [{"op": "add", "column": "n", "value": "x"}, {"op": "map", "column": "n", "values": {"x": "z"}}],
    [{"op": "add", "column": "n", "value": True}],
    [{"op": "add", "column": "n", "value": None}],
]


WRITTEN = {'"cast"': "7", '"map"': "y", "true": False, "null": 5}
"""What a client writes into an added column, by its default or what became of it."""


def comparable(value: Any) -> Any:
    """Return a value of JSON that can be counted."""
    if isinstance(value, (list, dict)):
        return json.dumps(value)
    return (type(value) is bool, float(value) if isinstance(value, int) else value)


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: "-".join(each["op"] for each in chain))
@pytest.mark.parametrize("form", ["csv", "json", "strings", "numbers"])
async def test_what_is_grouped_filtered_and_sorted_is_what_is_shown(
    api: Api, clock: FakeClock, form: str, chain: list[dict[str, Any]]
) -> None:
    """Groups count the values of the rows, an equal filter finds each, and a sort puts nulls last."""
    await load(api, form)
    document = {"date": "2027-01-01", "description": "x", "operations": chain}
    async with api.post("/datasets/d/changes", json=document) as answer:
        assert answer.status == 201, await answer.text()
    clock.move(days=60)
    if chain[0]["op"] == "add":
        await patch(api, {"n": WRITTEN[json.dumps(chain[-1].get("value", chain[-1]["op"]))]})
    rows = (await get(api, "/datasets/d/records"))["records"]
    columns = (await get(api, "/datasets/d"))["columns"]
    for column in columns:
        name = column["name"]
        shown = Counter(comparable(row.get(name)) for row in rows)
        groups = (await get(api, f"/datasets/d/aggregate?group={name}&count"))["rows"]
        assert {comparable(group[name]): group["count"] for group in groups} == shown, name
        in_order = (await get(api, f"/datasets/d/records?sort={name}"))["records"]
        nulls = [row.get(name) is None for row in in_order]
        assert nulls == sorted(nulls)
        if column["type"] in {"string", "integer", "boolean"}:
            await check_filters(api, name, rows)


async def check_filters(api: Api, name: str, rows: list[dict[str, Any]]) -> None:
    """Find the rows that show a value by filtering for it."""
    for value in {row.get(name) for row in rows} - {None}:
        text = value if isinstance(value, str) else json.dumps(value)
        async with api.get("/datasets/d/records", params={f"{name}.eq": text}, headers=AFTER) as answer:
            found = (await answer.json())["records"]
        assert found == [row for row in rows if row.get(name) == value], (name, value)


async def load(api: Api, form: str) -> None:
    """Load the dataset `d` with a column `v`."""
    if form == "csv":
        body, kind = "k,v\n" + "".join(f'{i},"{cell}"\n' for i, cell in enumerate(CELLS)), "text/csv"
    else:
        wanted = {"json": object, "strings": str, "numbers": float}[form]
        values = [value for value in VALUES if value is None or isinstance(value, wanted)]
        body = json.dumps([{"k": 99}, *({"k": i, "v": value} for i, value in enumerate(values))])
        kind = "application/json"
    async with api.put("/datasets/d", data=body.encode(), headers={"Content-Type": kind}) as answer:
        assert answer.status == 201, await answer.text()


async def patch(api: Api, body: dict[str, Any]) -> None:
    """Change the first record."""
    async with api.patch("/datasets/d/records/@0", json=body, headers=AFTER) as answer:
        assert answer.status == 200, await answer.text()


async def get(api: Api, path: str) -> Any:
    """Return what stands at a path for a client of the day of the change."""
    async with api.get(path, headers=AFTER) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()
