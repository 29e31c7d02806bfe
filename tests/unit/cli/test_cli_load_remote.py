"""`aerolite load --url`: files are streamed to a server, and its answers become receipts or sentences."""

from __future__ import annotations

import asyncio
import gzip
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.unit.cli.conftest import Invoke


@dataclass
class Received:
    """A request as the server got it."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """A server that takes any PUT, remembers it and gives the answer it was told to give."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answer: Callable[[Received], web.Response] = lambda received: receipt(
        dataset=received.path.split("/")[-1]
    )

    async def handle(self, request: web.Request) -> web.Response:
        """Take a request."""
        received = Received(request.path, dict(request.query), dict(request.headers), await request.read())
        self.received.append(received)
        return self.answer(received)


def receipt(**members: Any) -> web.Response:
    """Return the receipt of a load."""
    return web.json_response({"dataset": "x", "loaded": 2, "count": 2, "revision": 1} | members, status=201)


def problem(status: int, **members: Any) -> Callable[[Received], web.Response]:
    """Return what answers with a problem document."""
    return lambda _: web.json_response(members, status=status, content_type="application/problem+json")


@pytest.fixture
def server() -> Iterator[Server]:
    """Serve from a thread with a loop of its own, as the command runs one itself."""
    server = Server()
    loop = asyncio.new_event_loop()
    started = threading.Event()

    async def serve() -> None:
        app = web.Application()
        app.router.add_put("/{path:.*}", server.handle)
        runner = web.AppRunner(app, auto_decompress=False)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        started.set()
        await stop.wait()
        await runner.cleanup()

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(10)
    yield server
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


@pytest.fixture
def landings(tmp_path: Path) -> Path:
    """Write a small CSV file."""
    path = tmp_path / "landings.csv"
    path.write_text("id,mass (g)\n1,21\n2,\n")
    return path


def test_a_file_is_sent_as_it_is(invoke: Invoke, server: Server, landings: Path) -> None:
    """The bytes of the file become the dataset of its name, under the contract the client was written for."""
    result = invoke("load", str(landings), "--url", server.url)
    assert result.exit_code == 0, result.output
    assert result.stdout == "landings: 2 records loaded, revision 1\n"
    (received,) = server.received
    assert received.path == "/datasets/landings"
    assert received.body == landings.read_bytes()
    assert received.query == {}
    assert received.headers["Content-Type"] == "text/csv"
    assert received.headers["API-Version"] == "2026-11-20"
    assert "Authorization" not in received.headers


def test_options_become_parameters(invoke: Invoke, server: Server, landings: Path) -> None:
    """Name, key, delimiter, types and what to do on errors reach the server as its own parameters."""
    options = ["--name", "data", "--key", "id", "--delimiter", "tab", "--on-error", "skip"]
    types = ["--type", "mass (g)=number", "--type", "a=b=string"]
    result = invoke("load", str(landings), *options, *types, "--url", f"{server.url}/api/")
    assert result.exit_code == 0, result.output
    (received,) = server.received
    assert received.path == "/api/datasets/data"
    assert received.query == {
        "key": "id",
        "delimiter": "\t",
        "on_error": "skip",
        "type.mass (g)": "number",
        "type.a=b": "string",
    }


@pytest.mark.parametrize(
    ("options", "environment"),
    [(["--api-key", "sesame-123"], {}), ([], {"AEROLITE_API_KEY": "sesame-123"})],
)
def test_a_key_is_sent(
    invoke: Invoke, server: Server, landings: Path, options: list[str], environment: dict[str, str]
) -> None:
    """The API key comes from the option or the environment and goes into the Authorization header."""
    result = invoke("load", str(landings), "--url", server.url, *options, environment=environment)
    assert result.exit_code == 0, result.output
    assert server.received[0].headers["Authorization"] == "Bearer sesame-123"


@pytest.mark.parametrize(
    ("file_name", "name", "media_type", "encoding"),
    [
        ("a.CSV", "a", "text/csv", None),
        ("a.tsv", "a", "text/csv", None),
        ("a.json", "a", "application/json", None),
        ("a.jsonl", "a", "application/x-ndjson", None),
        ("a.ndjson.gz", "a", "application/x-ndjson", "gzip"),
        ("a.csv.zst", "a", "text/csv", "zstd"),
        ("a.dat", "a.dat", "application/octet-stream", None),
        ("A file (2) é.csv", "A-file-2", "text/csv", None),
        ("v1.2.csv", "v1.2", "text/csv", None),
        ("_x.csv", "x", "text/csv", None),
        ("x" * 200 + ".csv", "x" * 128, "text/csv", None),
    ],
)
def test_a_files_name_tells_what_it_is(
    invoke: Invoke,
    server: Server,
    tmp_path: Path,
    file_name: str,
    name: str,
    media_type: str,
    encoding: str | None,
) -> None:
    """Name, media type and content encoding follow from the file's name, made valid where it must be."""
    (tmp_path / file_name).write_bytes(b"[]")
    result = invoke("load", str(tmp_path / file_name), "--url", server.url)
    assert result.exit_code == 0, result.output
    (received,) = server.received
    assert received.path == f"/datasets/{name}"
    assert received.headers["Content-Type"] == media_type
    assert received.headers.get("Content-Encoding") == encoding


