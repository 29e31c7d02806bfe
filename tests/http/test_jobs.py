"""`/jobs` over HTTP: orders, lists, ends, events, files, and loads that answer at once."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import zstandard

from tests.waiting import patience

from .conftest import METEORITES, NEWEST, Api, MakeApi

ASYNC = {**NEWEST, "Prefer": "respond-async", "Content-Type": "text/csv"}
IDLE = {"STORAGE_URL": "memory://", "QUEUE_URL": "redis://127.0.0.1:1"}
"""Settings of an API whose worker would be another process: jobs stay queued."""


async def order(api: Api, **body: Any) -> dict[str, Any]:
    """Start a job and return it."""
    async with api.post("/jobs", json=body, headers=NEWEST) as answer:
        assert answer.status == 202, await answer.text()
        job: dict[str, Any] = await answer.json()
        return job


async def read(api: Api, id: str) -> dict[str, Any]:
    """Return a job."""
    async with api.get(f"/jobs/{id}", headers=NEWEST) as answer:
        assert answer.status == 200
        job: dict[str, Any] = await answer.json()
        return job


async def ended(api: Api, id: str) -> dict[str, Any]:
    """Return a job as soon as it has ended."""
    async with patience():
        while (job := await read(api, id))["finished"] is None:
            await asyncio.sleep(0.02)
    return job


async def events(api: Api, id: str, last: str | None = None) -> list[tuple[int, dict[str, Any]]]:
    """Return all events of a job, to the end of the stream."""
    headers = NEWEST if last is None else {**NEWEST, "Last-Event-ID": last}
    found = []
    async with api.get(f"/jobs/{id}/events", headers={**headers, "Accept-Encoding": "gzip"}) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert "Content-Encoding" not in answer.headers
        for block in (await answer.text()).split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
            if "id" in fields:
                found.append((int(fields["id"]), json.loads(fields["data"])))
    return found


async def test_a_job_is_accepted_run_and_told_of(api: Api) -> None:
    """202 with Location; later the record tells when it ran and what came of it."""
    async with api.post(
        "/jobs", json={"type": "fibonacci", "params": {"index": 9}}, headers=NEWEST
    ) as answer:
        assert answer.status == 202
        job = await answer.json()
        assert answer.headers["Location"] == f"/jobs/{job['id']}"
    assert list(job)[:9] == [
        "id", "type", "state", "progress", "created", "started", "finished", "result", "error",
    ]  # fmt: skip
    assert (job["state"], job["progress"], job["result"]) == ("queued", 0.0, None)
    done = await ended(api, job["id"])
    assert (done["state"], done["progress"], done["error"]) == ("succeeded", 1.0, None)
    assert done["result"] == {"index": 9, "digits": 2}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/type"),
        ({"type": 1}, "/type"),
        ({"type": "nonsense"}, "/type"),
        ({"type": "load"}, "/type"),
        ({"type": "fibonacci", "params": []}, "/params"),
        ({"type": "fibonacci"}, "/params/index"),
        ({"type": "fibonacci", "params": {"index": -1}}, "/params/index"),
        ({"type": "fibonacci", "params": {"index": 1, "x": 2}}, "/params/x"),
        ({"type": "fibonacci", "params": {"index": 1}, "timeout": 0}, "/timeout"),
        ({"type": "fibonacci", "params": {"index": 1}, "timeout": True}, "/timeout"),
        ({"type": "fibonacci", "params": {"index": 1}, "extra": 1}, "/extra"),
        ({"type": "export", "params": {}}, "/params/dataset"),
        ({"type": "export", "params": {"dataset": "../x"}}, "/params/dataset"),
        ({"type": "export", "params": {"dataset": "data", "query": 1}}, "/params/query"),
        ({"type": "export", "params": {"dataset": "data", "query": "limit=0"}}, "/params/query"),
        ({"type": "export", "params": {"dataset": "data", "query": "facet=a"}}, "/params/query"),
        ({"type": "export", "params": {"dataset": "data", "format": "xml"}}, "/params/format"),
    ],
)
async def test_a_bad_order_is_refused_where_it_is_wrong(api: Api, body: dict[str, Any], pointer: str) -> None:
    """422 with a pointer to the member that is wrong; nothing is queued."""
    async with api.post("/jobs", json=body, headers=NEWEST) as answer:
        assert answer.status == 422
        assert (await answer.json())["pointer"] == pointer
    async with api.get("/jobs", headers=NEWEST) as answer:
        assert await answer.json() == {"jobs": [], "next": None}


@pytest.mark.parametrize("id", ["1", "01a1f8ce-f9cb-7e9c-89c3-0d2005a251f7", "%00", "x" * 300])
async def test_an_unknown_id_is_not_found(api: Api, id: str) -> None:
    """404 for reading, following, fetching and cancelling what is no job."""
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/events"), ("GET", "/result")):
        async with api.request(method, f"/jobs/{id}{path}", headers=NEWEST) as answer:
            assert answer.status == 404, path


async def test_a_queued_job_is_cancelled_once(make_api: MakeApi) -> None:
    """DELETE ends a job that waits with 200; a second one is told 409."""
    api = await make_api(**IDLE)
    job = await order(api, type="fibonacci", params={"index": 9})
    async with api.delete(f"/jobs/{job['id']}", headers=NEWEST) as answer:
        assert answer.status == 200
        assert (await answer.json())["state"] == "cancelled"
    async with api.delete(f"/jobs/{job['id']}", headers=NEWEST) as answer:
        assert answer.status == 409
        assert (await answer.json())["type"] == "job-finished"


async def test_lists_are_filtered_and_paged(make_api: MakeApi) -> None:
    """Newest first; `next` leads through all of them; what is no filter is a 400 that lists what is."""
    api = await make_api(**IDLE)
    ids = [(await order(api, type="fibonacci", params={"index": index}))["id"] for index in range(5)]
    async with api.delete(f"/jobs/{ids[0]}", headers=NEWEST) as answer:
        assert answer.status == 200
    found, url = [], "/jobs?limit=2"
    while url is not None:
        async with api.get(url, headers=NEWEST) as answer:
            page = await answer.json()
        found += [job["id"] for job in page["jobs"]]
        url = page["next"]
    assert sorted(found) == sorted(ids)
    for query, count in (
        ("state=cancelled", 1), ("state=queued", 4), ("type=fibonacci", 5), ("type=load", 0),
        ("state=cancelled&type=fibonacci", 1),
    ):  # fmt: skip
        async with api.get(f"/jobs?{query}", headers=NEWEST) as answer:
            assert len((await answer.json())["jobs"]) == count, query
    for query in ("state=x", "type=x", "limit=0", "limit=1001", "limit=x", "x=1"):
        async with api.get(f"/jobs?{query}", headers=NEWEST) as answer:
            assert answer.status == 400, query


async def test_events_tell_each_state_to_the_end(api: Api) -> None:
    """A stream of events begins with the present state and ends with the last one."""
    job = await order(api, type="fibonacci", params={"index": 500_000})
    found = await events(api, job["id"])
    assert [id_ for id_, _ in found] == sorted({id_ for id_, _ in found})
    assert found[-1][1] == await read(api, job["id"])
    assert found[-1][1]["state"] == "succeeded"


async def test_events_go_on_from_the_last_one_seen(api: Api) -> None:
    """`Last-Event-ID` leaves out what was seen; whoever has seen the end is told not to come again."""
    job = await order(api, type="fibonacci", params={"index": 9})
    await ended(api, job["id"])
    (last, _), = await events(api, job["id"])  # fmt: skip
    assert [id_ for id_, _ in await events(api, job["id"], str(last - 1))] == [last]
    assert [id_ for id_, _ in await events(api, job["id"], "nonsense")] == [last]
    async with api.get(f"/jobs/{job['id']}/events", headers={**NEWEST, "Last-Event-ID": str(last)}) as answer:
        assert answer.status == 204


@pytest.mark.parametrize("contract", ["2023-04-01", "2023-09-01", "2026-11-20"])
async def test_a_load_is_answered_at_once_under_every_contract(api: Api, contract: str) -> None:
    """`Prefer: respond-async` gets 202, Location and Preference-Applied; the job's result is the receipt."""
    headers = {**ASYNC, "API-Version": contract}
    async with api.post("/data", data=METEORITES, headers=headers) as answer:
        assert answer.status == 202
        assert answer.headers["Preference-Applied"] == "respond-async"
        job = await answer.json()
        assert answer.headers["Location"] == f"/jobs/{job['id']}"
    done = await ended(api, job["id"])
    assert done["result"] == {"dataset": "data", "loaded": 5, "count": 5, "revision": 1}
    assert done["params"] == {"dataset": "data", "verb": "replace", "bytes": len(METEORITES)}


