"""ETags, preconditions and the response cache: never stale, never a lost update."""

from __future__ import annotations

import asyncio
import gzip

from .conftest import NEWEST, SECOND, Api

CSV = {"Content-Type": "text/csv"}
JSON = {"Content-Type": "application/json"}


async def test_what_has_not_changed_is_not_sent_again(loaded: Api) -> None:
    """If-None-Match with the ETag gives 304 without a body, from the store and from the cache."""
    async with loaded.get("/data") as answer:
        etag = answer.headers["ETag"]
    for _ in range(2):
        async with loaded.get("/data", headers={"If-None-Match": f'"other", {etag}'}) as answer:
            assert (answer.status, await answer.read()) == (304, b"")
            assert answer.headers["ETag"] == etag
            assert answer.headers["API-Version"] == "2023-04-01"


async def test_each_representation_has_an_etag_of_its_own(loaded: Api) -> None:
    """Contract, query, format and encoding each make another ETag of the same revision."""
    asked = [
        ("/data", {}),
        ("/data", SECOND),
        ("/data", NEWEST),
        ("/data?start=1", {}),
        ("/data?fields=id", {}),
        ("/data?format=csv", {}),
        ("/data?format=ndjson", {}),
        ("/datasets/data", {}),
        ("/datasets/data/records", {}),
    ]
    tags = set()
    for path, headers in asked:
        async with loaded.get(path, headers=headers) as answer:
            tags.add(answer.headers["ETag"])
    assert len(tags) == len(asked)


async def test_a_read_after_a_write_sees_it(loaded: Api) -> None:
    """The cache is checked against the revision on every read."""
    url = "/datasets/landings/records/2"
    async with loaded.get(url, headers=NEWEST) as answer:
        assert (await answer.json())["recclass"] == "H6"
    async with loaded.patch(url, data=b'{"recclass": "L6"}', headers=JSON) as answer:
        assert answer.status == 200
    async with loaded.get(url, headers=NEWEST) as answer:
        assert (await answer.json())["recclass"] == "L6"


async def test_a_stale_if_match_writes_nothing(loaded: Api) -> None:
    """Who has not seen the last change cannot overwrite it."""
    url = "/datasets/landings/records/2"
    async with loaded.get(url) as answer:
        etag = answer.headers["ETag"]
    async with loaded.patch(url, data=b'{"recclass": "A"}', headers={**JSON, "If-Match": etag}) as answer:
        assert answer.status == 200
    for method in ("PATCH", "DELETE"):
        async with loaded.request(
            method, url, data=b'{"recclass": "B"}', headers={**JSON, "If-Match": etag}
        ) as answer:
            assert (answer.status, (await answer.json())["type"]) == (412, "precondition-failed")
    async with loaded.get(url) as answer:
        assert (await answer.json())["recclass"] == "A"


async def test_of_two_writers_with_one_etag_one_wins(loaded: Api) -> None:
    """The precondition is checked in the transaction of the write."""
    async with loaded.get("/datasets/landings") as answer:
        etag = answer.headers["ETag"]

    async def put(text: bytes) -> int:
        url = "/datasets/landings?key=id"
        async with loaded.put(url, data=text, headers={**CSV, "If-Match": etag}) as answer:
            return answer.status

    statuses = await asyncio.gather(*(put(b"id\n%d\n" % number) for number in range(8)))
    assert sorted(statuses) == [200] + [412] * 7


async def test_if_none_match_star_creates_only(loaded: Api) -> None:
    """PUT with `If-None-Match: *` never replaces."""
    only_new = {**CSV, "If-None-Match": "*"}
    async with loaded.put("/datasets/landings", data=b"a\n1\n", headers=only_new) as answer:
        assert answer.status == 412
    async with loaded.put("/datasets/fresh", data=b"a\n1\n", headers=only_new) as answer:
        assert answer.status == 201


