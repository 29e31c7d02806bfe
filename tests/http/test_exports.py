"""Exports: everything that matches, as a file in any format, streamed."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from .conftest import NEWEST, Api

ROWS = 30_000
_TEXT = "x" * 200


@pytest.fixture
async def large(api: Api) -> Api:
    """Give a client of a service with a dataset that is longer than a body in memory."""
    lines = (f"{at},{at % 7},{at / 8},{_TEXT}\n" for at in range(ROWS))
    body = "id,group,share,text\n" + "".join(lines)
    async with api.put(
        "/datasets/large", data=io.BytesIO(body.encode()), headers={"Content-Type": "text/csv"}
    ) as answer:
        assert answer.status == 201
    return api


def parquet(body: bytes, directory: Path) -> Any:
    """Return the relation in a Parquet file."""
    path = directory / "answer.parquet"
    path.write_bytes(body)
    return duckdb.connect().read_parquet(str(path))


async def test_all_that_matches_streams_as_json(large: Api) -> None:
    """`limit=all` with a filter and a sort gives one page with all of it, without a fixed length."""
    async with large.get("/datasets/large/records?limit=all&group.ne=3&sort=-id", headers=NEWEST) as answer:
        assert answer.status == 200
        assert "Content-Length" not in answer.headers
        assert answer.headers["Content-Disposition"] == 'inline; filename="large.json"'
        page = json.loads(await answer.read())
    expected = [at for at in reversed(range(ROWS)) if at % 7 != 3]
    assert [record["id"] for record in page["records"]] == expected
    assert page["count"] == len(expected)
    assert page["next"] is None


async def test_a_long_page_streams_and_says_where_to_go_on(large: Api) -> None:
    """A page too long for memory is cut at its limit, and its cursor leads to the rest."""
    ids: list[int] = []
    path = "/datasets/large/records?limit=10000&group.lt=5&sort=group,-id"
    while path:
        async with large.get(path, headers=NEWEST) as answer:
            page = json.loads(await answer.read())
        assert page["start"] == len(ids)
        ids += [record["id"] for record in page["records"]]
        path = page["next"]
    assert ids == sorted((at for at in range(ROWS) if at % 7 < 5), key=lambda at: (at % 7, -at))


@pytest.mark.parametrize(("form", "extension"), [("ndjson", "ndjson"), ("csv", "csv")])
async def test_all_that_matches_comes_as_a_file(large: Api, form: str, extension: str) -> None:
    """NDJSON and CSV of all that matches are attachments with the dataset's name."""
    url = f"/datasets/large/records?limit=all&id.gte=100&format={form}&fields=id,share"
    async with large.get(url, headers=NEWEST) as answer:
        assert answer.headers["Content-Disposition"] == f'attachment; filename="large.{extension}"'
        text = await answer.text()
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        assert [int(row["id"]) for row in rows] == list(range(100, ROWS))
    else:
        assert [json.loads(line)["id"] for line in text.splitlines()] == list(range(100, ROWS))


async def test_parquet_holds_what_matches_with_its_types(large: Api, tmp_path: Path) -> None:
    """A Parquet file has the wanted columns, typed, in the order asked for."""
    url = "/datasets/large/records?format=parquet&limit=all&group=2&sort=-id&fields=id,share,text"
    async with large.get(url, headers=NEWEST) as answer:
        assert answer.headers["Content-Type"] == "application/vnd.apache.parquet"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="large.parquet"'
        found = parquet(await answer.read(), tmp_path)
    assert list(zip(found.columns, map(str, found.types), strict=True)) == [
        ("id", "BIGINT"),
        ("share", "DOUBLE"),
        ("text", "VARCHAR"),
    ]
    assert found.fetchall() == [(at, at / 8, _TEXT) for at in reversed(range(ROWS)) if at % 7 == 2]


async def test_a_parquet_page_has_its_limit_and_says_what_follows(large: Api, tmp_path: Path) -> None:
    """Parquet is a page like any other: 100 records, and a link to the next."""
    url = "/datasets/large/records"
    seen = []
    headers = {**NEWEST, "Accept": "application/vnd.apache.parquet"}
    for _ in range(2):
        async with large.get(url, headers=headers) as answer:
            seen += [row[0] for row in parquet(await answer.read(), tmp_path).fetchall()]
            url = str(answer.links["next"]["url"].relative())
    assert seen == list(range(200))


async def test_an_old_contract_exports_values_as_they_were_loaded(loaded: Api, tmp_path: Path) -> None:
    """Before values had types, Parquet holds the text of the file."""
    async with loaded.get("/data?format=parquet&fields=mass (g),fell", headers={}) as answer:
        assert answer.status == 200
        rows = parquet(await answer.read(), tmp_path).fetchall()
    assert rows[1] == ("720.50", "true")
    assert rows[3] == (None, "false")


async def test_parquet_keeps_what_it_has_no_type_for_as_text(api: Api, tmp_path: Path) -> None:
    """Huge integers, arrays and mixed values are text; times are times; odd names stay as far as they can."""
    records = b"""[
      {"big": 123456789012345678901234567890, "a": [1, {"b": "\\u00e9"}], "A": 1, "": true,
       "t": "2020-01-01T00:00:00+01:00", "d": "2020-02-29"},
      {"big": -1, "a": "x", "A": null, "": false, "t": "2020-01-01 00:00:00.1234567", "d": null}
    ]"""
    async with api.put("/datasets/odd", data=records, headers={"Content-Type": "application/json"}) as answer:
        assert answer.status == 201
    async with api.get("/datasets/odd/records?format=parquet", headers=NEWEST) as answer:
        found = parquet(await answer.read(), tmp_path)
    assert found.columns == ["big", "a", "A_2", "column_4", "t", "d"]
    first, second = found.fetchall()
    assert first[:4] == ("123456789012345678901234567890", '[1,{"b":"é"}]', 1, True)
    assert first[4].isoformat() == "2019-12-31T23:00:00"
    assert first[5].isoformat() == "2020-02-29"
    assert second[:2] == ("-1", '"x"')
    assert second[4].isoformat() == "2020-01-01T00:00:00.123456"


async def test_parquet_without_columns_is_refused(api: Api) -> None:
    """A dataset that was never loaded has nothing that a Parquet file could hold."""
    async with api.get("/data?format=parquet", headers=NEWEST) as answer:
        assert answer.status == 400
        assert (await answer.json())["parameter"] == "format"


async def test_the_head_of_an_export_is_that_of_its_body(large: Api) -> None:
    """HEAD gives the headers of the export without making it."""
    async with large.head(
        "/datasets/large/records?format=parquet&limit=all&id.gt=5", headers=NEWEST
    ) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/vnd.apache.parquet"
        assert await answer.read() == b""