async def test_every_operation_that_loads_can_be_a_job(api: Api) -> None:
    """A replace, an append and the sample; the dataset is what it would be without a job."""
    for method, path in (("PUT", "/datasets/d"), ("POST", "/datasets/d/records"), ("POST", "/data")):
        body = None if path == "/data" else METEORITES
        async with api.request(method, path, data=body, headers=ASYNC) as answer:
            assert answer.status == 202, await answer.text()
            done = await ended(api, (await answer.json())["id"])
        assert done["state"] == "succeeded", done
    async with api.get("/datasets/d", headers=NEWEST) as answer:
        assert (await answer.json())["count"] == 10
    async with api.get("/data", headers=NEWEST) as answer:
        assert (await answer.json())["count"] == 300


async def test_a_bad_file_fails_its_job_with_its_line(api: Api) -> None:
    """What is wrong with the file stands in the job's error; the dataset stays as it was."""
    async with api.put("/datasets/d", data=b"a,b\n1,2\n3\n", headers=ASYNC) as answer:
        assert answer.status == 202
        failed = await ended(api, (await answer.json())["id"])
    assert (failed["state"], failed["error"]["line"]) == ("failed", 3)
    async with api.get("/datasets/d", headers=NEWEST) as answer:
        assert answer.status == 404


