"""Filters, sorts, facets and groups over HTTP."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from .conftest import NEWEST, SECOND, Api

CSV = {"Content-Type": "text/csv"}
JSON = {"Content-Type": "application/json"}


async def get(
    api: Api, path: str, *, status: int = 200, headers: dict[str, str] = NEWEST, **query: str
) -> Any:
    """Return the JSON of an answer."""
    if query:
        path += "?" + urlencode(query)
    async with api.get(path, headers=headers) as answer:
        text = await answer.text()
        assert answer.status == status, text
        return json.loads(text)


async def names(api: Api, query: str) -> list[str]:
    """Return the names of the landings that match a query string."""
    page = await get(api, f"/datasets/landings/records?{query}")
    assert page["count"] >= len(page["records"])
    return [record["name"] for record in page["records"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("name=Abee", ["Abee"]),
        ("name=", []),
        ("name.eq=Abee", ["Abee"]),
        ("name.ne=Abee", ["Aachen", "Aarhus", 'Björböle, "B"', "Allende"]),
        ("id.gt=6", ['Björböle, "B"', "Allende"]),
        ("id.gte=6", ["Abee", 'Björböle, "B"', "Allende"]),
        ("id.gt=5.5&id.lt=10.5", ["Abee", 'Björböle, "B"']),
        ("id.lte=1e0", ["Aachen"]),
        ("id=1.5", []),
        ("id.ne=1.5&id.lt=2", ["Aachen"]),
        ("id.gt=-99999999999999999999999", ["Aachen", "Aarhus", "Abee", 'Björböle, "B"', "Allende"]),
        ("id.gt=99999999999999999999999", []),
        ("id.in=1,2,99999999999999999999999,2.5", ["Aachen", "Aarhus"]),
        ("mass+(g)=720.5", ["Aarhus"]),
        ("mass+(g)=2000000", ["Allende"]),
        ("mass+(g).lt=1e3", ["Aachen", "Aarhus"]),
        ("mass+(g).null=true", ['Björböle, "B"']),
        ("mass+(g).null=false&fell=true&found.gt=1952-01-01", ["Abee", "Allende"]),
        ("fell=false", ['Björböle, "B"']),
        ("found=1952-06-09", ["Abee"]),
        ("found.lte=1951-10-02", ["Aachen", "Aarhus"]),
        ("found.like=19%25-02-%25", ["Allende"]),
        ("name.like=A%25n", ["Aachen"]),
        ("name.like=A__e", ["Abee"]),
        ("name.ilike=AB%25", ["Abee"]),
        ("name.like=%5C%25%25", []),
        ('name.in=Abee,"Björböle, ""B"""', ["Abee", 'Björböle, "B"']),
        ("id.gt=1&id.ne=2&id.ne=6", ['Björböle, "B"', "Allende"]),
        ("sort=-id", ["Allende", 'Björböle, "B"', "Abee", "Aarhus", "Aachen"]),
        ("sort=mass+(g)", ["Aachen", "Aarhus", "Abee", "Allende", 'Björböle, "B"']),
        ("sort=-mass+(g)", ["Allende", "Abee", "Aarhus", "Aachen", 'Björböle, "B"']),
        ("sort=fell,-found", ['Björböle, "B"', "Allende", "Abee", "Aarhus", "Aachen"]),
        ("sort=-id&start=1&limit=2", ['Björböle, "B"', "Abee"]),
        ("sort=recclass&recclass.like=%25L%25", ["Aachen"]),
    ],
)
async def test_filters_and_sorts_follow_the_types_of_columns(
    loaded: Api, query: str, expected: list[str]
) -> None:
    """A question gives the records that match, in the order asked for, nulls last either way."""
    assert await names(loaded, query) == expected


