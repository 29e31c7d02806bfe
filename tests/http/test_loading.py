"""Loading over HTTP: what comes is stored whole and as it is, or refused with its place, and nothing else."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator

import pytest
import zstandard

from .conftest import NEWEST, Api, MakeApi

CSV = {"Content-Type": "text/csv"}
JSON = {"Content-Type": "application/json"}
ROWS = [{"mass (g)": "1.50", "name": "Björböle"}, {"mass (g)": "", "name": 'a "b", c'}]
TEXT = 'mass (g),name\r\n1.50,Björböle\r\n,"a ""b"", c"\r\n'


async def records(api: Api, path: str = "/data") -> list[dict[str, object]]:
    """Return what a dataset holds, as it was loaded."""
    async with api.get(path) as answer:
        found: list[dict[str, object]] = await answer.json()
        return found


@pytest.mark.parametrize(
    "body",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        TEXT.encode("cp1252"),
        TEXT.replace("\r\n", "\n").encode(),
        TEXT.replace("\r\n", "\r").encode(),
        TEXT.replace(",", ";").replace("; c", ", c").encode(),
        TEXT.replace(",", "\t").replace("\t c", ", c").encode(),
        TEXT.replace(",", "|").replace("| c", ", c").encode(),
        TEXT.encode() + b"\r\n\r\n",
        gzip.compress(TEXT.encode(), mtime=0),
        zstandard.compress(TEXT.encode()),
    ],
)
async def test_a_csv_in_any_form_is_the_same_dataset(api: Api, body: bytes) -> None:
    """Encoding, line ends, delimiter and compression are found, and none of them shows."""
    async with api.post("/data", data=body, headers=CSV) as answer:
        assert answer.status == 200, await answer.text()
    assert await records(api) == ROWS


@pytest.mark.parametrize(("coding", "compress"), [("gzip", gzip.compress), ("zstd", zstandard.compress)])
async def test_a_declared_encoding_is_inflated(api: Api, coding: str, compress: object) -> None:
    """`Content-Encoding` says how the body was packed for the way."""
    body = compress(TEXT.encode())  # type: ignore[operator]
    async with api.post("/data", data=body, headers={**CSV, "Content-Encoding": coding}) as answer:
        assert answer.status == 200
    assert await records(api) == ROWS


@pytest.mark.parametrize("cut", [1, 4, 8, 20])
async def test_a_compressed_body_that_is_cut_is_refused(api: Api, cut: int) -> None:
    """A gzip stream without its trailer is not a file, however much of it can be read."""
    body = gzip.compress(TEXT.encode())[:-cut]
    async with api.post("/data", data=body, headers={**CSV, "Content-Encoding": "gzip"}) as answer:
        assert answer.status == 422
    assert await records(api) == []


async def test_a_bomb_is_stopped_at_the_limit(make_api: MakeApi) -> None:
    """A body that inflates past the limit is refused, and leaves nothing."""
    api = await make_api(MAX_UPLOAD_BYTES="100000")
    body = gzip.compress(b"a\n" + b"1\n" * 10_000_000)
    async with api.post("/data", data=body, headers={**CSV, "Content-Encoding": "gzip"}) as answer:
        assert answer.status == 413
    assert await records(api) == []


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b'[{"a": 1.0, "b": 12345678901234567890123}]', "application/json"),
        (b'{"meta": 1, "rows": [{"a": 1.0, "b": 12345678901234567890123}]}', "application/json"),
        (b'{"a": 1.0, "b": 12345678901234567890123}\n\n', "application/x-ndjson"),
        (b'[{"a": 1.0, "b": 12345678901234567890123}]', "application/octet-stream"),
    ],
)
async def test_json_records_keep_their_own_bytes(api: Api, body: bytes, media_type: str) -> None:
    """Numbers keep every digit and members their order, in an array, wrapped, or line by line."""
    async with api.post("/data", data=body, headers={"Content-Type": media_type}) as answer:
        assert answer.status == 200, await answer.text()
    async with api.get("/data") as answer:
        assert await answer.text() == '[{"a":1.0,"b":12345678901234567890123}]'


async def test_what_curl_sends_by_itself_is_understood(api: Api) -> None:
    """`curl --data-binary @file` names a form; the bytes tell what it is."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    async with api.post("/data", data=TEXT.encode(), headers=form) as answer:
        assert answer.status == 200
    assert await records(api) == ROWS