async def test_rejects_of_a_load_stand_in_its_result(api: Api) -> None:
    """`on_error=skip` counts and shows what was left out."""
    async with api.put("/datasets/d?on_error=skip", data=b"a,b\n1,2\n3\n", headers=ASYNC) as answer:
        done = await ended(api, (await answer.json())["id"])
    assert done["result"]["rejected"] == 1
    assert done["result"]["rejects"][0]["line"] == 3


async def test_what_can_be_refused_at_once_is(loaded: Api) -> None:
    """A missing dataset, a failed precondition and an unsupported type need no job."""
    cases = [
        ("POST", "/datasets/none/records", ASYNC, 404),
        ("PUT", "/datasets/landings", {**ASYNC, "If-Match": '"99"'}, 412),
        ("PUT", "/datasets/landings", {**ASYNC, "Content-Type": "image/png"}, 415),
    ]
    for method, path, headers, status in cases:
        async with loaded.request(method, path, data=METEORITES, headers=headers) as answer:
            assert answer.status == status, path


async def test_a_precondition_holds_when_the_job_commits(make_api: MakeApi, loaded: Api) -> None:
    """If-Match is checked again by the job."""
    async with loaded.get("/datasets/landings", headers=NEWEST) as answer:
        tag = answer.headers["ETag"]
    async with loaded.put(
        "/datasets/landings", data=METEORITES, headers={**ASYNC, "If-Match": tag}
    ) as answer:
        assert (await ended(loaded, (await answer.json())["id"]))["state"] == "succeeded"


async def test_the_same_idempotency_key_is_the_same_job(api: Api) -> None:
    """A repeated upload gets the first one's job, another body under that key is refused."""
    headers = {**ASYNC, "Idempotency-Key": "k"}
    ids = set()
    for _ in range(3):
        async with api.put("/datasets/d", data=METEORITES, headers=headers) as answer:
            assert answer.status == 202
            ids.add((await answer.json())["id"])
    assert len(ids) == 1
    async with api.put("/datasets/d", data=METEORITES[:-3], headers=headers) as answer:
        assert answer.status == 422
    assert (await ended(api, ids.pop()))["result"]["revision"] == 1


async def test_a_large_upload_goes_through_the_storage_in_pieces(api: Api) -> None:
    """An upload of several megabytes arrives whole, and leaves nothing behind."""
    lines = 200_000

    async def body() -> AsyncIterator[bytes]:
        yield b"n,text\n"
        for start in range(0, lines, 1000):
            yield b"".join(b"%d,%032d\n" % (n, n * 7919) for n in range(start, start + 1000))

    async with api.put("/datasets/big", data=body(), headers=ASYNC) as answer:
        done = await ended(api, (await answer.json())["id"])
    assert done["result"]["loaded"] == lines
    async with api.get(f"/datasets/big/records?start={lines - 1}", headers=NEWEST) as answer:
        assert (await answer.json())["records"][0]["n"] == lines - 1


@pytest.mark.parametrize("form", ["csv", "json", "ndjson", "parquet"])
async def test_an_export_is_what_the_query_would_answer(loaded: Api, form: str) -> None:
    """The file of an export holds what the records endpoint answers to the same query."""
    query = "fell=true&sort=-id&fields=name,mass (g)"
    params = {"dataset": "landings", "query": query, "format": form}
    done = await ended(loaded, (await order(loaded, type="export", params=params))["id"])
    assert done["state"] == "succeeded", done
    assert "blob" not in done["result"]
    async with loaded.get(f"/jobs/{done['id']}/result", headers=NEWEST) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Disposition"] == f'attachment; filename="landings.{form}"'
        file = await answer.read()
    assert len(file) == done["result"]["bytes"]
    async with loaded.get(f"/datasets/landings/records?{query}&format={form}", headers=NEWEST) as answer:
        direct = await answer.read()
    if form == "json":
        assert json.loads(file) == json.loads(direct)["records"]
    else:
        assert file == direct


