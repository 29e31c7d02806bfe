"""`/data` under its three contracts."""

from __future__ import annotations

import pytest

from service.domain.sample import sample

from .conftest import METEORITES, NEWEST, SECOND, Api

CSV = {"Content-Type": "text/csv"}


async def test_data_is_an_empty_array_until_it_is_loaded(api: Api) -> None:
    """Who reads before anybody has loaded gets no records, and 200."""
    async with api.get("/data") as answer:
        assert (answer.status, await answer.text()) == (200, "[]")
        assert answer.headers["API-Version"] == "2023-04-01"
        assert answer.headers["API-Version-Source"] == "default"


async def test_an_empty_page_counts_nothing(api: Api) -> None:
    """The newest contract's page is there too, with count 0."""
    async with api.get("/data", headers=NEWEST) as answer:
        assert await answer.json() == {
            "dataset": "data", "revision": 0, "count": 0, "start": 0, "records": [], "next": None,
        }  # fmt: skip


async def test_posting_nothing_loads_the_sample(api: Api) -> None:
    """The first contract answers a load with one line that says how many records."""
    async with api.post("/data") as answer:
        assert (answer.status, await answer.text()) == (200, "Loaded 300 records\n")
        assert answer.content_type == "text/plain"
        assert "Location" not in answer.headers
    async with api.get("/data?start=298") as answer:
        assert await answer.json() == list(sample())[298:]


async def test_posting_twice_doubles_nothing(api: Api) -> None:
    """POST replaces the dataset whole."""
    for _ in range(2):
        async with api.post("/data") as answer:
            assert answer.status == 200
    async with api.get("/data") as answer:
        assert len(await answer.json()) == 300


async def test_the_first_contract_serves_values_as_they_were_loaded(loaded: Api) -> None:
    """A CSV's values are its text, to the byte."""
    async with loaded.get("/data?start=1") as answer:
        assert (await answer.text()).startswith(
            '[{"name":"Aarhus","id":"2","recclass":"H6","mass (g)":"720.50","fell":"true","found":"1951-10-02"},'
        )
        assert "X-Total-Count" not in answer.headers
        assert "Link" not in answer.headers


async def test_the_first_contract_knows_no_limit(loaded: Api) -> None:
    """A parameter that came later is unknown before, and the error lists what is valid."""
    async with loaded.get("/data?limit=2") as answer:
        problem = await answer.json()
        assert (answer.status, problem["parameter"]) == (400, "limit")
        assert "limit" not in problem["valid"]
        assert "start" in problem["valid"]


async def test_the_second_contract_limits_and_counts(loaded: Api) -> None:
    """The array stays bare; headers tell how many there are and where to go on."""
    async with loaded.get("/data?limit=2", headers=SECOND) as answer:
        assert [record["name"] for record in await answer.json()] == ["Aachen", "Aarhus"]
        assert answer.headers["X-Total-Count"] == "5"
        following = answer.links["next"]["url"]
    async with loaded.get(following.relative(), headers=SECOND) as answer:
        assert [record["id"] for record in await answer.json()] == ["6", "10"]


async def test_the_second_contract_gives_all_without_a_limit(loaded: Api) -> None:
    """All is the default, and a limit has no bound."""
    async with loaded.get("/data", headers=SECOND) as answer:
        assert len(await answer.json()) == 5
        assert "Link" not in answer.headers
    async with loaded.get("/data?limit=20000", headers=SECOND) as answer:
        assert len(await answer.json()) == 5


async def test_the_newest_contract_serves_typed_pages(loaded: Api) -> None:
    """Numbers are numbers, an empty cell is null, and `next` leads to the rest."""
    async with loaded.get("/data?start=1&limit=3", headers=NEWEST) as answer:
        page = await answer.json()
    following = page.pop("next")
    assert page == {
        "dataset": "data",
        "revision": 1,
        "count": 5,
        "start": 1,
        "records": [
            {
                "name": "Aarhus",
                "id": 2,
                "recclass": "H6",
                "mass (g)": 720.5,
                "fell": True,
                "found": "1951-10-02",
            },
            {
                "name": "Abee",
                "id": 6,
                "recclass": "EH4",
                "mass (g)": 107000,
                "fell": True,
                "found": "1952-06-09",
            },
            {
                "name": 'Björböle, "B"',
                "id": 10,
                "recclass": None,
                "mass (g)": None,
                "fell": False,
                "found": None,
            },
        ],
    }
    async with loaded.get(following, headers=NEWEST) as answer:
        page = await answer.json()
    assert (page["start"], len(page["records"]), page["next"]) == (4, 1, None)


async def test_a_number_keeps_its_digits(loaded: Api) -> None:
    """A typed value is the cell's own token, so no digit is lost on the way through a float."""
    async with loaded.get("/data", headers=NEWEST) as answer:
        text = await answer.text()
    assert '"mass (g)":720.50,' in text
    assert '"mass (g)":2e6,' in text