@pytest.mark.parametrize(
    ("query", "parameter", "valid"),
    [
        ("nmae=Abee", "nmae", "sort"),
        ("nmae.gt=Abee", "nmae.gt", "sort"),
        ("id.above=1", "id.above", "gte"),
        ("id=one", "id", None),
        ("id.in=1,x", "id.in", None),
        ("id.in=", "id.in", None),
        ('name.in="x', "name.in", None),
        ("id=1e99999", "id", None),
        ("id=" + "9" * 4400, "id", None),
        ("mass+(g).gt=heavy", "mass (g).gt", None),
        ("fell=yes", "fell", None),
        ("found=1952", "found", None),
        ("found=1952-02-30", "found", None),
        ("id.like=1%25", "id.like", "eq"),
        ("name.like=a%5C", "name.like", None),
        ("id.null=maybe", "id.null", "true"),
        ("sort=mass", "sort", "mass (g)"),
        ("sort=id,-id", "sort", None),
        ("facet=mass", "facet", "mass (g)"),
        ("facet=name&format=csv", "facet", None),
        ("format=xlsx", "format", "parquet"),
    ],
)
async def test_what_is_unknown_or_does_not_fit_is_named(
    loaded: Api, query: str, parameter: str, valid: str | None
) -> None:
    """A bad question is a 400 that names the parameter and lists what is valid."""
    problem = await get(loaded, f"/datasets/landings/records?{query}", status=400)
    assert problem["parameter"] == parameter
    assert valid is None or valid in problem["valid"]


async def test_a_column_that_is_called_like_a_parameter_is_reached_by_an_operator(api: Api) -> None:
    """`limit.eq` filters by the column `limit`, `limit` limits; a column `a.gt` wins over `a` with `gt`."""
    records = [{"limit": 1, "a": 5, "a.gt": 0, "-a": 1}, {"limit": 2, "a": 1, "a.gt": 9, "-a": 0}]
    async with api.put("/datasets/odd", json=records) as answer:
        assert answer.status == 201
    page = await get(api, "/datasets/odd/records", **{"limit.eq": "2", "limit": "1"})
    assert page["records"] == records[1:]
    assert (await get(api, "/datasets/odd/records", **{"a.gt": "9"}))["records"] == records[1:]
    assert (await get(api, "/datasets/odd/records", sort="-a"))["records"] == records[::-1]


async def test_names_of_all_kinds_are_columns(api: Api) -> None:
    """Columns that differ by case, are empty, very long, quoted or not ASCII are filtered and grouped by."""
    odd = ["a", "A", "", "q\"'`", "é, ß", "x" * 3000, "a/b~c", "sort", "p", "r", "c0", "$1", "new\nline"]
    records = [{name: f"{at}-{row}" for at, name in enumerate(odd)} for row in range(3)]
    async with api.put("/datasets/odd", json=records) as answer:
        assert answer.status == 201
    for at, name in enumerate(odd):
        page = await get(api, "/datasets/odd/records", **{f"{name}.eq": f"{at}-1"})
        assert page["records"] == records[1:2]
        listed = '"' + name.replace('"', '""') + '"'
        page = await get(api, "/datasets/odd/aggregate", group=listed, count="")
        assert page["rows"] == [{name: f"{at}-{row}", "count": 1} for row in range(3)]


async def test_cursors_go_on_through_nulls_and_survive_appends(api: Api) -> None:
    """Following `next` gives each record once, in order, whatever is appended behind the place meanwhile."""
    records = [{"id": at, "mass": None if at % 5 == 0 else at % 7} for at in range(60)]
    async with api.put("/datasets/some", json=records) as answer:
        assert answer.status == 201
    found: list[dict[str, Any]] = []
    path = "/datasets/some/records?" + urlencode({"sort": "-mass", "id.lt": "60", "limit": "7"})
    while path:
        page = await get(api, path)
        assert page["start"] == len(found)
        assert page["count"] == 60
        found += page["records"]
        path = page["next"]
        async with api.post("/datasets/some/records", json={"id": 100 + len(found), "mass": 9}) as answer:
            assert answer.status == 201
    rank = {None: 99}
    assert found == sorted(
        records, key=lambda each: (rank.get(each["mass"], -(each["mass"] or 0)), each["id"])
    )