async def test_an_export_without_a_query_holds_everything(loaded: Api) -> None:
    """Without a query all records come, straight from the store."""
    done = await ended(loaded, (await order(loaded, type="export", params={"dataset": "data"}))["id"])
    async with loaded.get(f"/jobs/{done['id']}/result", headers=NEWEST) as answer:
        rows = list(csv.DictReader(io.StringIO(await answer.text())))
    assert [row["id"] for row in rows] == ["1", "2", "6", "10", "11"]


@pytest.mark.parametrize(("query", "status"), [("none=1", 400), ("fields=none", 400), ("sort=none", 400)])
async def test_an_export_of_an_unknown_column_is_refused_at_once(
    loaded: Api, query: str, status: int
) -> None:
    """What the dataset cannot answer is refused before a job is made of it."""
    body = {"type": "export", "params": {"dataset": "data", "query": query}}
    async with loaded.post("/jobs", json=body, headers=NEWEST) as answer:
        assert answer.status == status, await answer.text()


async def test_an_export_of_a_missing_dataset_is_not_found(api: Api) -> None:
    """404 at once."""
    body = {"type": "export", "params": {"dataset": "none"}}
    async with api.post("/jobs", json=body, headers=NEWEST) as answer:
        assert answer.status == 404


async def test_a_file_is_kept_for_a_day(loaded: Api, clock: Any) -> None:
    """After 24 hours the file is gone and the job still there: 410."""
    done = await ended(loaded, (await order(loaded, type="export", params={"dataset": "data"}))["id"])
    clock.move(hours=24)
    async with loaded.get(f"/jobs/{done['id']}/result", headers=NEWEST) as answer:
        assert answer.status == 410
        assert (await answer.json())["type"] == "job-result-gone"


async def test_writing_jobs_need_the_scope(make_api: MakeApi) -> None:
    """Who may only read may look at jobs but neither start nor cancel one."""
    api = await make_api(AUTH_MODE="keys", ANONYMOUS_SCOPES="read")
    async with api.get("/jobs", headers=NEWEST) as answer:
        assert answer.status == 200
    for method, path in (("POST", "/jobs"), ("POST", "/fibonacci"), ("DELETE", "/jobs/x")):
        async with api.request(method, path, json={}, headers=NEWEST) as answer:
            assert answer.status == 401, path


async def test_metrics_count_attempts(api: Api) -> None:
    """The metrics of a process that runs jobs tell how many came to what."""
    await ended(api, (await order(api, type="fibonacci", params={"index": 9}))["id"])
    counted = 'aerolite_job_attempts_total{outcome="succeeded",type="fibonacci"} 1.0'
    async with patience():  # it is counted a moment after it is told
        while counted not in await (await api.get("/metrics")).text():
            await asyncio.sleep(0.01)


async def test_only_an_export_has_a_file(api: Api) -> None:
    """The result of any other job, or of one that has not ended, is 410."""
    done = await ended(api, (await order(api, type="fibonacci", params={"index": 9}))["id"])
    async with api.get(f"/jobs/{done['id']}/result", headers=NEWEST) as answer:
        assert answer.status == 410


async def test_an_export_of_nothing_has_no_columns_for_parquet(api: Api) -> None:
    """A dataset without columns makes an empty JSON array, and no Parquet file."""
    for form, state in (("json", "succeeded"), ("parquet", "failed")):
        params = {"dataset": "data", "format": form}
        done = await ended(api, (await order(api, type="export", params=params))["id"])
        assert done["state"] == state, done


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_a_compressed_upload_is_inflated_before_it_is_staged(api: Api, encoding: str) -> None:
    """The job loads what the client meant, and a damaged body is refused at once."""
    body = gzip.compress(METEORITES) if encoding == "gzip" else zstandard.compress(METEORITES)
    headers = {**ASYNC, "Content-Encoding": encoding}
    async with api.put("/datasets/d", data=body, headers=headers) as answer:
        assert answer.status == 202
        assert (await ended(api, (await answer.json())["id"]))["result"]["loaded"] == 5
    async with api.put("/datasets/d", data=body[:-4], headers=headers) as answer:
        assert answer.status == 422


async def test_a_load_in_a_queue_can_be_cancelled(make_api: MakeApi) -> None:
    """The upload of a cancelled load is removed; the dataset never comes to be."""
    api = await make_api(**IDLE)
    async with api.put("/datasets/d", data=METEORITES, headers=ASYNC) as answer:
        job = await answer.json()
    async with api.delete(f"/jobs/{job['id']}", headers=NEWEST) as answer:
        assert (await answer.json())["state"] == "cancelled"
    async with api.get("/datasets/d", headers=NEWEST) as answer:
        assert answer.status == 404
