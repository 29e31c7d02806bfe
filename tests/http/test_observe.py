"""What is seen from outside: metrics that a scraper reads, and a log line for each answer."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from http import HTTPStatus

import pytest
from dependency_injector import providers
from prometheus_client.parser import text_string_to_metric_families

from containers import Container
from service.http.access_log import Lines
from tests.http.conftest import NEWEST, Api, MakeApi

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def written() -> list[str]:
    """Collect what is written to the log."""
    return []


@pytest.fixture
def make_container(
    make_container: Callable[..., Container], written: list[str]
) -> Iterator[Callable[..., Container]]:
    """Have the service log at its default level, to the list."""

    def make(**settings: str) -> Container:
        container = make_container(**settings)
        container.lines.override(providers.Singleton(Lines, written.append))
        return container

    logger = logging.getLogger("aerolite.access")
    before = logger.level
    logger.setLevel(logging.INFO)
    yield make
    logger.setLevel(before)


async def samples(api: Api) -> dict[tuple[str, ...], float]:
    """Return the values of all metrics, by name and the values of their labels, these sorted by label."""
    async with api.get("/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
        return {
            (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
            for family in families
            for sample in family.samples
        }


async def test_answers_are_counted(api: Api) -> None:
    """Each answer counts once, by operation, contract and status, whether it was made or kept."""
    for _ in range(3):
        await api.get("/data", headers=NEWEST)
    await api.get("/data", params={"start": "x"})
    await api.get("/nowhere")
    found = await samples(api)
    assert found["aerolite_requests_total", "2026-11-20", "data.read", "200"] == 3
    assert found["aerolite_requests_total", "2023-04-01", "data.read", "400"] == 1
    assert found["aerolite_requests_total", "-", "unrouted", "404"] == 1


async def test_the_time_to_answer_is_a_histogram(api: Api) -> None:
    """Its buckets grow up to the count, which is that of the answers, and its sum is their time."""
    for _ in range(4):
        await api.get("/data")
    found = await samples(api)
    buckets = [
        value
        for (name, *labels), value in found.items()
        if name == "aerolite_request_seconds_bucket" and "data.read" in labels
    ]
    assert buckets == sorted(buckets)
    assert buckets[-1] == found["aerolite_request_seconds_count", "data.read"] == 4
    assert 0 < found["aerolite_request_seconds_sum", "data.read"] < 60


async def test_a_line_tells_of_each_answer(api: Api, written: list[str]) -> None:
    """A line is a JSON object with the request's id, its trace, and what became of it."""
    headers = {**NEWEST, "X-Request-Id": "mine-1", "traceparent": TRACEPARENT}
    await api.get("/data?start=0&fields=%22", headers=headers)
    await api.close()
    lines = [json.loads(line) for line in "".join(written).splitlines()]
    assert len(lines) == 1
    assert lines[0].pop("ms") > 0
    assert lines[0].pop("time").startswith("20")
    assert lines[0] == {
        "level": "info",
        "logger": "aerolite.access",
        "message": "request",
        "id": "mine-1",
        "trace": TRACE,
        "method": "GET",
        "path": "/data?start=0&fields=%22",
        "status": HTTPStatus.BAD_REQUEST,
        "contract": "2026-11-20",
        "operation": "data.read",
    }


async def test_a_console_line_is_for_people(make_api: MakeApi, written: list[str]) -> None:
    """A line for people is short, and says the time, the request, the status and the contract."""
    api = await make_api(LOG_FORMAT="console")
    await api.get("/data")
    await api.close()
    words = "".join(written).split()
    assert words[1:5] == ["info", "GET", "/data", "200"]
    assert words[-1] == "2023-04-01"
