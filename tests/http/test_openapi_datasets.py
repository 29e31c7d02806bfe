"""The datasets in the OpenAPI document: their columns as the caller sees them, true, bounded, and for readers only."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from service.contracts import registered
from service.domain.columns import Column, ColumnType
from service.formats.shape import compile_shape
from service.http.openapi import MAX_DOCUMENTS
from service.http.openapi_columns import Described, filters, record_schema
from service.http.openapi_document import openapi
from tests.clocks import FakeClock
from tests.unit.lenses.cases import rows, views

from .conftest import METEORITES, Api, MakeApi
from .keyring import ADMIN, ADMIN_KEY, make_key
from .test_goldens import CSV
from .test_view_goldens import DAYS, _prepare

Json = dict[str, Any]


async def document_of(api: Api, day: str, query: str = "", **headers: str) -> Json:
    """Return the document of a day."""
    async with api.get(f"/openapi.json{query}", headers={"API-Version": day, **headers}) as answer:
        assert answer.status == 200, await answer.text()
        document: Json = await answer.json()
        return document


async def records_of(api: Api, path: str, day: str) -> Any:
    """Return what a path answers on a day."""
    async with api.get(path, headers={"API-Version": day}) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


def validator(document: Json, path: str, status: str = "200") -> Draft202012Validator:
    """Return what holds an answer of a path against the document."""
    content = document["paths"][path]["get"]["responses"][status]["content"]
    return Draft202012Validator(
        {**content["application/json"]["schema"], "components": document["components"]}
    )


@given(st.data())
def test_what_is_shown_fits_what_is_told(data: st.DataObject) -> None:
    """Whatever the columns, changes and records: each record that a client gets, typed or not, fits its schema."""
    schema, view, _ = data.draw(views())
    stored = data.draw(rows(schema.columns))
    for typed in (False, True):
        told = record_schema(Described("x", view.columns, view.version), typed=typed)
        Draft202012Validator.check_schema(told)
        shape = compile_shape(view.columns, typed=typed, lens=view.lens)
        shown = json.loads(stored if shape is None else shape([stored])[0])
        checker = Draft202012Validator(told, format_checker=Draft202012Validator.FORMAT_CHECKER)
        assert list(checker.iter_errors(shown)) == []
        assert list(shown) == [name for name in shown if name in told["properties"]]


@pytest.fixture
def clock() -> FakeClock:
    """Give a clock that stands at a day soon after the first contract."""
    return FakeClock(datetime(2023, 5, 1, 12, tzinfo=UTC))


@pytest.fixture
async def changed(make_api: MakeApi, clock: FakeClock) -> Api:
    """Give a client of a service whose two datasets have changed three times, with an admin."""
    api = await make_api(ADMIN_KEY=ADMIN_KEY)
    await _prepare(api, clock)
    return api


@pytest.mark.parametrize("day", DAYS)
async def test_each_day_is_told_of_its_columns(changed: Api, day: str) -> None:
    """Renamed, hidden, cast, added: rows, the order of a CSV and filters are as told, and no other name is."""
    document = await document_of(changed, day)
    OpenAPIV31SpecValidator(document).validate()
    page = await records_of(changed, "/datasets/landings/records", day)
    validator(document, "/datasets/landings/records").validate(page)
    validator(document, "/datasets/landings/records/{key}").validate(page["records"][0])
    validator(document, "/data").validate(await records_of(changed, "/data", day))
    async with changed.get("/datasets/landings/records?format=csv", headers={"API-Version": day}) as answer:
        header = next(csv.reader(io.StringIO(await answer.text())))
        version = answer.headers.get("Dataset-Version")
    told = document["components"]["schemas"]["Record.landings"]
    assert list(told["properties"]) == header
    assert ("Dataset-Version" in told["description"]) == (version is not None)
    assert version is None or version in told["description"]
    known = registered().operations["records.read"].query
    for path in ("/datasets/landings/records", "/data"):
        parameters = document["paths"][path]["get"]["parameters"]
        asked = [one["name"] for one in parameters if one["in"] == "query" and one["name"] not in known]
        assert asked == header
    text = json.dumps(document, ensure_ascii=False)
    assert ('"fell"' in text) == ("fell" in header)
    assert ("grams" in text) == ("grams" in header)


async def test_the_filters_that_are_told_work(changed: Api) -> None:
    """Each column's parameter takes the value of a record, and finds it."""
    day = DAYS[-1]
    document = await document_of(changed, day)
    (page, *_) = [await records_of(changed, "/datasets/landings/records?limit=1", day)]
    (record,) = page["records"]
    parameters = document["paths"]["/datasets/landings/records"]["get"]["parameters"]
    for name in [one["name"] for one in parameters if one["name"] in record]:
        value = record[name]
        text = json.dumps(value) if isinstance(value, bool) else str(value)
        async with changed.get(
            "/datasets/landings/records", params={name: text}, headers={"API-Version": day}
        ) as answer:
            assert record in (await answer.json())["records"], name


