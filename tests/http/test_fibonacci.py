"""`/fibonacci`: indexes are asked for, computed once, and listed; what is no index is refused by its name."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from service.domain.fibonacci import MAX_INDEX, fibonacci
from service.worker.children import ChildFibonacci
from tests.waiting import patience

from .conftest import NEWEST, Api


def by_matrix(index: int) -> int:
    """Return F(index) by powers of a matrix of whole numbers: no step of it is one of ours."""

    def times(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
        return (
            a[0] * b[0] + a[1] * b[2], a[0] * b[1] + a[1] * b[3],
            a[2] * b[0] + a[3] * b[2], a[2] * b[1] + a[3] * b[3],
        )  # fmt: skip

    result, power = (1, 0, 0, 1), (1, 1, 1, 0)
    while index:
        if index & 1:
            result = times(result, power)
        power = times(power, power)
        index >>= 1
    return result[1]


@pytest.fixture
def long_numbers() -> Iterator[None]:
    """Let the test read numbers of any length."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    yield
    sys.set_int_max_str_digits(limit)


async def listed(api: Api, *wanted: str) -> dict[str, Any]:
    """Return the list as soon as it has these values."""
    async with patience():
        while True:
            async with api.get("/fibonacci", headers=NEWEST) as answer:
                assert answer.status == 200
                found: dict[str, Any] = await answer.json()
            if set(wanted) <= set(found["values"]):
                return found
            await asyncio.sleep(0.02)


@pytest.mark.usefixtures("long_numbers")
@pytest.mark.parametrize("index", [0, 1, 2, 9, 100, 4999, 99_999, MAX_INDEX])
def test_numbers_are_right_to_the_digit(index: int) -> None:
    """Fast doubling in decimal gives what powers of a matrix give in binary."""
    assert int(fibonacci(index)) == by_matrix(index)


def test_small_numbers_add_up() -> None:
    """The first 2,000 are each the sum of the two before."""
    before, this = 0, 1
    for index in range(2000):
        assert fibonacci(index) == str(before)
        before, this = this, before + this


@pytest.mark.parametrize("index", [-1, MAX_INDEX + 1])
def test_what_is_out_of_range_is_not_computed(index: int) -> None:
    """An index that would take for ever is refused before anything is computed."""
    with pytest.raises(ValueError, match=str(index)):
        fibonacci(index)


async def test_large_numbers_come_from_a_child() -> None:
    """A child computes what this process would; one that is called off, or dies, is replaced by another."""
    async with ChildFibonacci(1) as compute:
        assert await compute(20_000) == fibonacci(20_000)
        assert await compute(30_000) == fibonacci(30_000)
        task = asyncio.create_task(compute(MAX_INDEX))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(ChildProcessError):
            await compute(MAX_INDEX + 1)
        assert await compute(20_000) == fibonacci(20_000)


async def test_an_index_is_seen_at_once_and_its_value_when_it_is_computed(api: Api) -> None:
    """POST accepts a job; the list has the indexes ascending and their values as decimal strings."""
    for index in (100, 9, 0, 1, 9):
        async with api.post("/fibonacci", json={"index": index}, headers=NEWEST) as answer:
            assert answer.status == 202
            job = await answer.json()
            assert answer.headers["Location"] == f"/jobs/{job['id']}"
            assert (job["type"], job["state"], job["params"]) == ("fibonacci", "queued", {"index": index})
    found = await listed(api, "0", "1", "9", "100")
    assert found == {
        "seen": [0, 1, 9, 100],
        "values": {"0": "0", "1": "1", "9": "34", "100": "354224848179261915075"},
    }


async def test_the_largest_number_is_served_whole(api: Api) -> None:
    """F(1,000,000) has 208,988 digits."""
    async with api.post("/fibonacci", json={"index": MAX_INDEX}, headers=NEWEST) as answer:
        assert answer.status == 202
    digits = (await listed(api, str(MAX_INDEX)))["values"][str(MAX_INDEX)]
    assert digits == fibonacci(MAX_INDEX)
    assert (len(digits), digits[:10], digits[-10:]) == (208_988, "1953282128", "8242546875")


async def test_before_anybody_asks_the_list_is_empty(api: Api) -> None:
    """An empty list is valid JSON too."""
    assert await listed(api) == {"seen": [], "values": {}}


async def test_a_number_that_is_only_seen_has_no_value(make_api: Any) -> None:
    """Where no worker runs (here the queue is another process's) the index is listed without a value."""
    api = await make_api(STORAGE_URL="memory://", QUEUE_URL="redis://127.0.0.1:1")
    async with api.post("/fibonacci", json={"index": 7}, headers=NEWEST) as answer:
        assert answer.status == 202  # the ring is lost, the job is not
    assert await listed(api) == {"seen": [7], "values": {}}


@pytest.mark.parametrize(
    "body",
    [
        b'{"index": -1}', b'{"index": 1.5}', b'{"index": 9.0}', b'{"index": 1000001}', b'{"index": "9"}',
        b'{"index": true}', b'{"index": null}', b"{}",
        b'{"index": 99999999999999999999999999}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("contract", ["2023-04-01", "2026-11-20"])
async def test_what_is_no_index_is_refused_by_its_name(api: Api, body: bytes, contract: str) -> None:
    """Negative, fractional, too large, missing or no number: 422 that points to the field."""
    headers = {"API-Version": contract, "Content-Type": "application/json"}
    async with api.post("/fibonacci", data=body, headers=headers) as answer:
        assert answer.status == 422
        assert (await answer.json())["pointer"] == "/index"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"", None),
        (b"[9]", None),
        (b'{"index": 1e400}', None),
        (b"{", None),
        (b'"\xff"', None),
        (b'{"index": 9, "x": 1}', "/x"),
    ],
)
async def test_a_body_that_is_no_object_is_refused(api: Api, body: bytes, pointer: str | None) -> None:
    """No JSON, no object or an unknown member: 422."""
    headers = {**NEWEST, "Content-Type": "application/json"}
    async with api.post("/fibonacci", data=body, headers=headers) as answer:
        assert answer.status == 422
        assert (await answer.json()).get("pointer") == pointer
