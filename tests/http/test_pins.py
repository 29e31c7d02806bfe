"""Which contract one gets, on the wire: each row of the design's table, by header, by pin, by default."""

from __future__ import annotations

import asyncio

import pytest

from service.contracts import registered
from tests.clocks import FakeClock

from .conftest import METEORITES, Api, MakeApi
from .keyring import ADMIN, ADMIN_KEY, Made, make_key, problem_of

CSV = {"Content-Type": "text/csv"}
FIRST, SECOND, NEWEST = "2023-04-01", "2023-09-01", "2026-11-20"
TODAY = "2026-12-01"
SUPPORTED = [contract.date.isoformat() for contract in registered().contracts]


@pytest.fixture
async def api(make_api: MakeApi) -> Api:
    """Give a client of a service that has an admin, on 2026-12-01."""
    return await make_api(ADMIN_KEY=ADMIN_KEY)


async def contract_of(api: Api, headers: dict[str, str] | None = None) -> tuple[str, str]:
    """Return the contract that a request gets, and what chose it."""
    async with api.get("/data", headers=headers or {}) as answer:
        assert answer.status == 200, await answer.text()
        return answer.headers["API-Version"], answer.headers["API-Version-Source"]


async def pin_of(api: Api, key: Made) -> str | None:
    """Return a key's pin, as an admin sees it."""
    async with api.get(f"/keys/{key.id}", headers=ADMIN) as answer:
        pin: str | None = (await answer.json())["pin"]
        return pin


async def move(api: Api, key: Made, day: str) -> int:
    """Ask for another pin with the key itself; return the status."""
    async with api.post("/keys/self/pin", json={"date": day}, headers=key.header) as answer:
        return answer.status


async def set_pin(api: Api, key: Made, day: str) -> int:
    """Set a key's pin as an admin; return the status."""
    async with api.post(f"/keys/{key.id}/pin", json={"date": day}, headers=ADMIN) as answer:
        return answer.status


async def test_no_header_and_no_key_get_the_first_contract(api: Api) -> None:
    """The default is what was promised first."""
    assert await contract_of(api) == (FIRST, "default")


async def test_no_header_and_a_key_get_the_day_of_first_contact(api: Api, clock: FakeClock) -> None:
    """The pin is the UTC day of the first contact, and stays it however much later one comes back."""
    key = await make_key(api)
    assert await pin_of(api, key) is None
    assert await contract_of(api, key.header) == (NEWEST, "pin")
    clock.move(days=400)
    assert await contract_of(api, key.header) == (NEWEST, "pin")
    assert await pin_of(api, key) == TODAY


@pytest.mark.parametrize(
    ("day", "contract"),
    [
        ("2023-04-01", FIRST),
        ("2023-08-31", FIRST),
        ("2023-09-01", SECOND),
        ("2026-11-19", SECOND),
        ("2026-11-20", NEWEST),
        ("2026-12-01", NEWEST),
    ],
)
async def test_a_day_gets_the_nearest_earlier_contract(api: Api, day: str, contract: str) -> None:
    """On a contract's day, between two, after the newest: by header in both forms, and by pin."""
    assert await contract_of(api, {"API-Version": day}) == (contract, "header")
    assert await contract_of(api, {"API-Version": day.replace("-", "")}) == (contract, "header")
    key = await make_key(api)
    assert await set_pin(api, key, day) == 200
    assert await contract_of(api, key.header) == (contract, "pin")


@pytest.mark.parametrize(
    ("sent", "type"),
    [
        ("2026-12-02", "version-in-future"),
        ("9999-12-31", "version-in-future"),
        ("2023-03-31", "version-before-first"),
        ("0001-01-01", "version-before-first"),
        ("", "version-malformed"),
        ("2026-1-5", "version-malformed"),
        ("2026-02-30", "version-malformed"),
        ("2026-11-20T00:00:00Z", "version-malformed"),
        ("2026-W47-5", "version-malformed"),
        ("٢٠٢٦-١١-٢٠", "version-malformed"),
        ("2023-04-01, 2023-09-01", "version-ambiguous"),
    ],
)
@pytest.mark.parametrize("with_key", [False, True])
async def test_a_header_that_names_no_contract_is_refused(
    api: Api, sent: str, type: str, with_key: bool
) -> None:
    """A key's pin does not step in for a header that is wrong."""
    headers = (await make_key(api)).header if with_key else {}
    async with api.get("/data", headers={**headers, "API-Version": sent}) as answer:
        problem = await answer.json(content_type="application/problem+json")
        assert (answer.status, problem["type"]) == (400, type)
        assert problem["supported"] == SUPPORTED
        assert "API-Version" not in answer.headers
        assert answer.headers["Cache-Control"] == ("private, no-cache" if with_key else "no-cache")