async def test_a_client_that_takes_gzip_gets_it(api: Api) -> None:
    """The same bytes come compressed, with an ETag of their own."""
    async with api.post("/data") as answer:
        assert answer.status == 200
    async with api.get("/data", headers={"Accept-Encoding": "identity"}) as answer:
        plain, etag = await answer.read(), answer.headers["ETag"]
        assert "Content-Encoding" not in answer.headers
    async with api.get("/data", headers={"Accept-Encoding": "gzip"}, auto_decompress=False) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(await answer.read()) == plain
        assert answer.headers["ETag"] != etag


async def test_head_answers_as_get_without_a_body(loaded: Api) -> None:
    """Status and headers are those of GET."""
    async with loaded.get("/data", headers=NEWEST) as answer:
        expected = answer.headers.copy()
    async with loaded.head("/data", headers=NEWEST) as answer:
        found = answer.headers.copy()
        assert (answer.status, await answer.read()) == (200, b"")
    for headers in (expected, found):
        headers.popall("Date")
        headers.popall("X-Request-Id")
    assert found == expected


async def test_options_tells_the_methods(api: Api) -> None:
    """OPTIONS of a path names what it takes."""
    async with api.options("/datasets/x/records/y") as answer:
        assert answer.status == 204
        assert answer.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"


async def test_a_repeated_idempotency_key_appends_once(loaded: Api) -> None:
    """The second request gets the first answer, and nothing is doubled."""
    headers = {**JSON, "Idempotency-Key": "one"}
    answers = []
    for _ in range(2):
        async with loaded.post("/datasets/data/records", data=b'{"name": "x"}', headers=headers) as answer:
            answers.append((answer.status, answer.headers["Location"], await answer.json()))
    assert answers[0] == answers[1]
    assert answers[0][2]["count"] == 6


async def test_concurrent_twins_get_the_same_answer(loaded: Api) -> None:
    """Twenty at once append one record."""
    headers = {**JSON, "Idempotency-Key": "twins"}

    async def post() -> bytes:
        async with loaded.post("/datasets/data/records", data=b'{"name": "x"}', headers=headers) as answer:
            assert answer.status == 201
            return await answer.read()

    assert len(set(await asyncio.gather(*(post() for _ in range(20))))) == 1
    async with loaded.get("/datasets/data") as answer:
        assert (await answer.json())["count"] == 6


async def test_an_idempotency_key_belongs_to_one_body(loaded: Api) -> None:
    """The same key with another body is refused."""
    headers = {**JSON, "Idempotency-Key": "one"}
    async with loaded.post("/datasets/data/records", data=b'{"name": "x"}', headers=headers) as answer:
        assert answer.status == 201
    async with loaded.post("/datasets/data/records", data=b'{"name": "y"}', headers=headers) as answer:
        assert (answer.status, (await answer.json())["type"]) == (422, "idempotency-mismatch")


async def test_a_cursor_survives_appends_and_deletes(loaded: Api) -> None:
    """What is behind the cursor comes next, whatever was added or removed meanwhile."""
    async with loaded.get("/datasets/landings/records?limit=2") as answer:
        following = (await answer.json())["next"]
    async with loaded.delete("/datasets/landings/records/1") as answer:
        assert answer.status == 200
    async with loaded.post("/datasets/landings/records", data=b'{"id": 12}', headers=JSON) as answer:
        assert answer.status == 201
    async with loaded.get(following) as answer:
        page = await answer.json()
        assert [record["id"] for record in page["records"]] == [6, 10]
        assert page["start"] == 1


async def test_a_cursor_of_a_replaced_dataset_is_refused(loaded: Api) -> None:
    """Pages of two generations are never mixed."""
    async with loaded.get("/datasets/landings/records?limit=2") as answer:
        following = (await answer.json())["next"]
    async with loaded.put("/datasets/landings", data=b"id\n1\n2\n3\n", headers=CSV) as answer:
        assert answer.status == 200
    async with loaded.get(following) as answer:
        assert (answer.status, (await answer.json())["type"]) == (400, "invalid-cursor")
