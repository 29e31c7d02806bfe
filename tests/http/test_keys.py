"""Keys and scopes on the wire: who may do what, and what one is told who may not."""

from __future__ import annotations

import pytest

from service.domain.access import Scope
from tests.clocks import FakeClock

from .conftest import METEORITES, Api, MakeApi
from .keyring import ADMIN, ADMIN_KEY, make_key, problem_of

CSV = {"Content-Type": "text/csv"}


@pytest.fixture
async def api(make_api: MakeApi) -> Api:
    """Give a client of a service that has an admin."""
    return await make_api(ADMIN_KEY=ADMIN_KEY)


@pytest.fixture
async def closed(make_api: MakeApi) -> Api:
    """Give a client of a service that wants keys."""
    return await make_api(ADMIN_KEY=ADMIN_KEY, AUTH_MODE="keys")


async def test_a_key_is_shown_once(api: Api) -> None:
    """The answer that makes a key holds it; no later answer does, and neither does any cache."""
    async with api.post("/keys", json={"name": "robot", "scopes": ["read"]}, headers=ADMIN) as answer:
        made = await answer.json()
        assert answer.status == 201
        assert answer.headers["Cache-Control"] == "no-store"
    secret = made.pop("key")
    assert len(secret) >= 43, "256 bits in base 64"
    assert made == {
        "id": made["id"], "name": "robot", "scopes": ["read"], "created": "2026-12-01T12:00:00.000000Z",
        "pin": None, "contract": None,
    }  # fmt: skip
    for path in (f"/keys/{made['id']}", "/keys"):
        async with api.get(path, headers=ADMIN) as answer:
            text = await answer.text()
            assert made["id"] in text
            assert secret not in text
            assert answer.headers["Cache-Control"] == "no-store"


async def test_a_key_tells_who_it_is(api: Api) -> None:
    """`/keys/self` names the key, its scopes and its pin; without a key, what anybody may do."""
    key = await make_key(api, "write", "read")
    async with api.get("/keys/self", headers=key.header) as answer:
        own = await answer.json()
        assert (own["id"], own["scopes"], own["pin"]) == (key.id, ["read", "write"], None)
    async with api.get("/keys/self") as answer:
        nobody = await answer.json()
        assert nobody["id"] is None
        assert nobody["scopes"] == ["read", "sql:read", "sql:write", "write"]
        assert nobody["contract"] == "2023-04-01"
    async with api.get("/keys/self", headers=ADMIN) as answer:
        assert (await answer.json())["id"] == "admin"


async def test_a_revoked_key_ends_at_once(api: Api) -> None:
    """It is refused everywhere, and is no longer there for the admin either."""
    key, other = await make_key(api), await make_key(api)
    async with api.delete(f"/keys/{key.id}", headers=ADMIN) as answer:
        assert (answer.status, await answer.text()) == (204, "")
    for path in ("/data", "/versions", "/keys/self", "/favorite"):
        assert await problem_of(api, "GET", path, headers=key.header) == (
            401, "unauthenticated", "The key is not known or was revoked.",
        )  # fmt: skip
    assert (await problem_of(api, "DELETE", f"/keys/{key.id}", headers=ADMIN))[0] == 404
    async with api.get("/data", headers=other.header) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    "sent",
    [
        "Bearer unknown",
        "Bearer aero_" + "A" * 43,
        "Bearer " + "k" * 513,
        "Bearer " + "k" * 6000,
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "aero_" + "A" * 43,
        "Bearer clé",
        "Bearer a b",
        "",
    ],
)
async def test_a_key_that_is_none_is_refused_in_every_mode(api: Api, closed: Api, sent: str) -> None:
    """Wrong, oversize and malformed keys are 401, where keys are needed and where not; none is told apart."""
    for service in (api, closed):
        async with service.get("/data", headers={"Authorization": sent}) as answer:
            problem = await answer.json(content_type="application/problem+json")
            assert (answer.status, problem["type"]) == (401, "unauthenticated")
            assert problem["detail"] in {
                "The key is not known or was revoked.",
                "Send `Authorization: Bearer KEY`.",
            }
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert answer.headers["Cache-Control"] == "private, no-cache"
            assert answer.headers["API-Version"] == "2023-04-01"