@pytest.mark.parametrize(
    ("day", "status", "type"),
    [
        ("2026-12-02", 400, "version-in-future"),
        ("9999-12-31", 400, "version-in-future"),
        ("2023-03-31", 400, "version-before-first"),
        ("0001-01-01", 400, "version-before-first"),
        ("", 422, "invalid-content"),
        ("2026-1-5", 422, "invalid-content"),
        ("2026-W47-5", 422, "invalid-content"),
        ("٢٠٢٦-١١-٢٠", 422, "invalid-content"),
        ("2023-05-01, 2023-05-01", 422, "invalid-content"),
    ],
)
async def test_a_pin_that_names_no_contract_is_refused(api: Api, day: str, status: int, type: str) -> None:
    """Neither the key itself nor an admin can pin it to the future, before the first contract, or to no day."""
    key = await make_key(api)
    for path, headers in (("/keys/self/pin", key.header), (f"/keys/{key.id}/pin", ADMIN)):
        async with api.post(path, json={"date": day}, headers=headers) as answer:
            problem = await answer.json(content_type="application/problem+json")
            assert (answer.status, problem["type"], problem["pointer"]) == (status, type, "/date"), problem
            assert problem.get("supported") == (SUPPORTED if status == 400 else None)
    assert await pin_of(api, key) is None


async def test_the_header_twice_counts_once(api: Api) -> None:
    """The same day twice is that day, whether sent as two lines or joined by a proxy; two days are refused."""
    for values in ([SECOND, SECOND], ["2023-09-01, 20230901"]):
        headers = [("API-Version", value) for value in values]
        async with api.get("/data", headers=headers) as answer:
            assert answer.headers["API-Version"] == SECOND
    headers = [("API-Version", SECOND), ("API-Version", FIRST)]
    async with api.get("/data", headers=headers) as answer:
        assert (answer.status, (await answer.json())["type"]) == (400, "version-ambiguous")


async def test_a_header_never_moves_a_pin(api: Api) -> None:
    """It chooses for its own request only; as a first contact it pins the key to today, not to its date."""
    key = await make_key(api)
    explicit = {**key.header, "API-Version": FIRST}
    assert await contract_of(api, explicit) == (FIRST, "header")
    assert await pin_of(api, key) == TODAY
    await set_pin(api, key, "2024-01-01")
    for day in (FIRST, NEWEST, TODAY):
        assert (await contract_of(api, {**key.header, "API-Version": day}))[1] == "header"
    assert await pin_of(api, key) == "2024-01-01"
    assert await contract_of(api, key.header) == (SECOND, "pin")


async def test_only_a_path_under_contract_is_a_contact(api: Api) -> None:
    """To look at versions or at one's key pins nothing; to fail under a contract does."""
    key = await make_key(api, "write")
    for path in ("/versions", "/keys/self"):
        async with api.get(path, headers=key.header) as answer:
            assert answer.status == 200
    assert await pin_of(api, key) is None
    assert (await problem_of(api, "GET", "/data", headers=key.header))[0] == 403
    assert await pin_of(api, key) == TODAY


async def test_fifty_first_requests_make_one_pin(api: Api, clock: FakeClock) -> None:
    """All that race get the same contract, and midnight passing meanwhile changes nothing."""
    key = await make_key(api)
    clock.move(hours=11, minutes=59, seconds=59)

    async def ask(number: int) -> tuple[str, str]:
        if number == 25:
            clock.move(seconds=2)
        return await contract_of(api, key.header)

    assert set(await asyncio.gather(*map(ask, range(50)))) == {(NEWEST, "pin")}
    pin = await pin_of(api, key)
    assert pin in {TODAY, "2026-12-02"}
    assert await contract_of(api, key.header) == (NEWEST, "pin")
    assert await pin_of(api, key) == pin


async def test_a_pin_moves_forward_to_today_at_most(api: Api, clock: FakeClock) -> None:
    """Forward is any later day up to today; backward, and into the future, it stays where it is."""
    key = await make_key(api)
    await set_pin(api, key, "2023-05-01")
    assert await move(api, key, "2024-01-01") == 200
    assert await contract_of(api, key.header) == (SECOND, "pin")
    assert await move(api, key, "2023-12-31") == 422
    assert await move(api, key, "2026-12-02") == 400
    assert await move(api, key, TODAY) == 200
    assert await contract_of(api, key.header) == (NEWEST, "pin")
    clock.move(days=1)
    assert await move(api, key, "2026-12-02") == 200