def test_a_packed_file_stays_packed(invoke: Invoke, server: Server, tmp_path: Path) -> None:
    """A compressed file is sent as it lies there; the server unpacks it."""
    packed = gzip.compress(b"a\n1\n")
    (tmp_path / "a.csv.gz").write_bytes(packed)
    assert invoke("load", str(tmp_path / "a.csv.gz"), "--url", server.url).exit_code == 0
    assert server.received[0].body == packed


def test_format_wins_over_the_name(invoke: Invoke, server: Server, tmp_path: Path) -> None:
    """`--format` says what a file is whatever it is called."""
    (tmp_path / "a.csv").write_text("{}")
    assert invoke("load", str(tmp_path / "a.csv"), "--format", "ndjson", "--url", server.url).exit_code == 0
    assert server.received[0].headers["Content-Type"] == "application/x-ndjson"


def test_standard_input_is_a_file(invoke: Invoke, server: Server) -> None:
    """`-` reads standard input, which needs a name."""
    result = invoke("load", "-", "--name", "piped", "--format", "csv", "--url", server.url, stdin=b"a\n1\n")
    assert result.exit_code == 0, result.output
    assert server.received[0].path == "/datasets/piped"
    assert server.received[0].body == b"a\n1\n"
    result = invoke("load", "-", "--url", server.url, stdin=b"a\n1\n")
    assert result.exit_code == 1
    assert "with --name" in result.stderr


def test_a_fifo_is_read_to_its_end(invoke: Invoke, server: Server, tmp_path: Path) -> None:
    """What has no size, as a named pipe, is streamed until its writer closes it."""
    fifo = tmp_path / "fifo.csv"
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: fifo.write_text("a\n1\n"))
    writer.start()
    result = invoke("load", str(fifo), "--url", server.url)
    writer.join()
    assert result.exit_code == 0, result.output
    assert server.received[0].body == b"a\n1\n"


def test_a_large_file_arrives_whole(invoke: Invoke, server: Server, tmp_path: Path) -> None:
    """A file of several chunks is streamed to the last byte."""
    path = tmp_path / "big.csv"
    path.write_bytes(b"a\n" + b"0123456789\n" * 80_000)
    assert invoke("load", str(path), "--url", server.url).exit_code == 0
    assert server.received[0].body == path.read_bytes()


def test_skipped_records_are_told(invoke: Invoke, server: Server, landings: Path) -> None:
    """A receipt with rejects is printed with each line and reason, and with the encoding that was found."""
    rejects = [{"line": 3, "reason": "has 3 cells"}]
    server.answer = lambda _: receipt(encoding="cp1252", rejected=1234, rejects=rejects)
    result = invoke("load", str(landings), "--on-error", "skip", "--url", server.url)
    assert result.exit_code == 0
    assert "read as cp1252" in result.stdout
    assert "1,234 records were skipped" in result.stdout
    assert "line 3: has 3 cells" in result.stdout


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (problem(422, detail="Row has 3 cells.", line=17), "landings.csv: Row has 3 cells. (line 17)\n"),
        (problem(422, detail="Two of 2 cells.", line=2), "landings.csv: Two of 2 cells. (line 2)\n"),
        (problem(422, detail="Line 17 has 3 cells.", line=17), "landings.csv: Line 17 has 3 cells.\n"),
        (problem(401, detail="This key is not known."), "landings.csv: This key is not known.\n"),
        (problem(422, detail="Cell \x1b[2J\n."), "landings.csv: Cell \\x1b[2J\\n.\n"),
        (problem(503), "answers 503 Service Unavailable instead of a receipt"),
        (lambda _: web.Response(text="<html>"), "answers 200 OK instead of a receipt"),
        (lambda _: web.json_response([1]), "answers 200 OK instead of a receipt"),
        (
            lambda _: web.Response(status=301, headers={"Location": "https://x/"}),
            "answers 301 Moved Permanently",
        ),
    ],
)
def test_a_refusal_is_a_sentence(
    invoke: Invoke, server: Server, landings: Path, answer: Callable[[Received], web.Response], sentence: str
) -> None:
    """What the server says in its problem document, or that it is no such server, is told with status 1."""
    server.answer = answer
    result = invoke("load", str(landings), "--url", server.url)
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.output