async def test_a_body_that_is_told_can_be_written(changed: Api) -> None:
    """The dataset's own paths take their records, and have every method that the general ones have."""
    document = await document_of(changed, DAYS[1])
    paths = document["paths"]
    for own, general in (
        ("/datasets/landings/records", "/datasets/{name}/records"),
        ("/datasets/landings/records/{key}", "/datasets/{name}/records/{key}"),
    ):
        assert list(paths[own]) == list(paths[general])
    body = paths["/datasets/landings/records"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    record = {"name": "Barea", "id": 12, "grams": 5.5, "status": "found"}
    Draft202012Validator({**body, "components": document["components"]}).validate(record)
    headers = {"API-Version": DAYS[1]}
    async with changed.post("/datasets/landings/records", json=record, headers=headers) as answer:
        assert answer.status == 201, await answer.text()


async def test_only_readers_learn_of_columns(make_api: MakeApi) -> None:
    """Without the scope `read` no name of a dataset or a column is told, not even that there is one."""
    api = await make_api(ADMIN_KEY=ADMIN_KEY, AUTH_MODE="keys")
    async with api.put("/datasets/landings", data=METEORITES, headers={**CSV, **ADMIN}) as answer:
        assert answer.status == 201
    reader, writer = await make_key(api, "read"), await make_key(api, "write")
    texts = []
    for headers in ({}, writer.header):
        document = await document_of(api, "2023-04-01", **headers)
        texts.append(json.dumps(document))
        assert "landings" not in texts[-1]
        assert "recclass" not in texts[-1]
        for name in ("landings", "nothing"):
            async with api.get(f"/openapi.json?dataset={name}", headers=headers) as answer:
                assert answer.status == (403 if headers else 401)
    assert len(set(texts)) == 1
    for headers in (reader.header, ADMIN):
        document = await document_of(api, "2023-04-01", **headers)
        assert "recclass" in document["components"]["schemas"]["Record.landings"]["properties"]
    async with api.get("/openapi.json", headers=reader.header) as answer:
        assert answer.headers["Cache-Control"] == "private, no-cache"
        assert answer.headers["Vary"] == "API-Version, Authorization, Accept, Accept-Encoding"


async def test_a_document_has_a_tag_that_changes_with_it(make_api: MakeApi, clock: FakeClock) -> None:
    """304 while nothing changed; another tag after a change of columns, and on the day on which one begins."""
    api = await make_api()

    async def tag_of(day: str = "2023-05-01") -> str:
        async with api.get("/openapi.json", headers={"API-Version": day}) as answer:
            tag = answer.headers["ETag"]
            body = await answer.read()
        headers = {"API-Version": day, "If-None-Match": tag, "Accept-Encoding": "gzip"}
        async with api.get("/openapi.json", headers=headers) as answer:
            assert (answer.status, answer.headers["ETag"], await answer.read()) == (304, tag, b"")
            assert "Content-Encoding" not in answer.headers
        async with api.get("/openapi.json", headers={"API-Version": day}) as answer:
            assert await answer.read() == body
        return tag

    tags = [await tag_of()]
    async with api.put("/datasets/landings", data=METEORITES, headers=CSV) as answer:
        assert answer.status == 201
    tags.append(await tag_of())
    record = {"name": "Barea"}
    async with api.post("/datasets/landings/records", json=record) as answer:
        assert answer.status == 201
    assert await tag_of() == tags[-1], "records are no columns"
    change = {"date": "2023-05-02", "description": "x", "operations": [{"op": "hide", "column": "fell"}]}
    async with api.post("/datasets/landings/changes", json=change) as answer:
        assert answer.status == 201
    assert await tag_of() == tags[-1], "it has not begun"
    clock.move(days=1)
    assert await tag_of() == tags[-1], "who asks for an earlier day sees that day"
    tags.append(await tag_of("2023-05-02"))
    async with api.delete("/datasets/landings") as answer:
        assert answer.status == 200
    assert await tag_of() == tags[0]
    assert len(set(tags)) == 3


async def test_the_document_is_bounded_and_says_what_is_left_out(make_api: MakeApi) -> None:
    """Datasets of many columns: as many as there is room for, the number of the others, and each by its name."""
    api = await make_api()
    for number in range(8):
        header = ",".join(f"column {number} {at} with quite a name" * 2 for at in range(2000))
        values = ",".join("1" * 2000)
        async with api.put(
            f"/datasets/wide{number}", data=f"{header}\n{values}\n".encode(), headers=CSV
        ) as answer:
            assert answer.status == 201, await answer.text()
    documents = await asyncio.gather(*(document_of(api, "2023-05-01") for _ in range(4)))
    assert all(each == documents[0] for each in documents)
    (document, *_) = documents
    told = [name for name in document["components"]["schemas"] if name.startswith("Record.")]
    assert told == [f"Record.wide{number}" for number in range(len(told))]
    assert 0 < len(told) < 8
    assert f"{8 - len(told)} datasets are left out" in document["info"]["description"]
    assert len(json.dumps(document)) < 3 << 20
    alone = await document_of(api, "2023-05-01", "?dataset=wide7")
    assert len(alone["components"]["schemas"]["Record.wide7"]["properties"]) == 2000
    assert "left out" not in alone["info"]["description"]
    assert "Record.wide0" not in alone["components"]["schemas"]


async def test_only_the_last_documents_are_kept(api: Api) -> None:
    """However many states of the datasets there were, each is told as it is."""
    for number in range(MAX_DOCUMENTS + 2):
        async with api.put(f"/datasets/d{number}", data=b"a\n1\n", headers=CSV) as answer:
            assert answer.status == 201
        document = await document_of(api, "2023-05-01")
        told = [name for name in document["components"]["schemas"] if name.startswith("Record.")]
        assert len(told) == number + 1


@pytest.mark.parametrize(
    ("query", "status", "type"),
    [
        ("?dataset=nothing", 404, "dataset-not-found"),
        ("?dataset=", 400, "invalid-parameter"),
        ("?dataset=a/b", 400, "invalid-parameter"),
        ("?datasets=landings", 400, "invalid-parameter"),
        ("?dataset=a&dataset=a", 400, "invalid-parameter"),
    ],
)
async def test_a_wrong_dataset_is_refused(api: Api, query: str, status: int, type: str) -> None:
    """A name that is none, a dataset that is not there, and a misspelt parameter are told apart."""
    async with api.get(f"/openapi.json{query}") as answer:
        problem = await answer.json(content_type="application/problem+json")
        assert (answer.status, problem["type"]) == (status, type)


NAMES = ["limit", "limit.eq", "sort", "$ref", "mass (g)", "a,b", 'q"\\', "é\u2028", "", "x.gt", "API-Version"]


def test_strange_names_stay_valid() -> None:
    """Columns named like parameters, operators and keywords are told once each, and the document is valid."""
    columns = [Column(name, ColumnType.STRING) for name in NAMES if name]
    found = [each["name"] for each in filters(columns, {"limit", "sort"})]
    assert found == [
        "limit.eq",
        "sort.eq",
        "$ref",
        "mass (g)",
        "a,b",
        'q"\\',
        "é\u2028",
        "x.gt",
        "API-Version",
    ]
    registry = registered()
    for name in ("data", "Strange.name_-1"):
        document = openapi(registry, registry.first, "", [Described(name, columns, None)])
        OpenAPIV31SpecValidator(json.loads(json.dumps(document))).validate()


async def test_every_answer_with_a_dataset_version_is_told_so(changed: Api) -> None:
    """The header is described where it is sent, under every contract, and nowhere else."""
    patch = {"Content-Type": "application/merge-patch+json"}
    requests = [
        ("GET", "/data", "/data", None, {}),
        ("GET", "/datasets/landings", "/datasets/{name}", None, {}),
        ("PATCH", "/datasets/landings", "/datasets/{name}", {"title": "L"}, patch),
        ("GET", "/datasets", "/datasets", None, {}),
        ("GET", "/datasets/landings/records", "/datasets/{name}/records", None, {}),
        ("GET", "/datasets/landings/aggregate?count", "/datasets/{name}/aggregate", None, {}),
        ("GET", "/datasets/landings/records/1", "/datasets/{name}/records/{key}", None, {}),
        ("PUT", "/datasets/landings/records/1", "/datasets/{name}/records/{key}", {"id": 1}, {}),
        ("PUT", "/datasets/landings/records/77", "/datasets/{name}/records/{key}", {"id": 77}, {}),
        ("PATCH", "/datasets/landings/records/1", "/datasets/{name}/records/{key}", {}, patch),
        ("DELETE", "/datasets/landings/records/77", "/datasets/{name}/records/{key}", None, {}),
        ("POST", "/datasets/landings/records", "/datasets/{name}/records", {"id": 78}, {}),
        ("DELETE", "/datasets/landings/records/78", "/datasets/{name}/records/{key}", None, {}),
        ("GET", "/datasets/landings/changes", "/datasets/{name}/changes", None, {}),
        ("GET", "/favorite", "/favorite", None, {}),
    ]
    for day in DAYS[1:]:
        paths = (await document_of(changed, day))["paths"]
        for method, url, path, body, headers in requests:
            async with changed.request(
                method, url, json=body, headers={"API-Version": day, **headers}
            ) as answer:
                described = paths[path][method.lower()]["responses"][str(answer.status)]
                told = "Dataset-Version" in described.get("headers", {})
                assert ("Dataset-Version" in answer.headers) == told, (method, url, await answer.text())
