"""Dataset changes on the wire: who integrated before goes on as before, who asks for later sees the change."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.clocks import FakeClock

from .conftest import Api

CHANGES = "/datasets/landings/changes"
RECORDS = "/datasets/landings/records"
BEFORE = {"API-Version": "2026-12-01"}
AFTER = {"API-Version": "2027-02-01"}

RENAME = {"op": "rename", "from": "mass (g)", "to": "grams"}
HIDE = {"op": "hide", "column": "fell"}
ADD = {"op": "add", "column": "status", "value": "unknown"}
CAST = {"op": "cast", "column": "id", "to": "string"}
MAP = {"op": "map", "column": "recclass", "values": {"L5": "ordinary", "H6": "high iron"}}


def change(*operations: dict[str, Any], date: str = "2027-01-01") -> dict[str, Any]:
    """Return the document of a change."""
    return {"date": date, "description": "Clearer names.", "operations": list(operations)}


async def call(
    api: Api, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """Send JSON, return the status and the body."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    sent = {} if data is None else {"Content-Type": "application/json"}
    async with api.request(method, path, data=data, headers={**sent, **(headers or {})}) as answer:
        text = await answer.read()
        return answer.status, json.loads(text) if "json" in answer.content_type else text.decode()


async def declare(api: Api, *operations: dict[str, Any], date: str = "2027-01-01") -> None:
    """Declare a change that is fine."""
    status, body = await call(api, "POST", CHANGES, change(*operations, date=date))
    assert status == 201, body


@pytest.fixture
async def changed(loaded: Api, clock: FakeClock) -> Api:
    """Give a client of a service on a day after a change of `landings` (whose key is `id`)."""
    await declare(loaded, RENAME, HIDE, ADD, MAP)
    clock.move(days=90)
    return loaded


async def test_each_client_sees_the_columns_of_its_day(changed: Api) -> None:
    """Rows before and after the change differ as the change says, and only there."""
    _, before = await call(changed, "GET", f"{RECORDS}?limit=2", headers=BEFORE)
    _, after = await call(changed, "GET", f"{RECORDS}?limit=2", headers=AFTER)
    assert before["records"] == [
        {"name": "Aachen", "id": 1, "recclass": "L5", "mass (g)": 21, "fell": True, "found": "1880-01-01"},
        {"name": "Aarhus", "id": 2, "recclass": "H6", "mass (g)": 720.5, "fell": True, "found": "1951-10-02"},
    ]
    assert after["records"] == [
        {
            "name": "Aachen",
            "id": 1,
            "recclass": "ordinary",
            "grams": 21,
            "found": "1880-01-01",
            "status": "unknown",
        },
        {
            "name": "Aarhus",
            "id": 2,
            "recclass": "high iron",
            "grams": 720.5,
            "found": "1951-10-02",
            "status": "unknown",
        },
    ]


async def test_the_answer_names_the_last_change_that_is_seen(changed: Api) -> None:
    """Dataset-Version is the day of the change, and absent for those who see none."""
    for path in (
        RECORDS,
        f"{RECORDS}/1",
        "/datasets/landings",
        f"{RECORDS}?sort=name",
        "/datasets/landings/aggregate?group=name&count",
    ):
        async with changed.get(path, headers=AFTER) as answer:
            assert answer.headers.get("Dataset-Version") == "2027-01-01", path
        async with changed.get(path, headers=BEFORE) as answer:
            assert "Dataset-Version" not in answer.headers


async def test_views_have_entity_tags_of_their_own(changed: Api) -> None:
    """What one client has cached never passes for what another sees."""
    tags = set()
    for headers in (BEFORE, AFTER):
        async with changed.get(f"{RECORDS}/1", headers=headers) as answer:
            tags.add(answer.headers["ETag"])
    assert len(tags) == 2
    for _ in range(2):
        async with changed.get(RECORDS, headers=BEFORE) as answer:
            assert "fell" in await answer.text()
        async with changed.get(RECORDS, headers=AFTER) as answer:
            assert "fell" not in await answer.text()


async def test_csv_has_the_header_and_order_of_the_view(changed: Api) -> None:
    """A renamed column keeps its place, a hidden one is gone, an added one comes last."""
    _, before = await call(changed, "GET", f"{RECORDS}?format=csv&limit=1", headers=BEFORE)
    _, after = await call(changed, "GET", f"{RECORDS}?format=csv&limit=1", headers=AFTER)
    assert before == "name,id,recclass,mass (g),fell,found\r\nAachen,1,L5,21,true,1880-01-01\r\n"
    assert after == "name,id,recclass,grams,found,status\r\nAachen,1,ordinary,21,1880-01-01,unknown\r\n"


