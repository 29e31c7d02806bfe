"""The end of a contract: announced in every answer, and then 410, however the contract was chosen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest
from aiohttp.test_utils import TestServer
from dependency_injector import providers

from containers import Container
from service.contracts.registry import Registry
from tests.clocks import FakeClock

from .conftest import METEORITES, Api
from .keyring import ADMIN, ADMIN_KEY, make_key
from .registries import DEPRECATED, GUIDE, SUNSET, ending

CSV = {"Content-Type": "text/csv"}
FIRST, SECOND, NEWEST = "2023-04-01", "2023-09-01", "2026-11-20"
MakeEnding = Callable[..., Awaitable[Api]]


@pytest.fixture
def serve(
    make_container: Callable[..., Container], aiohttp_client: Callable[..., Awaitable[Api]]
) -> MakeEnding:
    """Give a function that serves the contracts of a registry."""

    async def make(registry: Registry, **settings: str) -> Api:
        container = make_container(ADMIN_KEY=ADMIN_KEY, **settings)
        container.registry.override(providers.Object(registry))
        server = TestServer(container.application())
        await server.start_server(auto_decompress=False)
        return await aiohttp_client(server)

    return make


def links(header: str) -> dict[str, str]:
    """Return the targets of a `Link` header by relation."""
    parsed = (part.split(";") for part in header.split(", "))
    return {part[1].strip().removeprefix('rel="').rstrip('"'): part[0].strip("<>") for part in parsed}


async def test_every_answer_announces_the_end(serve: MakeEnding) -> None:
    """Success, error, cached and 304 alike: the moment of deprecation and of sunset, the guide, the way out."""
    api = await serve(ending())
    for path, headers in (("/data", {}), ("/data", {}), ("/data?start=x", {}), ("/datasets/none", {})):
        async with api.get(path, headers=headers) as answer:
            assert answer.headers["API-Version"] == FIRST
            assert answer.headers["Deprecation"] == f"@{int(DEPRECATED.timestamp())}"
            assert answer.headers["Sunset"] == "Wed, 30 Jun 2027 22:30:00 GMT"
            assert parsedate_to_datetime(answer.headers["Sunset"]) == SUNSET
            assert links(answer.headers["Link"]) == {
                "deprecation": GUIDE, "sunset": GUIDE, "successor-version": "/versions/2023-04-01...2023-09-01",
            }  # fmt: skip
            tag = answer.headers.get("ETag", "")
        if tag:
            async with api.get(path, headers={"If-None-Match": tag}) as answer:
                assert (answer.status, "Sunset" in answer.headers) == (304, True)


async def test_the_way_out_can_be_followed(serve: MakeEnding) -> None:
    """`successor-version` leads to what differs, also behind an ingress with a prefix."""
    api = await serve(ending(guide=None), BASE_PATH="/api")
    for prefix in ("", "/api"):
        async with api.get(f"{prefix}/data") as answer:
            found = links(answer.headers["Link"])
        assert found["deprecation"] == found["sunset"] == f"{prefix}/versions"
        for target in found.values():
            async with api.get(target) as answer:
                assert answer.status == 200, target


async def test_a_link_to_the_next_page_stays(serve: MakeEnding) -> None:
    """The links of the contract stand behind those of the answer."""
    api = await serve(ending())
    async with api.post("/data", data=METEORITES, headers=CSV) as answer:
        assert answer.status == 200
    for _ in range(2):  # made, and cached
        async with api.get("/data?limit=2", headers={"API-Version": SECOND}) as answer:
            found = links(answer.headers["Link"])
            assert found.keys() == {"next", "deprecation", "successor-version"}
            assert found["next"].startswith("/data?limit=2&after=")
            assert len(answer.headers.getall("Link")) == 1
            assert "Sunset" not in answer.headers, "deprecated, and no end is set yet"


async def test_the_newest_contract_announces_nothing(serve: MakeEnding) -> None:
    """Nothing ends for who is up to date."""
    api = await serve(ending())
    async with api.get("/datasets", headers={"API-Version": NEWEST}) as answer:
        assert not answer.headers.keys() & {"Deprecation", "Sunset", "Link"}
    async with api.get("/versions") as answer:
        assert not answer.headers.keys() & {"Deprecation", "Sunset", "Link"}


async def test_a_contract_past_its_sunset_is_gone_however_it_was_chosen(
    serve: MakeEnding, clock: FakeClock
) -> None:
    """By header, by pin and by default: 410 that names the way out, and nobody falls forward."""
    api = await serve(ending())
    key = await make_key(api)
    async with api.post(f"/keys/{key.id}/pin", json={"date": "2023-05-01"}, headers=ADMIN) as answer:
        assert answer.status == 200
    ways = {
        "header": {"API-Version": "2023-08-31"},
        "pin": key.header,
        "default": {},
    }
    for source, headers in ways.items():
        async with api.get("/data", headers=headers) as answer:
            assert (answer.status, answer.headers["API-Version-Source"]) == (200, source)
    clock.move(seconds=(SUNSET - clock.now()).total_seconds() - 1)
    for headers in ways.values():
        async with api.get("/data", headers=headers) as answer:
            assert answer.status == 200, "the last second is served"
    clock.move(seconds=1)
    requested = {"header": "2023-08-31", "pin": "2023-05-01", "default": FIRST}
    for source, headers in ways.items():
        for path in ("/data", "/data", "/favorite", "/datasets/none"):
            async with api.get(path, headers=headers) as answer:
                problem = await answer.json(content_type="application/problem+json")
                assert (answer.status, problem["type"]) == (410, "version-sunset")
                assert NEWEST in problem["detail"]
                assert GUIDE in problem["detail"]
                assert problem["requested"] == requested[source]
                assert problem["supported"] == [SECOND, NEWEST]
                assert answer.headers["API-Version"] == FIRST
                assert answer.headers["API-Version-Source"] == source
                assert "successor-version" in links(answer.headers["Link"])
    async with api.get("/data", headers={"API-Version": NEWEST}) as answer:
        assert answer.status == 200
    async with api.get("/data", headers={**key.header, "API-Version": SECOND}) as answer:
        assert answer.status == 200
    async with api.post("/keys/self/pin", json={"date": "2023-09-01"}, headers=key.header) as answer:
        assert answer.status == 200, "a pin can be moved out of what has ended"
    async with api.get("/data", headers=key.header) as answer:
        assert (answer.status, answer.headers["API-Version"]) == (200, SECOND)


async def test_what_has_no_contract_never_ends(serve: MakeEnding, clock: FakeClock) -> None:
    """Probes, versions and keys answer when every contract but the newest is gone."""
    api = await serve(ending(second=SUNSET))
    clock.move(days=1000)
    key = await make_key(api)
    for path in ("/livez", "/versions", "/keys/self"):
        async with api.get(path, headers=key.header) as answer:
            assert answer.status == 200, path
    async with api.get("/data", headers=key.header) as answer:
        assert (answer.status, answer.headers["API-Version"]) == (200, NEWEST)


async def test_the_state_of_a_contract_follows_the_clock(serve: MakeEnding, clock: FakeClock) -> None:
    """Supported until its deprecation, deprecated until its sunset, and sunset for good."""
    clock.move(hours=-13)
    api = await serve(ending())

    async def states() -> list[str]:
        async with api.get("/versions") as answer:
            return [contract["state"] for contract in (await answer.json())["versions"]]

    assert await states() == ["supported", "supported", "current"]
    clock.move(hours=1)
    assert await states() == ["deprecated", "deprecated", "current"]
    clock.move(seconds=(SUNSET - clock.now()).total_seconds())
    assert await states() == ["sunset", "deprecated", "current"]


async def test_the_versions_tell_both_moments(serve: MakeEnding) -> None:
    """Deprecation, sunset and guide stand in the list for machines."""
    api = await serve(ending())
    async with api.get("/versions") as answer:
        first, second, newest = (await answer.json())["versions"]
    assert (first["deprecated"], first["sunset"]) == (
        "2026-12-01T00:00:00.000000Z",
        "2027-06-30T22:30:00.000000Z",
    )
    assert (first["guide"], second["sunset"], newest["deprecated"]) == (GUIDE, None, None)
    assert datetime.fromisoformat(first["sunset"]).astimezone(UTC) == SUNSET


async def test_browsers_are_told_the_end_too(serve: MakeEnding) -> None:
    """The changelog shows both moments and links the guide."""
    api = await serve(ending())
    async with api.get("/versions", headers={"Accept": "text/html"}) as answer:
        text = await answer.text()
    assert "Served until <time>2027-06-30T22:30:00.000000Z</time>" in text
    assert "Deprecated from <time>2026-12-01T00:00:00.000000Z</time>" in text
    assert f'<a href="{GUIDE}">How to move on</a>' in text
    async with api.get(f"/versions/{FIRST}...{FIRST}", headers={"Accept": "text/html"}) as answer:
        assert "Nothing differs" in await answer.text()