async def test_a_truncated_key_is_unknown(api: Api) -> None:
    """Not one character of a key may be missing, and none may be too many."""
    key = await make_key(api)
    for sent in (key.key[:-1], key.key[1:], key.key + "A", key.key.upper()):
        assert (await problem_of(api, "GET", "/data", headers={"Authorization": f"Bearer {sent}"}))[0] == 401
    async with api.get("/data", headers={"Authorization": f"bearer {key.key}"}) as answer:
        assert answer.status == 200, "the scheme's case does not matter (RFC 9110, section 11.1)"


NEEDS = [
    ("GET", "/data", "read"),
    ("GET", "/datasets", "read"),
    ("GET", "/datasets/landings/records/1", "read"),
    ("POST", "/data", "write"),
    ("DELETE", "/data", "write"),
    ("PUT", "/datasets/x", "write"),
    ("PATCH", "/datasets/landings", "write"),
    ("GET", "/keys", "admin"),
    ("POST", "/keys", "admin"),
    ("GET", "/keys/admin", "admin"),
    ("DELETE", "/keys/x", "admin"),
    ("POST", "/keys/x/pin", "admin"),
]


@pytest.mark.parametrize(("method", "path", "scope"), NEEDS)
async def test_a_missing_scope_is_named_and_nothing_else(
    closed: Api, method: str, path: str, scope: str
) -> None:
    """Without a key 401 names the scope, with a key that lacks it 403 does; not even what exists is told."""
    without = f"This needs a key with the scope `{scope}`: send `Authorization: Bearer KEY`."
    assert await problem_of(closed, method, path) == (401, "unauthenticated", without)
    others = [each.value for each in Scope if each not in {scope, Scope.ADMIN}]
    key = await make_key(closed, *others)
    assert await problem_of(closed, method, path, headers=key.header) == (
        403, "forbidden", f"The key lacks the scope `{scope}`.",
    )  # fmt: skip


async def test_a_scope_grants_what_it_says(closed: Api) -> None:
    """A key that writes does not read, one that reads does not write, an admin does all."""
    writer, reader = await make_key(closed, "write"), await make_key(closed, "read")
    async with closed.post("/data", data=METEORITES, headers={**CSV, **writer.header}) as answer:
        assert answer.ok
    assert (await problem_of(closed, "GET", "/data", headers=writer.header))[0] == 403
    async with closed.get("/data", headers=reader.header) as answer:
        assert answer.ok
    assert (await problem_of(closed, "DELETE", "/data", headers=reader.header))[0] == 403
    async with closed.delete("/data", headers=ADMIN) as answer:
        assert answer.ok


async def test_anonymous_scopes_open_a_door(make_api: MakeApi) -> None:
    """AUTH_MODE=keys grants ANONYMOUS_SCOPES without a key, and nothing else."""
    api = await make_api(AUTH_MODE="keys", ANONYMOUS_SCOPES="read")
    async with api.get("/data") as answer:
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-cache"
    assert (await problem_of(api, "POST", "/data"))[0] == 401
    async with api.get("/keys/self") as answer:
        assert (await answer.json())["scopes"] == ["read"]


async def test_what_needs_no_scope_needs_no_key(closed: Api) -> None:
    """Versions, probes and the favorite are for everybody."""
    for path in ("/versions", "/livez", "/favorite", "/keys/self"):
        async with closed.get(path) as answer:
            assert answer.status == 200, path


async def test_a_cached_answer_needs_the_scope_too(closed: Api) -> None:
    """What a reader has put into the cache is not served to who may not read."""
    reader, writer = await make_key(closed, "read"), await make_key(closed, "write")
    for _ in range(3):
        async with closed.get("/data", headers=reader.header) as answer:
            assert answer.status == 200
        assert (await problem_of(closed, "GET", "/data"))[0] == 401
        assert (await problem_of(closed, "GET", "/data", headers=writer.header))[0] == 403
    async with closed.delete(f"/keys/{reader.id}", headers=ADMIN) as answer:
        assert answer.status == 204
    assert (await problem_of(closed, "GET", "/data", headers=reader.header))[0] == 401


