"""`aerolite query` as it is called: on the database itself, and over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from .calling import aerolite
from .serving import serving

Query = Callable[..., Awaitable[tuple[int, str, str]]]
SMALL = {"SQL_MAX_ROWS": "2"}


@pytest.fixture(params=["local", "over HTTP"])
async def query(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Query]:
    """Give `aerolite query` on a database that answers two rows at most."""
    storage_url = f"sqlite:///{tmp_path}/aerolite.db"
    (tmp_path / "landings.csv").write_text("name,id\nAachen,1\nAarhus,2\n")
    assert (await aerolite("load", f"{tmp_path}/landings.csv", STORAGE_URL=storage_url))[0] == 0

    async def local(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        return await aerolite("query", *arguments, "--storage-url", storage_url, stdin=stdin, **SMALL)

    if request.param == "local":
        yield local
        return
    async with serving(tmp_path, **SMALL) as server:

        async def remote(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
            return await aerolite("query", *arguments, "--url", server.url, stdin=stdin)

        yield remote


async def test_a_table_lives_from_the_command_line(query: Query) -> None:
    """Made, filled with parameters, and shown in each format."""
    assert await query("create table t (a integer, b text)") == (0, "OK\n", "")
    filled = await query(
        "insert into t values (?, ?), (?, ?)", "--param", "5", "--param", "x, y", "--param", "null",
        "--param", '"7"',
    )  # fmt: skip
    assert filled == (0, "OK\n", "")
    code, table, _ = await query("select * from t order by a")
    assert (code, [line.split() for line in table.splitlines()]) == (
        0,
        [["a", "b"], ["-", "7"], ["5", "x,", "y"]],
    )
    select = "select * from t order by a"
    assert await query(select, "--format", "csv") == (0, 'a,b\n,7\n5,"x, y"\n', "")
    code, rows, _ = await query("-", "--format", "json", stdin=select.encode())
    assert (code, json.loads(rows)) == (0, [{"a": None, "b": "7"}, {"a": 5, "b": "x, y"}])


async def test_datasets_are_asked(query: Query) -> None:
    """By the configured database and by the reader."""
    for database in ((), ("--database", "datasets")):
        code, rows, _ = await query("select max(id) as m from landings", "--format", "json", *database)
        assert (code, json.loads(rows)) == (0, [{"m": 2}])


async def test_no_rows_are_said_to_be_none(query: Query) -> None:
    """An empty table would look like a mistake."""
    assert await query("select 1 as a where 1 = 0") == (0, "No rows.\n", "")


async def test_what_was_cut_is_told(query: Query) -> None:
    """On standard error, so that the rows stay what they are."""
    code, rows, beside = await query("values (1), (2), (3)", "--format", "csv")
    assert (code, rows) == (0, "column1\n1\n2\n")
    assert "more rows" in beside


async def test_control_characters_do_not_reach_the_terminal(query: Query) -> None:
    """What is in a database cannot write elsewhere on the screen."""
    _, table, _ = await query("select char(27) || '[2J' as a")
    assert "\\x1b[2J" in table


async def test_a_mistake_is_told_in_the_databases_words(query: Query) -> None:
    """With the character where, and an exit code."""
    code, _, beside = await query("select 1 from nowhere")
    assert (code, beside) == (1, "aerolite: no such table: nowhere (at character 15)\n")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("select 1", "--format", "xml"), 2, "--format"),
        (("select 1", "--database", "other"), 2, "--database"),
        (("select 1", "--url", "http://127.0.0.1:9"), 1, "cannot be reached"),
        (("select 1", "--url", "http://x", "--storage-url", "memory://"), 2, "not both"),
        (("-",), 2, "not UTF-8"),
    ],
)
async def test_a_wrong_call_is_told_why(
    tmp_path: Path, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    """The exit code is not 0 and the sentence names what was wrong."""
    storage_url = f"sqlite:///{tmp_path}/aerolite.db"
    actual, _, beside = await aerolite("query", *arguments, stdin=b"\xff", STORAGE_URL=storage_url)
    assert actual == code
    assert sentence in " ".join(beside.split())


@pytest.mark.parametrize(("status", "body"), [(200, b"[]"), (200, b"<p>"), (404, b"<p>")])
async def test_a_stranger_is_told_from_a_server_of_ours(status: int, body: bytes) -> None:
    """What answers something else is no Aerolite."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        code, _, beside = await aerolite("query", "select 1", "--url", str(server.make_url("/")))
    assert (code, "is it an Aerolite" in beside) == (1, True)