async def test_bad_records_can_be_skipped_and_are_counted(api: Api) -> None:
    """`on_error=skip` keeps the good ones; the receipt shows the others with line and reason."""
    body = b"a,b\n1,2\n3\n4,5\n6,7,8\n"
    async with api.post("/data?on_error=skip", data=body, headers={**CSV, **NEWEST}) as answer:
        receipt = await answer.json()
        assert answer.status == 201
        assert (receipt["loaded"], receipt["rejected"]) == (2, 2)
        assert [reject["line"] for reject in receipt["rejects"]] == [3, 5]
    assert await records(api) == [{"a": "1", "b": "2"}, {"a": "4", "b": "5"}]


async def test_a_file_in_an_old_encoding_is_told_so(api: Api) -> None:
    """What was decoded as cp1252 is named in the receipt."""
    async with api.post("/data", data="ü\né\n".encode("cp1252"), headers={**CSV, **NEWEST}) as answer:
        assert (await answer.json())["encoding"] == "cp1252"


async def test_a_type_can_be_given(api: Api) -> None:
    """`type.col=string` keeps numbers text in typed answers."""
    url = "/data?type.mass%20(g)=string"
    async with api.post(url, data=TEXT.encode(), headers=CSV) as answer:
        assert answer.status == 200
    async with api.get("/data", headers=NEWEST) as answer:
        assert (await answer.json())["records"][0]["mass (g)"] == "1.50"


async def test_an_append_that_does_not_fit_needs_widen(loaded: Api) -> None:
    """A number column takes text only if told to widen, and the receipt lists what grew."""
    url = "/datasets/landings/records"
    body = json.dumps({"id": "77", "mass (g)": "heavy"}).encode()
    async with loaded.post(url, data=body, headers=JSON) as answer:
        assert (answer.status, (await answer.json())["type"]) == (422, "type-mismatch")
    async with loaded.post(f"{url}?widen=1", data=body, headers=JSON) as answer:
        assert answer.status == 201
        assert (await answer.json())["widened"] == [{"column": "mass (g)", "from": "number", "to": "string"}]


@pytest.mark.parametrize(
    ("on_conflict", "status", "recclass"), [("fail", 409, "L5"), ("ignore", 201, "L5"), ("replace", 201, "X")]
)
async def test_an_append_says_what_becomes_of_conflicts(
    loaded: Api, on_conflict: str, status: int, recclass: str
) -> None:
    """A key that is there already fails the append, is left, or is replaced in its place."""
    url = f"/datasets/landings/records?on_conflict={on_conflict}"
    body = b'[{"id": "1", "recclass": "X"}, {"id": "99"}]'
    async with loaded.post(url, data=body, headers=JSON) as answer:
        assert answer.status == status
    async with loaded.get("/datasets/landings/records/1") as answer:
        assert (await answer.json())["recclass"] == recclass
    async with loaded.get("/datasets/landings/records/99") as answer:
        assert answer.status == (404 if status == 409 else 200)


async def test_an_upload_that_breaks_off_changes_nothing(loaded: Api) -> None:
    """A client that dies half-way has replaced nothing."""

    async def half() -> AsyncIterator[bytes]:
        yield b"a\n1\n"
        raise RuntimeError("gone")

    with pytest.raises(Exception, match="gone"):
        await loaded.post("/data", data=half(), headers=CSV)
    assert len(await records(loaded)) == 5


async def test_the_quota_is_kept(make_api: MakeApi) -> None:
    """Over STORAGE_QUOTA_BYTES nothing is stored: 507 says so."""
    api = await make_api(STORAGE_QUOTA_BYTES="2000")
    async with api.post("/data", data=b"a\n" + b"1\n" * 500, headers=CSV) as answer:
        assert (answer.status, (await answer.json())["type"]) == (507, "out-of-space")
    assert await records(api) == []
    async with api.post("/data", data=b"a\n1\n", headers=CSV) as answer:
        assert answer.status == 200