async def test_a_pin_goes_back_within_72_hours(api: Api, clock: FakeClock) -> None:
    """Back to exactly where it was, once; at 72 hours it is too late."""
    key = await make_key(api)
    await set_pin(api, key, "2023-05-01")
    assert await move(api, key, TODAY) == 200
    clock.move(hours=71, minutes=59, seconds=59)
    assert await move(api, key, "2023-05-02") == 422, "another day than where it was"
    assert await move(api, key, "2023-05-01") == 200
    assert await contract_of(api, key.header) == (FIRST, "pin")
    assert await move(api, key, TODAY) == 200
    clock.move(hours=72)
    assert await move(api, key, "2023-05-01") == 422
    assert await contract_of(api, key.header) == (NEWEST, "pin")


async def test_an_admin_sets_a_pin_in_whichever_direction(api: Api, clock: FakeClock) -> None:
    """Back as well as forward, by any distance and at any time; what the key had moved by itself is forgotten."""
    key = await make_key(api)
    await contract_of(api, key.header)
    for day, contract in ((FIRST, FIRST), (TODAY, NEWEST), ("2024-02-29", SECOND), ("2023-05-01", FIRST)):
        clock.move(days=4)
        assert await set_pin(api, key, day) == 200
        assert await contract_of(api, key.header) == (contract, "pin")
    assert await move(api, key, TODAY) == 200
    assert await set_pin(api, key, "2024-01-01") == 200
    assert await move(api, key, "2023-05-01") == 422, "it was the admin who moved it last"


async def test_to_move_where_one_is_keeps_the_way_back(api: Api) -> None:
    """The same request twice does what it does once."""
    key = await make_key(api)
    await set_pin(api, key, "2023-05-01")
    for _ in range(2):
        assert await move(api, key, TODAY) == 200
    assert await move(api, key, "2023-05-01") == 200


async def test_a_key_without_contact_may_choose_its_day(api: Api) -> None:
    """Who integrates against an older contract pins a new key to its day before using it."""
    key = await make_key(api)
    assert await move(api, key, FIRST) == 200
    assert await contract_of(api, key.header) == (FIRST, "pin")


async def test_only_a_key_has_a_pin(api: Api) -> None:
    """Without one, 401 says what to send."""
    status, slug, detail = await problem_of(api, "POST", "/keys/self/pin", json={"date": TODAY})
    assert (status, slug) == (401, "unauthenticated")
    assert "Authorization: Bearer" in detail


async def test_only_an_admin_sets_the_pins_of_others(api: Api) -> None:
    """A key cannot move another one's pin."""
    key, other = await make_key(api), await make_key(api)
    refused = await problem_of(api, "POST", f"/keys/{other.id}/pin", json={"date": TODAY}, headers=key.header)
    assert refused[0] == 403
    assert await pin_of(api, other) is None


async def test_pinned_answers_are_private(api: Api) -> None:
    """No shared cache keeps what a key chose; `Vary` says what chooses where no key was sent."""
    key = await make_key(api)
    for headers, private in ((key.header, True), ({**key.header, "API-Version": FIRST}, True), ({}, False)):
        for _ in range(2):  # made, and from our own cache
            async with api.get("/data", headers=headers) as answer:
                wanted = "private, no-cache" if private else "no-cache"
                assert answer.headers["Cache-Control"] == wanted
                assert answer.headers["Vary"] == "API-Version, Authorization, Accept, Accept-Encoding"
                tag = answer.headers["ETag"]
        async with api.get("/data", headers={**headers, "If-None-Match": tag}) as answer:
            assert (answer.status, answer.headers["Cache-Control"]) == (304, wanted)


async def test_the_cache_keeps_pins_apart(api: Api) -> None:
    """The same URL asked by differently pinned keys, by none and by header never answers for another."""
    async with api.post("/data", data=METEORITES, headers=CSV) as answer:
        assert answer.status == 200
    keys = {}
    for day, contract in (("2023-05-01", FIRST), ("2024-01-01", SECOND), (TODAY, NEWEST)):
        key = await make_key(api)
        await set_pin(api, key, day)
        keys[contract] = key
    for _ in range(3):
        for contract, key in keys.items():
            async with api.get("/data", headers=key.header) as answer:
                assert answer.headers["API-Version"] == contract
                is_page = isinstance(await answer.json(), dict)
                assert is_page == (contract == NEWEST)
        assert await contract_of(api) == (FIRST, "default")
        assert await contract_of(api, {"API-Version": NEWEST}) == (NEWEST, "header")


async def test_a_moved_pin_counts_for_the_next_request(api: Api) -> None:
    """What was cached under the former pin is not served any more."""
    key = await make_key(api)
    await set_pin(api, key, "2023-05-01")
    for _ in range(2):
        assert await contract_of(api, key.header) == (FIRST, "pin")
    assert await move(api, key, TODAY) == 200
    assert await contract_of(api, key.header) == (NEWEST, "pin")