async def test_the_admin_key_is_not_revoked_over_http(api: Api) -> None:
    """It is a setting, and one is told so."""
    status, slug, detail = await problem_of(api, "DELETE", "/keys/admin", headers=ADMIN)
    assert (status, slug) == (409, "conflict")
    assert "ADMIN_KEY" in detail


async def test_another_admin_key_ends_the_former(make_api: MakeApi) -> None:
    """What was the admin's key is worth nothing once the setting says another."""
    before = await make_api(ADMIN_KEY=ADMIN_KEY)
    async with before.get("/keys", headers=ADMIN) as answer:
        assert answer.status == 200
    after = await make_api(ADMIN_KEY="another-admin-key")
    assert (await problem_of(after, "GET", "/keys", headers=ADMIN))[0] == 401
    async with after.get("/keys", headers={"Authorization": "Bearer another-admin-key"}) as answer:
        assert answer.status == 200


async def test_keys_are_listed_page_by_page(api: Api, clock: FakeClock) -> None:
    """Each key is listed once, and nothing is cut silently."""
    made = {(await make_key(api, name=f"k{number}")).id for number in range(7)}
    path, seen = "/keys?limit=3", []
    while path is not None:
        async with api.get(path, headers=ADMIN) as answer:
            page = await answer.json()
        assert len(page["keys"]) <= 3
        seen += [key["id"] for key in page["keys"]]
        path = page["next"]
    assert seen == sorted(made)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"", None),
        (b"{", None),
        (b"[]", None),
        (b"\xff", None),
        (b'{"name": "a"}', None),
        (b'{"scopes": ["read"]}', None),
        (b'{"name": "", "scopes": ["read"]}', "/name"),
        (b'{"name": 1, "scopes": ["read"]}', "/name"),
        (b'{"name": "a", "scopes": "read"}', "/scopes"),
        (b'{"name": "a", "scopes": ["root"]}', "/scopes/0"),
        (b'{"name": "a", "scopes": ["read"], "more": 1}', None),
        (b'{"name": "' + b"n" * 201 + b'", "scopes": ["read"]}', "/name"),
        (b'{"x": ' + b"[" * 100_000, None),
    ],
)
async def test_a_key_that_cannot_be_made_is_refused(api: Api, body: bytes, pointer: str | None) -> None:
    """The problem points at what is wrong, and no key is made."""
    headers = {**ADMIN, "Content-Type": "application/json"}
    async with api.post("/keys", data=body, headers=headers) as answer:
        problem = await answer.json(content_type="application/problem+json")
        assert (answer.status, problem["type"], problem.get("pointer")) == (422, "invalid-content", pointer)
    async with api.get("/keys", headers=ADMIN) as answer:
        assert (await answer.json())["keys"] == []


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "after=%00", "after=" + "a" * 65, "x=1"]
)
async def test_a_listing_that_cannot_be_is_refused(api: Api, query: str) -> None:
    """The parameter is named."""
    status, slug, detail = await problem_of(api, "GET", f"/keys?{query}", headers=ADMIN)
    assert (status, slug) == (400, "invalid-parameter")
    assert query.partition("=")[0] in detail


@pytest.mark.parametrize("id", ["nothing", "%00", "a%2Fb", "%F0%9F%98%80", "a" * 300, ".."])
async def test_an_unknown_key_is_not_found(api: Api, id: str) -> None:
    """Whatever is asked for, it is a 404 and never a 500."""
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/pin")):
        body = {"json": {"date": "2024-01-01"}} if method == "POST" else {}
        async with api.request(method, f"/keys/{id}{path}", headers=ADMIN, **body) as answer:
            assert answer.status in {404, 405}, await answer.text()
