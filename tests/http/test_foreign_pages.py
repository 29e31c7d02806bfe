"""Pages of other sites, which browsers let write without asking, to whoever answers."""

from __future__ import annotations

import pytest

from tests.http.conftest import Api, MakeApi
from tests.http.keyring import ADMIN_KEY

SITE = "https://elsewhere.example"
FOREIGN = {"Origin": SITE, "Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"}
WRITES = [("POST", "/data", b""), ("POST", "/query", b"create table t (a)"), ("DELETE", "/data", b"")]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_a_page_of_another_site_writes_nothing(api: Api, method: str, path: str, body: bytes) -> None:
    """What needs no preflight is refused, so that nobody's browser fills or empties an open service."""
    async with api.request(method, path, data=body, headers=FOREIGN) as answer:
        assert (answer.status, (await answer.json())["type"]) == (403, "foreign-page")
    async with api.get("/data") as answer:
        assert await answer.json() == []


async def test_a_page_of_another_site_may_ask(api: Api) -> None:
    """Reading changes nothing, and without CORS_ORIGINS the page does not see the answer."""
    async with api.get("/data", headers=FOREIGN) as answer:
        assert answer.status == 200
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("origins", [SITE, "*"])
async def test_an_origin_that_is_named_may_write(make_api: MakeApi, origins: str) -> None:
    """The owner's own pages on another site write as everybody does."""
    api = await make_api(CORS_ORIGINS=origins)
    async with api.post("/data", headers=FOREIGN) as answer:
        assert answer.status == 200


async def test_a_key_is_enough(make_api: MakeApi) -> None:
    """A page that has a key was given it: nobody's browser adds one by itself."""
    api = await make_api(ADMIN_KEY=ADMIN_KEY)
    headers = {**FOREIGN, "Authorization": f"Bearer {ADMIN_KEY}"}
    async with api.post("/data", headers=headers) as answer:
        assert answer.status == 201


@pytest.mark.parametrize("site", ["same-origin", "same-site", "none"])
async def test_a_page_of_ours_writes(api: Api, site: str) -> None:
    """The service's own pages, and what is typed into the address bar, are no strangers."""
    async with api.post("/data", headers={**FOREIGN, "Sec-Fetch-Site": site}) as answer:
        assert answer.status == 200
