"""Bad input gets a clear error, in every contract the same way, and nothing of it is stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from .conftest import NEWEST, Api, MakeApi

CSV = {"Content-Type": "text/csv"}
JSON = {"Content-Type": "application/json"}

VERSIONS = [
    ("", 400, "version-malformed"),
    ("2026-1-5", 400, "version-malformed"),
    ("2999-01-01", 400, "version-in-future"),
    ("2000-01-01", 400, "version-before-first"),
    ("2023-04-01, 2023-09-01", 400, "version-ambiguous"),
]


@pytest.mark.parametrize(("sent", "status", "type"), VERSIONS)
async def test_a_version_that_cannot_be_is_a_problem(api: Api, sent: str, status: int, type: str) -> None:
    """The problem names what was requested and what there is; no contract is claimed."""
    async with api.get("/data", headers={"API-Version": sent}) as answer:
        problem = await answer.json(content_type="application/problem+json")
        assert (answer.status, problem["type"], problem["status"]) == (status, type, status)
        assert problem.keys() >= {"title", "detail", "instance", "requested", "first", "latest", "supported"}
        assert "API-Version" not in answer.headers
        assert answer.headers["Vary"] == "API-Version, Authorization, Accept, Accept-Encoding"
        assert answer.headers["Cache-Control"] == "no-cache"


async def test_every_answer_tells_its_contract(loaded: Api) -> None:
    """Errors too carry the resolved contract, what chose it, and what it varies by."""
    for path in ("/data", "/data?start=x", "/datasets/nothing", "/favorite"):
        async with loaded.get(path, headers={"API-Version": "20240101"}) as answer:
            assert answer.headers["API-Version"] == "2023-09-01"
            assert answer.headers["API-Version-Source"] == "header"
            assert answer.headers["Vary"] == "API-Version, Authorization, Accept, Accept-Encoding"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_instance_is_the_request_id(api: Api) -> None:
    """A client that gives its request an id finds it in the error and the header."""
    async with api.get("/datasets/none", headers={"X-Request-Id": "mine-1"}) as answer:
        assert (await answer.json())["instance"] == "mine-1" == answer.headers["X-Request-Id"]
    async with api.get("/datasets/none", headers={"X-Request-Id": "no good"}) as answer:
        assert (await answer.json())["instance"] == answer.headers["X-Request-Id"] != "no good"


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "type"),
    [
        ("GET", "/nothing", None, {}, 404, "path-not-found"),
        ("GET", "/datasets/none", None, {}, 404, "dataset-not-found"),
        ("GET", "/datasets/none/records", None, {}, 404, "dataset-not-found"),
        ("GET", "/datasets/landings/records/77", None, {}, 404, "record-not-found"),
        ("GET", "/datasets/data/records/77", None, {}, 404, "record-not-found"),
        ("GET", "/datasets/data/records/@77", None, {}, 404, "record-not-found"),
        ("PATCH", "/data", None, {}, 405, "method-not-allowed"),
        ("GET", "/data?start=%ff", None, {}, 400, "invalid-request"),
        ("GET", "/data?start=1&start=2", None, {}, 400, "invalid-parameter"),
        ("GET", "/data?after=x", None, {}, 400, "invalid-cursor"),
        ("GET", "/data?format=xml", None, {}, 400, "invalid-parameter"),
        ("GET", "/data", None, {"Accept": "image/png"}, 406, "not-acceptable"),
        ("GET", "/datasets/-bad-", None, {}, 400, "invalid-parameter"),
        ("POST", "/data", b"a,b\n1\n", CSV, 422, "invalid-content"),
        ("POST", "/data", b"a,a\n1,2\n", CSV, 422, "invalid-content"),
        ("POST", "/data", b'a\n"1\n', CSV, 422, "invalid-content"),
        ("POST", "/data", b"[1]", JSON, 422, "invalid-content"),
        ("POST", "/data", b'[{"a":NaN}]', JSON, 422, "invalid-content"),
        ("POST", "/data", b'[{"a":1},]', JSON, 422, "invalid-content"),
        ("POST", "/data", b'[{"a":"\xff"}]', JSON, 422, "invalid-content"),
        ("POST", "/data", b"x", {"Content-Type": "image/png"}, 415, "unsupported-media-type"),
        ("POST", "/data", b"x", {**CSV, "Content-Encoding": "br"}, 415, "unsupported-media-type"),
        ("POST", "/data", b"x", {**CSV, "Content-Encoding": "gzip"}, 422, "invalid-content"),
        ("PUT", "/datasets/x?key=id", b"a\n1\n", CSV, 400, "unknown-column"),
        ("PUT", "/datasets/x?key=a", b"a\n1\n1\n", CSV, 409, "duplicate-key"),
        ("PUT", "/datasets/x?type.a=integer", b"a\n1\nb\n", CSV, 422, "type-mismatch"),
        ("POST", "/datasets/landings/records", b'{"id": 1}', JSON, 409, "duplicate-key"),
        ("POST", "/datasets/landings/records", b'{"id": 99, "fell": 3}', JSON, 422, "type-mismatch"),
        ("POST", "/datasets/landings/records?on_conflict=x", b"{}", JSON, 400, "invalid-parameter"),
        ("PATCH", "/datasets/landings", b'{"nmae": 1}', JSON, 422, "invalid-content"),
        ("PATCH", "/datasets/landings", b'{"title": 1}', JSON, 422, "invalid-content"),
        ("PUT", "/datasets/landings/records/1", b'{"id": "2"}', JSON, 422, "invalid-content"),
        ("PATCH", "/datasets/landings/records/1", b"[]", JSON, 422, "invalid-content"),
        ("GET", "/data", None, {"Authorization": "Bearer unknown"}, 401, "unauthenticated"),
        ("GET", "/data", None, {"Authorization": "Basic abc"}, 401, "unauthenticated"),
    ],
)
async def test_bad_input_is_a_problem_and_changes_nothing(
    loaded: Api,
    method: str,
    path: str,
    body: bytes | None,
    headers: dict[str, str],
    status: int,
    type: str,
) -> None:
    """The status and type are those of the design's table, and what was stored stays as it was."""
    async with loaded.request(method, path, data=body, headers=headers) as answer:
        problem = await answer.json(content_type="application/problem+json")
        assert (answer.status, problem["type"]) == (status, type), problem
        assert problem["detail"]
        if status == 405:
            assert answer.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS, POST"
        if status == 401:
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    async with loaded.get("/datasets") as answer:
        found = {dataset["name"]: dataset["revision"] for dataset in (await answer.json())["datasets"]}
        assert found == {"data": 1, "landings": 1}


