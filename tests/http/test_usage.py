"""Who uses which contract: counted on the side, over replicas and outages, and judged for an end."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from typing import Any

import pytest

from service.adapters.memory import MemoryState
from service.adapters.memory.documents import MemoryDocuments
from service.contracts import registered
from service.domain.errors import StoreUnavailable
from service.usecases.sunsetting import Standing, judge
from service.usecases.usage import KEPT, KIND, MAX_PENDING, NO_KEY, OTHERS, Usage, Used
from tests.clocks import FakeClock
from tests.waiting import patience, until

from .conftest import NEWEST, TODAY, Api, MakeApi
from .keyring import ADMIN, ADMIN_KEY, make_key, problem_of

FIRST, SECOND = "2023-04-01", "2023-09-01"
GONE = StoreUnavailable("The store does not answer.")


@pytest.fixture
async def api(make_api: MakeApi) -> Api:
    """Give a client of a service that has an admin."""
    return await make_api(ADMIN_KEY=ADMIN_KEY)


async def usage_of(api: Api) -> dict[str, dict[str, Any]]:
    """Return the usage by contract."""
    async with api.get("/versions/usage", headers=ADMIN) as answer:
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"
        return {version["version"]: version for version in (await answer.json())["versions"]}


async def test_requests_are_counted_by_contract_source_and_key(api: Api) -> None:
    """Cached or not, refused or not: what resolved to a contract counts for it, with the key's name."""
    key = await make_key(api, name="Robot 7")
    for _ in range(3):
        await api.get("/data")
    for _ in range(2):
        await api.get("/data", headers={**key.header, "API-Version": FIRST})
    await api.get("/data", headers=key.header)
    await api.get("/datasets/none", headers=NEWEST)
    usage = await usage_of(api)
    assert usage[FIRST]["requests"] == 5
    assert usage[FIRST]["used"] == [
        {"source": "default", "key": None, "name": None, "requests": 3, "first": "2026-12-01", "last": "2026-12-01"},
        {"source": "header", "key": key.id, "name": "Robot 7", "requests": 2, "first": "2026-12-01", "last": "2026-12-01"},
    ]  # fmt: skip
    assert {(each["source"], each["key"]) for each in usage["2026-11-20"]["used"]} == {
        ("pin", key.id), ("header", None),
    }  # fmt: skip
    assert (usage["2026-11-20"]["pinned"], usage[SECOND]["requests"], usage[SECOND]["last"]) == (1, 0, None)


async def test_what_is_no_use_of_a_contract_is_not_counted(api: Api) -> None:
    """Unknown keys, versions that cannot be, and paths without a contract are nobody's use."""
    await api.get("/data", headers={"Authorization": "Bearer unknown"})
    await api.get("/data", headers={"API-Version": "2999-01-01"})
    await api.get("/versions")
    await api.get("/nothing")
    assert sum(version["requests"] for version in (await usage_of(api)).values()) == 0


async def test_only_an_admin_sees_usage(api: Api) -> None:
    """Who uses what is not everybody's business."""
    assert (await problem_of(api, "GET", "/versions/usage"))[0] == 401
    key = await make_key(api, "read", "write")
    assert (await problem_of(api, "GET", "/versions/usage", headers=key.header))[0] == 403


async def test_metrics_name_no_key(api: Api) -> None:
    """Neither a key's id nor its name becomes a label."""
    key = await make_key(api, name="Robot 7")
    await api.get("/data", headers=key.header)
    async with api.get("/metrics") as answer:
        text = await answer.text()
        assert key.id not in text
        assert "Robot 7" not in text


async def test_usage_is_told_again_after_a_restart(make_api: MakeApi) -> None:
    """Another replica on the store tells what the first one has counted, and adds its own."""
    one, other = await make_api(ADMIN_KEY=ADMIN_KEY), await make_api(ADMIN_KEY=ADMIN_KEY)
    await one.get("/data")
    assert (await usage_of(one))[FIRST]["requests"] == 1
    await other.get("/data")
    assert (await usage_of(other))[FIRST]["requests"] == 2
    await one.close()
    assert (await usage_of(other))[FIRST]["requests"] == 2


class Counted(MemoryDocuments):
    """Documents in memory, and how often they were added to."""

    writes = 0

    async def add(self, kind: str, id: str, amounts: dict[str, int]) -> None:
        """Add, and count it."""
        self.writes += 1
        await super().add(kind, id, amounts)


@pytest.fixture
def state() -> MemoryState:
    """Give what the store of the test holds."""
    return MemoryState()


@pytest.fixture
def counted(state: MemoryState, clock: FakeClock) -> Counted:
    """Give a store that counts its writes."""
    return Counted(state, clock)


@pytest.fixture
def usage(counted: Counted, clock: FakeClock) -> Usage:
    """Give the counter."""
    return Usage(counted, clock)


async def test_no_request_costs_a_write(usage: Usage, counted: Counted) -> None:
    """However many requests and keys there were, a flush writes once for each contract and source."""
    for number in range(10_000):
        usage.count(FIRST, "pin", f"key{number % 500}")
        usage.count(SECOND, "default", None)
    assert counted.writes == 0
    await usage.flush()
    assert counted.writes == 2
    report = await usage.report()
    assert sum(used.requests for used in report.used.values()) == 20_000
    assert report.used[SECOND, "default", NO_KEY].requests == 10_000
    await usage.flush()
    assert counted.writes == 2, "nothing to say costs nothing"