async def test_parameters_take_the_names_of_the_view(changed: Api) -> None:
    """Fields, filters, sorts and groups speak the client's names; others are unknown, and the valid ones listed."""
    _, body = await call(changed, "GET", f"{RECORDS}?fields=grams,status&limit=1", headers=AFTER)
    assert body["records"] == [{"grams": 21, "status": "unknown"}]
    status, body = await call(changed, "GET", f"{RECORDS}?fields=mass (g)", headers=AFTER)
    assert (status, body["valid"]) == (400, ["name", "id", "recclass", "grams", "found", "status"])
    _, body = await call(changed, "GET", f"{RECORDS}?recclass=ordinary&fields=name", headers=AFTER)
    assert body["records"] == [{"name": "Aachen"}]
    _, body = await call(changed, "GET", f"{RECORDS}?grams.gt=100&sort=-grams&fields=grams", headers=AFTER)
    assert body["records"] == [{"grams": 2e6}, {"grams": 107000}, {"grams": 720.5}]
    _, body = await call(changed, "GET", "/datasets/landings/aggregate?group=status&count", headers=AFTER)
    assert body["rows"] == [{"status": "unknown", "count": 5}]
    status, body = await call(changed, "GET", f"{RECORDS}?fell=true", headers=AFTER)
    assert status == 400
    assert "fell" not in body["valid"]


async def test_a_description_is_that_of_the_view(changed: Api) -> None:
    """One dataset and the list of all tell the client's columns, in its order."""
    names = ["name", "id", "recclass", "grams", "found", "status"]
    _, one = await call(changed, "GET", "/datasets/landings", headers=AFTER)
    _, listed = await call(changed, "GET", "/datasets", headers=AFTER)
    assert [column["name"] for column in one["columns"]] == names
    assert one in listed["datasets"]
    _, old = await call(changed, "GET", "/datasets/landings", headers=BEFORE)
    assert [column["name"] for column in old["columns"]] == [
        "name",
        "id",
        "recclass",
        "mass (g)",
        "fell",
        "found",
    ]


async def test_a_put_replaces_what_is_seen_and_nothing_else(changed: Api) -> None:
    """What is hidden from the writer survives; a default that was written back is not stored."""
    status, body = await call(
        changed,
        "PUT",
        f"{RECORDS}/1",
        {"id": 1, "grams": 22, "recclass": "high iron", "status": "unknown"},
        AFTER,
    )
    assert (status, body) == (200, {"id": 1, "recclass": "high iron", "grams": 22, "status": "unknown"})
    _, old = await call(changed, "GET", f"{RECORDS}/1", headers=BEFORE)
    assert old == {"id": 1, "recclass": "H6", "mass (g)": 22, "fell": True}


async def test_a_patch_names_columns_as_they_are_seen(changed: Api) -> None:
    """A merge patch is merged into what the client sees."""
    status, _ = await call(
        changed, "PATCH", f"{RECORDS}/1", {"grams": 5, "status": "found", "found": None}, AFTER
    )
    assert status == 200
    _, new = await call(changed, "GET", f"{RECORDS}/1", headers=AFTER)
    assert new == {"name": "Aachen", "id": 1, "recclass": "ordinary", "grams": 5, "status": "found"}
    _, old = await call(changed, "GET", f"{RECORDS}/1", headers=BEFORE)
    assert old == {"name": "Aachen", "id": 1, "recclass": "L5", "mass (g)": 5, "fell": True}
    status, body = await call(changed, "PATCH", f"{RECORDS}/1", {"mass (g)": 5}, AFTER)
    assert (status, body["pointer"]) == (422, "/mass (g)")


async def test_a_new_record_is_read_in_the_view_of_its_writer(changed: Api) -> None:
    """Appended as JSON or CSV, put under a new key: each client sees it in its own columns."""
    status, _ = await call(changed, "POST", RECORDS, {"id": 12, "grams": 3, "recclass": "ordinary"}, AFTER)
    assert status == 201
    csv = b"id,name,status\r\n13,Barea,lost\r\n"
    status, body = await call(changed, "POST", RECORDS, csv, {**AFTER, "Content-Type": "text/csv"})
    assert status == 201, body
    status, body = await call(changed, "PUT", f"{RECORDS}/14", {"id": 14, "grams": 4}, AFTER)
    assert (status, body) == (201, {"id": 14, "grams": 4, "status": "unknown"})
    _, old = await call(changed, "GET", f"{RECORDS}?start=5", headers=BEFORE)
    assert old["records"] == [
        {"id": 12, "mass (g)": 3, "recclass": "L5"},
        {"id": 13, "name": "Barea"},
        {"id": 14, "mass (g)": 4},
    ]
    _, new = await call(changed, "GET", f"{RECORDS}?start=6", headers=AFTER)
    assert new["records"][0] == {"id": 13, "name": "Barea", "status": "lost"}