@pytest.mark.parametrize("query", ["limit=10001", "limit=0", "limit=-1", "limit=ten", "start=x", "start=-1"])
async def test_a_limit_or_start_that_cannot_be_is_refused(loaded: Api, query: str) -> None:
    """The error names the parameter."""
    async with loaded.get(f"/data?{query}", headers=NEWEST) as answer:
        problem = await answer.json()
        assert (answer.status, problem["type"]) == (400, "invalid-parameter")
        assert problem["parameter"] == query.partition("=")[0]


async def test_a_start_past_the_end_gives_no_records(loaded: Api) -> None:
    """There is nothing there, and that is no error."""
    async with loaded.get("/data?start=99") as answer:
        assert (answer.status, await answer.text()) == (200, "[]")
    async with loaded.get("/data?start=99&limit=1", headers=NEWEST) as answer:
        page = await answer.json()
        assert (page["records"], page["next"], page["count"]) == ([], None, 5)


async def test_limit_all_gives_all(loaded: Api) -> None:
    """`limit=all` is a page that holds everything."""
    async with loaded.get("/data?limit=all", headers=NEWEST) as answer:
        page = await answer.json()
        assert (len(page["records"]), page["next"]) == (5, None)


async def test_a_load_answers_with_a_receipt_since_the_second_contract(api: Api) -> None:
    """201, a JSON receipt; `Location` since the newest."""
    async with api.post("/data", data=METEORITES, headers={**CSV, **SECOND}) as answer:
        receipt = await answer.json()
        assert answer.status == 201
        assert receipt.items() >= {"dataset": "data", "loaded": 5, "count": 5, "revision": 1}.items()
        assert "Location" not in answer.headers
    async with api.post("/data", data=METEORITES, headers={**CSV, **NEWEST}) as answer:
        assert answer.status == 201
        assert answer.headers["Location"] == "/data"
        assert (await answer.json())["revision"] == 2


async def test_deleting_says_how_many(loaded: Api) -> None:
    """Text in the first contract, a receipt later; then there is nothing."""
    async with loaded.delete("/data") as answer:
        assert (answer.status, await answer.text()) == (200, "Deleted 5 records\n")
    async with loaded.get("/data") as answer:
        assert await answer.text() == "[]"
    async with loaded.delete("/data", headers=NEWEST) as answer:
        receipt = await answer.json()
        assert answer.status == 200
        assert receipt == {"dataset": "data", "loaded": 0, "count": 0, "revision": 2, "deleted": 0}


async def test_a_revision_is_never_used_twice(loaded: Api) -> None:
    """A dataset that was deleted and loaded again goes on counting, so no ETag comes back to life."""
    async with loaded.delete("/data") as answer:
        assert answer.status == 200
    async with loaded.post("/data", headers=NEWEST) as answer:
        assert (await answer.json())["revision"] == 3


async def test_pages_by_next_give_every_record_once(api: Api) -> None:
    """Following `next` to its end meets each record exactly once, in order."""
    async with api.post("/data") as answer:
        assert answer.status == 200
    ids, url = [], "/data?limit=7"
    while url is not None:
        async with api.get(url, headers=NEWEST) as answer:
            page = await answer.json()
        ids += [record["id"] for record in page["records"]]
        url = page["next"]
    assert ids == [int(record["id"]) for record in sample()]


@pytest.mark.parametrize(("format", "media_type"), [("ndjson", "application/x-ndjson"), ("csv", "text/csv")])
async def test_other_formats_have_the_same_records(loaded: Api, format: str, media_type: str) -> None:
    """NDJSON and CSV by parameter or `Accept`; `Link` tells of the next page."""
    async with loaded.get(f"/data?limit=1&format={format}", headers=NEWEST) as answer:
        assert answer.content_type == media_type
        text = await answer.text()
        assert "next" in answer.links
    async with loaded.get("/data?limit=1", headers={**NEWEST, "Accept": media_type}) as answer:
        assert await answer.text() == text
    lines = text.splitlines()
    assert "Aachen" in lines[-1]
    if format == "csv":
        assert lines[0] == "name,id,recclass,mass (g),fell,found"


async def test_fields_selects_columns(loaded: Api) -> None:
    """Only the columns wanted, in the order wanted."""
    async with loaded.get("/data?fields=mass%20(g),id&start=4") as answer:
        assert await answer.text() == '[{"mass (g)":"2e6","id":"11"}]'


async def test_an_unknown_field_is_refused(loaded: Api) -> None:
    """The error lists the columns there are."""
    async with loaded.get("/data?fields=nmae") as answer:
        problem = await answer.json()
        assert (answer.status, problem["type"]) == (400, "unknown-column")
        assert problem["valid"] == ["name", "id", "recclass", "mass (g)", "fell", "found"]