@pytest.mark.parametrize(
    "other",
    ["sort=name", "sort=id", "id.gt=2&sort=-id", "", "id.gt=1"],
)
async def test_a_cursor_of_another_question_is_refused(loaded: Api, other: str) -> None:
    """A cursor belongs to its sort and filters."""
    page = await get(loaded, "/datasets/landings/records", sort="-id", limit="2", **{"id.gt": "1"})
    cursor = page["next"].split("after=")[1]
    problem = await get(
        loaded, f"/datasets/landings/records?{other}&after={cursor}".replace("?&", "?"), status=400
    )
    assert problem["type"] == "invalid-cursor"


async def test_a_cursor_survives_a_sort_key_that_is_too_long_for_a_link(api: Api) -> None:
    """Where sort keys do not fit in a cursor, the record that they are of tells them."""
    records = [{"text": letter * 5000} for letter in "cab"]
    async with api.put("/datasets/long", json=records) as answer:
        assert answer.status == 201
    page = await get(api, "/datasets/long/records", sort="text", limit="1")
    assert page["records"] == records[1:2]
    assert len(page["next"]) < 300
    page = await get(api, page["next"])
    assert page["records"] == records[2:]


async def test_groups_are_counted_and_computed(loaded: Api) -> None:
    """`/aggregate` gives a row per group with the measures that were asked for."""
    answer = await get(
        loaded,
        "/datasets/landings/aggregate",
        group="fell",
        count="",
        sum="id",
        avg="mass (g)",
        min="found",
        max="name",
        median="id",
        sort="-count",
    )
    assert answer == {
        "dataset": "landings",
        "revision": 1,
        "rows": [
            {
                "fell": True,
                "count": 4,
                "sum(id)": 20,
                "avg(mass (g))": 526935.375,
                "min(found)": "1880-01-01",
                "max(name)": "Allende",
                "median(id)": 4,
            },
            {
                "fell": False,
                "count": 1,
                "sum(id)": 10,
                "avg(mass (g))": None,
                "min(found)": None,
                "max(name)": 'Björböle, "B"',
                "median(id)": 10,
            },
        ],
        "next": None,
    }


async def test_groups_are_filtered_sorted_and_paged(loaded: Api) -> None:
    """Groups follow filters, sort by measures, and `next` leads to the rest."""
    path = "/datasets/landings/aggregate?" + urlencode(
        {"group": "name", "max": "id", "id.gt": "1", "sort": "-max(id)", "limit": "3"}
    )
    first = await get(loaded, path)
    assert [row["max(id)"] for row in first["rows"]] == [11, 10, 6]
    second = await get(loaded, first["next"])
    assert second["rows"] == [{"name": "Aarhus", "max(id)": 2}]
    assert second["next"] is None


async def test_without_a_group_all_is_one(loaded: Api) -> None:
    """Measures without `group` are of all records that match; of none a count is 0 and the rest null."""
    answer = await get(loaded, "/datasets/landings/aggregate", count="", avg="id", **{"id.gt": "100"})
    assert answer["rows"] == [{"count": 0, "avg(id)": None}]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("", "group"),
        ("group=mass", "group"),
        ("avg=name", "avg"),
        ("sum=mass", "sum"),
        ("group=name&sort=id", "sort"),
        ("group=name&sort=-nothing", "sort"),
        ("group=name,name", "group"),
        ("group=name&limit=all", "limit"),
        ("group=name&limit=10001", "limit"),
        ("group=name&format=parquet", "format"),
        ("group=name&after=x", "after"),
        ("group=name&name.is=x", "name.is"),
    ],
)
async def test_a_bad_grouping_is_named(loaded: Api, query: str, parameter: str) -> None:
    """What is wrong with a grouping is a 400 that names the parameter."""
    problem = await get(loaded, f"/datasets/landings/aggregate?{query}", status=400)
    assert problem["parameter"] == parameter


async def test_a_group_and_a_measure_of_one_name_are_refused(api: Api) -> None:
    """Where an answer would have a name twice, nothing is left out silently."""
    async with api.put("/datasets/odd", json=[{"count": 1}]) as answer:
        assert answer.status == 201
    problem = await get(api, "/datasets/odd/aggregate", group="count", count="", status=400)
    assert problem["parameter"] == "group"