async def test_records_replaced_by_an_append_keep_what_is_hidden(changed: Api) -> None:
    """on_conflict=replace goes over what the client sees, under either view."""
    path = f"{RECORDS}?on_conflict=replace"
    status, body = await call(
        changed, "POST", path, [{"id": 1, "status": "lost"}, {"id": 20, "status": "new"}], AFTER
    )
    assert (status, body["replaced"], body["loaded"]) == (201, 1, 1)
    _, old = await call(changed, "GET", f"{RECORDS}/1", headers=BEFORE)
    assert old == {"id": 1, "fell": True}
    await call(changed, "POST", path, {"id": 1, "name": "A"}, BEFORE)
    _, new = await call(changed, "GET", f"{RECORDS}/1", headers=AFTER)
    assert new == {"id": 1, "status": "lost", "name": "A"}


async def test_a_replaced_dataset_keeps_its_changes(changed: Api) -> None:
    """A file is read in its writer's view, and every client goes on seeing its own columns."""
    csv = b"id,grams,recclass\r\n1,5,ordinary\r\n"
    put = "/datasets/landings?key=id"
    status, body = await call(changed, "PUT", put, csv, {**AFTER, "Content-Type": "text/csv"})
    assert status == 200, body
    _, old = await call(changed, "GET", f"{RECORDS}?format=csv", headers=BEFORE)
    assert old == "id,mass (g),fell,recclass\r\n1,5,,L5\r\n"
    _, new = await call(changed, "GET", RECORDS, headers=AFTER)
    assert new["records"] == [{"id": 1, "grams": 5, "recclass": "ordinary", "status": "unknown"}]
    status, body = await call(
        changed, "PUT", put, b"id,fell\n1,true\n", {**AFTER, "Content-Type": "text/csv"}
    )
    assert (status, body["pointer"]) == (422, "/fell")
    status, _ = await call(changed, "PUT", put, b"id,other\n1,x\n", {**BEFORE, "Content-Type": "text/csv"})
    assert status == 200
    status, body = await call(changed, "POST", f"{RECORDS}?widen=1", {"id": 2, "grams": 3}, AFTER)
    assert status == 201, body
    _, old = await call(changed, "GET", f"{RECORDS}/2", headers=BEFORE)
    assert old == {"id": 2, "mass (g)": 3}


async def test_the_key_cannot_be_hidden_from_anybody(changed: Api) -> None:
    """A file whose key is a column that some clients do not see as it is, is refused."""
    for key in ("recclass", "status"):
        csv = b"id,recclass,status\n1,x,y\n"
        status, body = await call(
            changed, "PUT", f"/datasets/landings?key={key}", csv, {**AFTER, "Content-Type": "text/csv"}
        )
        assert (status, body["parameter"]) == (400, "key")


async def test_a_rehearsal_shows_both_sides_and_stores_nothing(loaded: Api) -> None:
    """dry_run=1 answers with real rows before and after."""
    status, body = await call(
        loaded, "POST", f"{CHANGES}?dry_run=1", change(RENAME, CAST | {"column": "fell"})
    )
    assert status == 200
    assert body["rows"][1]["before"]["mass (g)"] == 720.5
    assert body["rows"][1]["after"]["grams"] == 720.5
    assert body["rows"][1]["after"]["fell"] == "true"
    assert body["columns"]["after"][3] == {"name": "grams", "type": "number"}
    assert len(body["rows"]) == 5
    _, listed = await call(loaded, "GET", CHANGES)
    assert listed == {"dataset": "landings", "changes": []}


async def test_changes_are_listed_in_the_order_of_their_days(loaded: Api) -> None:
    """The list holds what was declared, by date; a change may be declared for a day before another."""
    await declare(loaded, RENAME, date="2027-06-01")
    await declare(loaded, HIDE, date="2027-03-01")
    _, listed = await call(loaded, "GET", CHANGES)
    assert [each["date"] for each in listed["changes"]] == ["2027-03-01", "2027-06-01"]
    assert listed["changes"][1] == change(RENAME, date="2027-06-01")
    status, body = await call(
        loaded, "POST", CHANGES, change(HIDE | {"column": "mass (g)"}, date="2027-04-01")
    )
    assert (status, body["pointer"]) == (422, "/date")
    assert "2027-06-01" in body["detail"]


