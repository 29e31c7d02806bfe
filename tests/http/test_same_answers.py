"""The same questions get the same bytes, whatever the store."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.servers import Servers
from tests.servers.postgres import run_postgres
from tests.servers.redis import durable_redis

from .conftest import NEWEST, SECOND, Api, MakeApi

CSV = {"Content-Type": "text/csv"}
KINDS = ("L6", "H5", "CV3", "", "é, ß", '"q"')

RECORDS = "/datasets/some/records"
QUESTIONS = (
    f"{RECORDS}?kind=L6",
    f"{RECORDS}?kind.ne=L6&limit=500&fields=id,kind",
    f"{RECORDS}?kind.in=H5,%22%C3%A9%2C%20%C3%9F%22&limit=all",
    f"{RECORDS}?mass+(g).gt=100.5&sort=-mass+(g),id&limit=50",
    f"{RECORDS}?mass+(g).null=true&sort=kind",
    f"{RECORDS}?found.gte=1990-01-01&found.lt=2000-01-01&sort=found",
    f"{RECORDS}?seen.gt=2001-01-01T00:00:00Z&sort=-seen&start=7",
    f"{RECORDS}?name.like=Name+1%25&sort=-name",
    f"{RECORDS}?name.ilike=%25E+77%25",
    f"{RECORDS}?big.gt=99999999999999999999&sort=-big",
    f"{RECORDS}?fell=true&facet=kind,mass+(g)&limit=1",
    f"{RECORDS}?sort=-id&start=1990&limit=100",
    f"{RECORDS}?sort=kind&limit=all&format=ndjson",
    f"{RECORDS}?id.lte=500&sort=-mass+(g)&limit=all&format=csv",
    f"{RECORDS}?id.gt=3000",
    f"{RECORDS}?nothing=1",
    f"{RECORDS}?id=x",
    "/datasets/some/aggregate?group=kind&count=&avg=mass+(g)&sum=mass+(g)&median=mass+(g)&min=seen&max=found",
    "/datasets/some/aggregate?group=kind,fell&count=&sum=big&sort=-count&limit=3",
    "/datasets/some/aggregate?count=&sum=id&avg=id&id.gt=17",
    "/datasets/some/aggregate?group=found&count=mass+(g)&format=csv&sort=-found",
)


class Reply(NamedTuple):
    """What of an answer must be the same."""

    status: int
    tag: str | None
    link: str | None
    body: bytes


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Keep the servers of this module."""
    with Servers() as running:
        yield running


async def test_the_same_questions_get_the_same_bytes_on_every_store(
    make_api: MakeApi, servers: Servers, storage_url: str
) -> None:
    """Memory, SQLite, Redis and PostgreSQL answer filters, sorts, groups and exports byte for byte alike."""
    urls = {
        "memory": "memory://",
        "sqlite": storage_url,
        "redis": servers.get(durable_redis).url,
        "postgresql": servers.get(run_postgres).url,
    }
    answers = {}
    for store, url in urls.items():
        api = await make_api(STORAGE_URL=url)
        await _write(api)
        answers[store] = await _ask(api)
    expected = answers.pop("memory")
    assert sum(reply.status == 200 for reply in expected.values()) > 2 * (len(QUESTIONS) - 2)
    for store, found in answers.items():
        for question, reply in found.items():
            assert reply == expected[question], f"{store} answers {question} otherwise"


async def _write(api: Api) -> None:
    """Load records of all types, then append, change and delete some."""
    lines = ["id,name,kind,mass (g),fell,found,seen,big"]
    for at in range(2000):
        mass = "" if at % 11 == 0 else f"{(at * 7919) % 5000 / 8:.3f}"
        found = f"{1980 + at % 40}-0{1 + at % 9}-1{at % 10}"
        seen = f"{1990 + at % 30}-01-01T0{at % 10}:00:00{'Z' if at % 2 else '+02:00'}"
        kind = KINDS[at % len(KINDS)].replace('"', '""')
        fell = "true" if at % 3 == 0 else "false"
        lines.append(f'{at},Name {at},"{kind}",{mass},{fell},{found},{seen},{at**9}')
    async with api.put("/datasets/some?key=id", data="\n".join(lines).encode(), headers=CSV) as answer:
        assert answer.status in {200, 201}, await answer.text()
    # A question in between, so that what follows meets columns that are there already.
    async with api.get(f"{RECORDS}?id=5", headers=NEWEST) as answer:
        assert answer.status == 200
    async with api.post(RECORDS, json=[{"id": 2000 + at, "kind": "new"} for at in range(50)]) as answer:
        assert answer.status == 201, await answer.text()
    async with api.patch(f"{RECORDS}/77", json={"kind": "H5", "mass (g)": 1e3}) as answer:
        assert answer.status == 200, await answer.text()
    for key in range(100, 120):
        async with api.delete(f"{RECORDS}/{key}") as answer:
            assert answer.status == 200


async def _ask(api: Api) -> dict[tuple[str, str], Reply]:
    replies = {}
    for contract in (NEWEST, SECOND):
        for question in QUESTIONS:
            url = question
            for _ in range(3):  # and on by `next`
                async with api.get(url, headers=contract) as answer:
                    body = re.sub(rb'"instance":"[^"]*"', b"", await answer.read())
                    link = answer.headers.get("Link")
                    key = (contract["API-Version"], url)
                    replies[key] = Reply(answer.status, answer.headers.get("ETag"), link, body)
                    if "next" not in answer.links:
                        break
                    url = str(answer.links["next"]["url"].relative())
    return replies
