"""Whatever comes, the service answers for it: no 500, and nothing half-stored."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from containers import build_container
from service.settings import Settings

from .conftest import METEORITES

BEFORE = b'{"name":"Aachen"'

MEDIA_TYPES = [
    "text/csv",
    "application/json",
    "application/x-ndjson",
    "application/octet-stream",
    "image/png",
]
CODINGS = ["", "gzip", "zstd", "gzip, zstd", "br", "identity"]
TOKENS = st.sampled_from(
    ["a", "b", ",", ";", "\t", '"', '""', "\n", "\r\n", "\r", "é", "1", "-0", "1e5", "007", "true", "null",
     "[", "]", "{", "}", ":", '{"a":1}', '{"a":1,"a":2}', "NaN", "\\", "\\ud800", "\x00", " ", "2024-02-30"]
)  # fmt: skip
TEXTS = st.lists(TOKENS, max_size=40).map(lambda parts: "".join(parts).encode())
BODIES = st.one_of(st.binary(max_size=300), TEXTS)
NAMES = st.sampled_from(
    ["start", "limit", "after", "fields", "format", "sort", "name", "mass (g)", "id.gt", "id.in", "name.like",
     "name.null", "facet", "key", "widen", "type.id", "delimiter", "on_error", "on_conflict", "é", ""]
)  # fmt: skip
VALUES = st.one_of(
    st.text(max_size=20), st.sampled_from(["0", "1", "-1", "all", "9" * 30, "%", '"', "a,b", "skip"])
)
QUERIES = st.lists(st.tuples(NAMES, VALUES), max_size=4)
HEADER_TEXT = st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40
)


class Service:
    """A service in an event loop of its own, for tests that are not coroutines."""

    def __init__(self, runner: asyncio.Runner, client: TestClient) -> None:  # type: ignore[type-arg]
        self._runner = runner
        self._client = client

    def ask(self, method: str, url: str | URL, **options: object) -> tuple[int, bytes]:
        """Return status and body of an answer."""

        async def send() -> tuple[int, bytes]:
            answer: ClientResponse
            async with self._client.request(method, url, **options) as answer:  # type: ignore[arg-type]
                return answer.status, await answer.read()

        return self._runner.run(send())


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Give a service whose `data` holds five records."""
    container = build_container(Settings.from_env({"STORAGE_URL": "memory://", "SPOOL_DIR": str(tmp_path)}))
    server = TestServer(container.application())

    async def start() -> TestClient:  # type: ignore[type-arg]
        await server.start_server(auto_decompress=False)
        return TestClient(server)

    with asyncio.Runner() as runner, contextlib.ExitStack() as stack:
        client = runner.run(start())
        stack.callback(lambda: runner.run(client.close()))
        serving = Service(runner, client)
        assert serving.ask("POST", "/data", data=METEORITES, headers={"Content-Type": "text/csv"})[0] == 200
        yield serving


Check = Callable[..., Awaitable[None]]


def test_any_body_is_loaded_whole_or_refused(service: Service) -> None:
    """A body of any bytes under any label replaces the dataset with a revision of its own, or nothing changes."""

    @given(body=BODIES, media_type=st.sampled_from(MEDIA_TYPES), coding=st.sampled_from(CODINGS))
    def check(body: bytes, media_type: str, coding: str) -> None:
        before = service.ask("GET", "/data")[1]
        headers = {"Content-Type": media_type, **({"Content-Encoding": coding} if coding else {})}
        status, answer = service.ask("POST", "/data", data=body, headers=headers)
        after = service.ask("GET", "/data")[1]
        assert status in {200, 400, 409, 413, 415, 422}, answer
        if status != 200:
            assert after == before

    check()


def test_any_append_is_whole_or_refused(service: Service) -> None:
    """An append of any bytes adds what its receipt says, or nothing."""

    @given(body=BODIES, media_type=st.sampled_from(MEDIA_TYPES), query=QUERIES)
    def check(body: bytes, media_type: str, query: list[tuple[str, str]]) -> None:
        before = service.ask("GET", "/datasets/data")[1]
        url = URL("/datasets/data/records").with_query(query)
        status, answer = service.ask("POST", url, data=body, headers={"Content-Type": media_type})
        assert status in {201, 400, 409, 413, 415, 422}, answer
        if status != 201:
            assert service.ask("GET", "/datasets/data")[1] == before

    check()


def test_any_query_is_answered_or_refused(service: Service) -> None:
    """Parameters of any name and value give records or a 400 that says what is wrong."""

    @given(query=QUERIES, path=st.sampled_from(["/data", "/datasets/data/records", "/datasets"]))
    def check(query: list[tuple[str, str]], path: str) -> None:
        status, answer = service.ask("GET", URL(path).with_query(query))
        assert status in {200, 400}, answer

    check()


def test_any_header_is_understood_or_refused(service: Service) -> None:
    """Headers of any text choose a contract, a format, a precondition, or are refused."""
    names = ["API-Version", "Accept", "Accept-Encoding", "If-None-Match", "If-Match", "Authorization",
             "X-Request-Id", "traceparent", "Idempotency-Key", "Prefer", "Origin"]  # fmt: skip

    @given(headers=st.dictionaries(st.sampled_from(names), HEADER_TEXT, max_size=3))
    def check(headers: dict[str, str]) -> None:
        status, answer = service.ask("GET", "/data", headers=headers)
        assert status in {200, 304, 400, 401, 406, 410}, answer

    check()


def test_any_path_is_found_or_not(service: Service) -> None:
    """Paths of any text never break the service."""

    @given(
        parts=st.lists(st.text(max_size=12), max_size=4),
        method=st.sampled_from(["GET", "PUT", "PATCH", "DELETE"]),
    )
    def check(parts: list[str], method: str) -> None:
        url = URL.build(path="/datasets/" + "/".join(parts).replace("\x00", ""))
        status, answer = service.ask(method, url, data=b"{}", headers={"Content-Type": "application/json"})
        assert status < 500, answer

    check()