def test_the_first_failure_ends_it(invoke: Invoke, server: Server, tmp_path: Path) -> None:
    """Of several files those before the failure are loaded and told, those after it are not sent."""
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.csv").write_text("x\n")
    server.answer = lambda received: (
        problem(422, detail="No.")(received) if received.path.endswith("/b") else receipt(dataset="a")
    )
    result = invoke("load", *(str(tmp_path / f"{name}.csv") for name in "abc"), "--url", server.url)
    assert result.exit_code == 1
    assert result.stdout == "a: 2 records loaded, revision 1\n"
    assert [received.path for received in server.received] == ["/datasets/a", "/datasets/b"]


@pytest.mark.parametrize(
    ("url", "reason"), [("http://127.0.0.1:1", "Connection refused"), ("http://nowhere.invalid", "")]
)
def test_nobody_there_is_a_sentence(invoke: Invoke, landings: Path, url: str, reason: str) -> None:
    """Where nothing listens, or nothing has that name, the command tells where it looked and why not."""
    result = invoke("load", str(landings), "--url", url)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"aerolite: {landings}: {url} cannot be reached: {reason}")


@pytest.mark.parametrize(
    "url", ["localhost:8080", "ftp://host", "http://", "http://[::1", "", "http://host:port"]
)
def test_a_bad_url_is_refused(invoke: Invoke, landings: Path, url: str) -> None:
    """What is no HTTP URL is refused before anything is read."""
    result = invoke("load", str(landings), "--url", url)
    assert result.exit_code == 1
    assert f"--url cannot be {url!r}: it takes a URL such as http://localhost:8080." in result.stderr


def test_a_key_that_no_header_holds_is_refused(invoke: Invoke, server: Server, landings: Path) -> None:
    """A key with a line break cannot smuggle in a header, and is not shown."""
    result = invoke("load", str(landings), "--url", server.url, "--api-key", "sesame\r\nX-Evil: 1")
    assert result.exit_code == 1
    assert "The API key takes" in result.stderr
    assert "sesame" not in result.output
    assert server.received == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [("absent.csv", "cannot be read: No such file or directory."), ("", "is a directory, not a file.")],
)
def test_what_is_no_file_is_refused(
    invoke: Invoke, server: Server, tmp_path: Path, name: str, reason: str
) -> None:
    """A path that names no file is told, and nothing is sent, not even the files before it."""
    (tmp_path / "a.csv").write_text("x\n")
    result = invoke("load", str(tmp_path / "a.csv"), str(tmp_path / name), "--url", server.url)
    assert result.exit_code == 1
    assert reason in result.stderr
    assert server.received == []


def test_files_of_one_name_are_refused(invoke: Invoke, server: Server, tmp_path: Path) -> None:
    """Two files that would replace each other are an error, whether by their names or by --name."""
    for file in ("a.csv", "a.json"):
        (tmp_path / file).write_text("x\n")
    result = invoke("load", str(tmp_path / "a.csv"), str(tmp_path / "a.json"), "--url", server.url)
    assert result.exit_code == 1
    assert "2 files would all become the dataset 'a'" in result.stderr
    assert server.received == []


@pytest.mark.parametrize("text", ["integer", "a=", "a=float", "=", "a=empty"])
def test_a_type_that_is_none_is_refused(invoke: Invoke, landings: Path, text: str) -> None:
    """`--type` takes COLUMN=TYPE with a type that there is."""
    result = invoke("load", str(landings), "--type", text, "--url", "http://127.0.0.1:1")
    assert result.exit_code == 1
    assert f"--type cannot be {text!r}: it takes COLUMN=TYPE" in result.stderr


def test_two_places_are_a_usage_error(invoke: Invoke, landings: Path) -> None:
    """A file goes into a server or into a storage, not both."""
    result = invoke("load", str(landings), "--url", "http://127.0.0.1:1", "--storage-url", "memory://")
    assert result.exit_code == 2
    assert "Give --url or --storage-url, not both." in result.stderr


def test_no_file_is_a_usage_error(invoke: Invoke) -> None:
    """`load` without a file says what is missing."""
    result = invoke("load")
    assert result.exit_code == 2
    assert "Missing argument" in result.output


def test_a_dropped_connection_is_a_sentence(invoke: Invoke, landings: Path) -> None:
    """A server that hangs up without an answer is told as such."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.recv(10)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        result = invoke("load", str(landings), "--url", f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread.join()
    assert result.exit_code == 1
    assert " broke off: " in result.stderr