async def test_a_ragged_row_is_named_by_its_line(api: Api) -> None:
    """The physical line is counted, newlines within quotes too."""
    body = b'a,b\n"x\ny",1\n2\n'
    async with api.post("/data", data=body, headers=CSV) as answer:
        assert (answer.status, (await answer.json())["line"]) == (422, 4)


async def test_a_body_over_the_limit_is_refused(make_api: MakeApi) -> None:
    """Announced or not, as sent or inflated."""
    api = await make_api(MAX_UPLOAD_BYTES="1000")
    body = b"a\n" + b"1\n" * 1000

    async def chunks() -> AsyncIterator[bytes]:
        yield body

    for data in (body, chunks()):
        async with api.post("/data", data=data, headers=CSV) as answer:
            assert (answer.status, (await answer.json())["type"]) == (413, "too-large")
    async with api.get("/data") as answer:
        assert await answer.text() == "[]"


async def test_only_get_is_valid_for_the_favorite(api: Api) -> None:
    """Any other method is told so, in plain text."""
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        async with api.request(method, "/favorite") as answer:
            assert (answer.status, await answer.text()) == (405, "Only GET method valid")
    async with api.head("/favorite") as answer:
        assert answer.status == 200


async def test_more_uploads_at_once_than_allowed_are_told_to_come_back(make_api: MakeApi) -> None:
    """The bound is kept, `Retry-After` is sent, and room comes back when an upload ends."""
    api = await make_api(MAX_UPLOADS="1")
    large = b"a\n" + b"1\n" * 50_000
    go_on = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"a\n"
        await go_on.wait()
        yield b"1\n"

    first = asyncio.create_task(_post(api, slowly()))
    while "aerolite_uploads 1.0" not in await (await api.get("/metrics")).text():
        await asyncio.sleep(0.01)
    answer = await _post(api, large)
    assert answer[:2] == (503, "1")
    assert answer[2]["type"] == "busy"
    assert (await _post(api, b"a\n1\n"))[0] == 201, "a small body does not count"
    go_on.set()
    assert (await first)[0] == 201
    assert (await _post(api, large))[0] == 201


async def _post(api: Api, data: object) -> tuple[int, str | None, dict[str, object]]:
    async with api.post("/data", data=data, headers={**CSV, **NEWEST}) as answer:
        return answer.status, answer.headers.get("Retry-After"), await answer.json(content_type=None)