async def test_counts_are_flushed_on_the_side_and_at_the_end(counted: Counted, clock: FakeClock) -> None:
    """Within the interval they are in the store, and the rest when the process ends."""
    async with Usage(counted, clock, flush_s=0.01) as usage:
        usage.count(FIRST, "pin", "a")
        await until(lambda: counted.writes)
    async with Usage(counted, clock, flush_s=3600) as usage:
        usage.count(FIRST, "pin", "a")
    document = await counted.get(KIND, f"2026-12-01/{FIRST}/pin")
    assert document is not None
    assert document.body == {"a": 2}


async def test_an_outage_loses_no_request(usage: Usage, counted: Counted, state: MemoryState) -> None:
    """What the store did not take is taken later, once."""
    usage.count(FIRST, "pin", "a")
    state.outage = GONE
    for _ in range(3):
        await usage.flush()
        usage.count(FIRST, "pin", "a")
    state.outage = None
    report = await usage.report()
    assert report.used[FIRST, "pin", "a"].requests == 4
    assert (await usage.report()).used[FIRST, "pin", "a"].requests == 4


async def test_an_outage_does_not_grow_memory(usage: Usage, state: MemoryState) -> None:
    """Beyond a bound keys are counted together, and still none of their requests is lost."""
    state.outage = GONE
    for number in range(3 * MAX_PENDING):
        usage.count(FIRST, "pin", f"key{number}")
        if number % MAX_PENDING == 0:
            await usage.flush()
    await usage.flush()
    assert usage.size <= MAX_PENDING + 10
    state.outage = None
    report = await usage.report()
    assert sum(used.requests for used in report.used.values()) == 3 * MAX_PENDING
    assert report.used[FIRST, "pin", OTHERS].requests > MAX_PENDING


async def test_days_are_told_apart_and_forgotten_after_a_year(
    usage: Usage, counted: Counted, clock: FakeClock
) -> None:
    """First and last day are kept; what is older than `KEPT` is swept."""
    usage.count(FIRST, "pin", "a")
    await usage.flush()
    clock.move(days=10)
    usage.count(FIRST, "pin", "a")
    report = await usage.report()
    assert report.used[FIRST, "pin", "a"] == Used(2, TODAY.date(), date(2026, 12, 11))
    clock.move(days=KEPT.days - 5)
    await usage.sweep()
    report = await usage.report()
    assert report.used[FIRST, "pin", "a"] == Used(1, date(2026, 12, 11), date(2026, 12, 11))
    assert report.since == date(2026, 12, 11)


async def test_a_store_that_is_gone_is_waited_for(
    counted: Counted, clock: FakeClock, state: MemoryState
) -> None:
    """Neither flushing nor sweeping ends with an outage."""
    state.outage = GONE
    async with Usage(counted, clock, 0.001) as usage, patience():
        usage.count(FIRST, "pin", "a")
        while counted.writes < 2:
            await asyncio.sleep(0.001)
        state.outage = None
        while await counted.get(KIND, f"2026-12-01/{FIRST}/pin") is None:
            await asyncio.sleep(0.001)


NOW = date(2026, 12, 1)
LONG_AGO = date(2026, 1, 1)


@pytest.mark.parametrize(
    ("state", "used", "since", "pinned", "can_end", "because"),
    [
        ("sunset", {}, None, 0, True, "past its sunset"),
        ("current", {}, LONG_AGO, 0, False, "newest"),
        ("supported", {}, LONG_AGO, 0, True, "nobody used it in the last 30 days"),
        ("deprecated", {("pin", "a"): date(2026, 11, 1)}, LONG_AGO, 0, True, "nobody used it"),
        ("deprecated", {("pin", "a"): date(2026, 11, 2)}, LONG_AGO, 0, False, "1 key used it in the last 30 days, last on 2026-11-02"),
        ("supported", {("pin", "a"): NOW, ("header", "b"): NOW, ("default", NO_KEY): LONG_AGO}, LONG_AGO, 0, False, "2 keys used it"),
        ("supported", {("default", NO_KEY): NOW}, LONG_AGO, 0, False, "clients without a key used it"),
        ("supported", {("default", NO_KEY): NOW, ("pin", "a"): NOW}, LONG_AGO, 0, False, "1 key and clients without a key"),
        ("supported", {}, LONG_AGO, 1, False, "1 key is pinned to it"),
        ("supported", {}, LONG_AGO, 2, False, "2 keys are pinned to it"),
        ("supported", {}, date(2026, 11, 20), 0, False, "for 11 days only"),
        ("supported", {}, None, 0, False, "for 0 days only"),
    ],
)  # fmt: skip
def test_a_contract_can_end_when_nobody_is_left(
    state: str,
    used: dict[tuple[str, str], date],
    since: date | None,
    pinned: int,
    can_end: bool,
    because: str,
) -> None:
    """Use in the last 30 days, a pin, or too few days of counting say no, each with its reason."""
    counted = {key: Used(1, day, day) for key, day in used.items()}
    verdict = judge(Standing(FIRST, state), counted, since, pinned=pinned, today=NOW)
    assert verdict.can_end is can_end
    assert because in verdict.because


def test_every_released_contract_has_a_standing() -> None:
    """The four words are all that there are."""
    registry = registered()
    now = datetime(2026, 12, 1, tzinfo=UTC)
    assert {registry.state(contract, now) for contract in registry.contracts} == {"supported", "current"}