async def test_a_change_of_today_needs_a_dataset_of_today(loaded: Api, clock: FakeClock) -> None:
    """On the day of its creation a dataset may change at once; from the next day on a change is announced."""
    await declare(loaded, RENAME, date="2026-12-01")
    _, body = await call(loaded, "GET", "/datasets/landings", headers=BEFORE)
    assert body["columns"][3]["name"] == "grams"
    clock.move(days=90)
    status, body = await call(loaded, "POST", CHANGES, change(HIDE, date="2027-03-01"))
    assert (status, body["pointer"]) == (422, "/date")


BAD: dict[str, tuple[Any, str]] = {
    "unknown operation": (change(RENAME, {"op": "split", "column": "a"}), "/operations/1/op"),
    "no operation": (change({"column": "name"}), "/operations/0/op"),
    "operation that is no object": (change("rename"), "/operations/0"),  # type: ignore[arg-type]
    "a circle": (
        change({"op": "rename", "from": "name", "to": "x"}, {"op": "rename", "from": "x", "to": "name"}),
        "/operations/1/to",
    ),
    "a swap": (
        change(
            {"op": "rename", "from": "name", "to": "x"},
            {"op": "rename", "from": "found", "to": "name"},
            {"op": "rename", "from": "x", "to": "found"},
        ),
        "/operations/1/to",
    ),
    "itself": (change({"op": "rename", "from": "name", "to": "name"}), "/operations/0/to"),
    "unknown column": (change(RENAME, {"op": "hide", "column": "mass (g)"}), "/operations/1/column"),
    "unknown column of a rename": (change({"op": "rename", "from": "no", "to": "yes"}), "/operations/0/from"),
    "a name taken": (change({"op": "rename", "from": "name", "to": "id"}), "/operations/0/to"),
    "an added name taken": (change(ADD | {"column": "name"}), "/operations/0/column"),
    "an added name that was one": (change(HIDE, ADD | {"column": "fell"}), "/operations/1/column"),
    "an empty default": (change(ADD | {"value": ""}), "/operations/0/value"),
    "a default that is no scalar": (change(ADD | {"value": []}), "/operations/0/value"),
    "an empty name": (change({"op": "rename", "from": "name", "to": ""}), "/operations/0/to"),
    "a cast that rows do not pass": (change(CAST | {"column": "name", "to": "integer"}), "/operations/0"),
    "an unknown type": (change(CAST | {"to": "date"}), "/operations/0/to"),
    "a map that is not one-to-one": (
        change(MAP | {"values": {"L5": "x", "H6": "x"}}),
        "/operations/0/values",
    ),
    "a map onto what is there": (change(MAP | {"values": {"L5": "H6"}}), "/operations/0"),
    "a map of nothing": (change(MAP | {"values": {}}), "/operations/0/values"),
    "the key hidden": (change({"op": "hide", "column": "id"}), "/operations/0/column"),
    "the key cast": (change(CAST), "/operations/0/column"),
    "past": (change(RENAME, date="2026-11-30"), "/date"),
    "no day": (change(RENAME, date="2027-02-30"), "/date"),
    "a time": (change(RENAME, date="2027-02-01T00:00:00Z"), "/date"),
    "no date": ({"description": "x", "operations": [RENAME]}, "/date"),
    "no description": ({"date": "2027-01-01", "operations": [RENAME]}, "/description"),
    "a blank description": ({**change(RENAME), "description": " "}, "/description"),
    "no operations": (change(), "/operations"),
    "unknown member": ({**change(RENAME), "colour": 1}, "/colour"),
    "unknown member of an operation": (change(RENAME | {"why": 1}), "/operations/0/why"),
    "an array": ([], ""),
}