async def test_groups_come_as_csv(loaded: Api) -> None:
    """Groups have the formats of records."""
    async with loaded.get("/datasets/landings/aggregate?group=fell&count=&format=csv") as answer:
        assert await answer.text() == "fell,count\r\nfalse,1\r\ntrue,4\r\n"


async def test_facets_count_the_values_of_what_matches(loaded: Api) -> None:
    """`facet` adds each value and how many of the matching records have it, most first, null last."""
    page = await get(loaded, "/datasets/landings/records", facet="fell,mass (g)", limit="1", **{"id.gt": "2"})
    assert page["facets"] == {
        "fell": [{"value": True, "count": 2}, {"value": False, "count": 1}],
        "mass (g)": [
            {"value": 107000, "count": 1},
            {"value": 2000000, "count": 1},
            {"value": None, "count": 1},
        ],
    }
    assert "truncated" not in page


async def test_a_facet_that_is_cut_says_so(api: Api) -> None:
    """A facet with more than 100 values is listed in `truncated`."""
    async with api.put("/datasets/many", json=[{"id": at} for at in range(101)]) as answer:
        assert answer.status == 201
    page = await get(api, "/datasets/many/records", facet="id", limit="1")
    assert page["truncated"] == ["id"]
    assert len(page["facets"]["id"]) == 100


async def test_an_old_contract_filters_too(loaded: Api) -> None:
    """Filters are an addition: under the first contracts they give bare arrays of values as they were loaded."""
    assert await get(loaded, "/data?id.gt=10&fields=id,fell", headers={}) == [{"id": "11", "fell": "true"}]
    async with loaded.get("/data?sort=-id&limit=1&fields=id", headers=SECOND) as answer:
        assert answer.headers["X-Total-Count"] == "5"
        assert await answer.json() == [{"id": "11"}]
        assert 'rel="next"' in answer.headers["Link"]


async def test_a_question_of_data_that_was_never_loaded_is_empty(api: Api) -> None:
    """`/data` has no columns before it is loaded: groups are counted, filters unknown."""
    assert (await get(api, "/datasets/data/aggregate", count=""))["rows"] == [{"count": 0}]
    assert (await get(api, "/data", id="1", status=400))["columns"] == []


async def test_an_etag_tells_questions_apart(loaded: Api) -> None:
    """The tag differs by filter and sort, and is known again."""
    tags = set()
    for query in ("id.gt=0", "id.gt=1", "sort=id", "sort=-id", "facet=id"):
        async with loaded.get(f"/datasets/landings/records?{query}", headers=NEWEST) as answer:
            tag = answer.headers["ETag"]
        tags.add(tag)
        async with loaded.get(
            f"/datasets/landings/records?{query}", headers={**NEWEST, "If-None-Match": tag}
        ) as answer:
            assert answer.status == 304
    assert len(tags) == 5


async def test_a_question_sees_what_was_just_written(loaded: Api) -> None:
    """After an append, an edit, a deletion and a replacement the same question gives the new answer."""
    path = "/datasets/landings/records?name.like=Ab%25&fields=name"
    assert [each["name"] for each in (await get(loaded, path))["records"]] == ["Abee"]
    async with loaded.post("/datasets/landings/records", json={"name": "Abo", "id": 20}) as answer:
        assert answer.status == 201
    assert [each["name"] for each in (await get(loaded, path))["records"]] == ["Abee", "Abo"]
    async with loaded.patch("/datasets/landings/records/6", json={"name": "Ab"}) as answer:
        assert answer.status == 200
    assert [each["name"] for each in (await get(loaded, path))["records"]] == ["Ab", "Abo"]
    async with loaded.delete("/datasets/landings/records/6") as answer:
        assert answer.status == 200
    assert [each["name"] for each in (await get(loaded, path))["records"]] == ["Abo"]
    async with loaded.put("/datasets/landings", data=b"name\nAbc\n", headers=CSV) as answer:
        assert answer.status == 200
    assert [each["name"] for each in (await get(loaded, path))["records"]] == ["Abc"]