@pytest.mark.parametrize("case", BAD)
async def test_what_cannot_be_is_refused_with_its_place(loaded: Api, case: str) -> None:
    """Each bad change is a 422 with a pointer, rehearsed or not, and nothing is stored."""
    document, place = BAD[case]
    for query in ("", "?dry_run=1"):
        status, body = await call(loaded, "POST", CHANGES + query, document)
        assert (status, body["type"], body.get("pointer")) == (422, "invalid-change", place), body
    async with loaded.get("/datasets/landings") as answer:
        assert (await answer.json())["revision"] == 1


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("unknown operation", "There is no such operation; there are rename, hide, add, cast, map."),
        ("a cast that rows do not pass", '"Aachen" stands in a record and could not come back'),
        ("unknown column of a rename", 'There is no column "no" at that point; there are "name", "id"'),
    ],
)
async def test_the_reason_says_what_to_do(loaded: Api, case: str, sentence: str) -> None:
    """It names what there is, and shows a value as people read it."""
    _, body = await call(loaded, "POST", CHANGES, BAD[case][0])
    assert body["detail"].startswith(sentence)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/datasets/none/changes", None, 404),
        ("POST", "/datasets/none/changes", change(RENAME), 404),
        ("POST", CHANGES, b"{", 422),
        ("POST", CHANGES, b'{"date": "2027-01-01", "date": "2027-01-01"}', 422),
        ("POST", f"{CHANGES}?dry_run=2", change(RENAME), 400),
        ("PUT", CHANGES, change(RENAME), 405),
    ],
)
async def test_other_mistakes_are_told_as_everywhere(
    loaded: Api, method: str, path: str, body: Any, status: int
) -> None:
    """No dataset, no JSON, a bad parameter, a method that is not there."""
    assert (await call(loaded, method, path, body))[0] == status


async def test_a_lossy_step_must_be_asked_for(loaded: Api, clock: FakeClock) -> None:
    """With "lossy" a value that is no integer is null to new clients, and as it was to old ones."""
    await declare(
        loaded,
        {"op": "cast", "column": "name", "to": "integer", "lossy": True},
        MAP | {"values": {"L5": "x", "H6": "x"}, "lossy": True},
    )
    clock.move(days=90)
    _, new = await call(loaded, "GET", f"{RECORDS}/2", headers=AFTER)
    assert (new["name"], new["recclass"]) == (None, "x")
    status, _ = await call(loaded, "PUT", f"{RECORDS}/2", new, AFTER)
    assert status == 200
    _, old = await call(loaded, "GET", f"{RECORDS}/2", headers=BEFORE)
    assert (old["name"], old["recclass"]) == ("Aarhus", "H6")


async def test_what_old_clients_could_not_read_is_refused(loaded: Api, clock: FakeClock) -> None:
    """A value that has no place in the column as it was is a 422 that names the client's column."""
    await declare(loaded, CAST | {"column": "mass (g)"}, RENAME)
    clock.move(days=90)
    status, body = await call(loaded, "PATCH", f"{RECORDS}/1", {"grams": "heavy"}, AFTER)
    assert (status, body["type"], body["pointer"]) == (422, "type-mismatch", "/grams")
    status, body = await call(loaded, "PATCH", f"{RECORDS}/1", {"grams": "7.50"}, AFTER)
    assert (status, body["grams"]) == (200, "7.50")
    async with loaded.get(f"{RECORDS}/1", headers=BEFORE) as answer:
        assert '"mass (g)":7.50' in await answer.text()


async def test_if_match_guards_a_change(loaded: Api) -> None:
    """A change that was thought of for another revision is not made."""
    status, _ = await call(loaded, "POST", CHANGES, change(RENAME), {"If-Match": '"7-x"'})
    assert status == 412
    status, _ = await call(loaded, "POST", CHANGES, change(RENAME), {"If-Match": '"1-x"'})
    assert status == 201


async def test_of_many_at_once_each_sees_those_before_it(loaded: Api) -> None:
    """Ten same renames at once: one is made, and the others hear that the column is gone."""
    answers = await asyncio.gather(*(call(loaded, "POST", CHANGES, change(RENAME)) for _ in range(10)))
    assert sorted(status for status, _ in answers) == [201] + [422] * 9
    _, listed = await call(loaded, "GET", CHANGES)
    assert len(listed["changes"]) == 1


async def test_data_changes_like_any_dataset(loaded: Api, clock: FakeClock) -> None:
    """GET /data without a header shows the first day's columns, whatever comes; the sample still loads."""
    async with loaded.get("/data") as answer:
        first = await answer.read()
    status, _ = await call(loaded, "POST", "/datasets/data/changes", change(RENAME, HIDE, ADD))
    assert status == 201
    clock.move(days=90)
    async with loaded.get("/data") as answer:
        assert (await answer.read(), "Dataset-Version" in answer.headers) == (first, False)
    _, page = await call(loaded, "GET", "/data?limit=1", headers=AFTER)
    assert list(page["records"][0]) == ["name", "id", "recclass", "grams", "found", "status"]
    status, _ = await call(loaded, "POST", "/data", headers=AFTER)
    assert status == 201
    _, page = await call(loaded, "GET", "/data?limit=1", headers=AFTER)
    assert "grams" in page["records"][0]
