"""`/query`: a database client over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

from service.contracts.messages import Document, Records, Reply, Text
from service.contracts.schemas import PARQUET
from service.domain.columns import Column
from service.domain.datasets import Dataset
from service.domain.errors import InvalidContent, InvalidParameter, UnsupportedMedia
from service.formats.rows import records_of
from service.http.answers import Answer, Ask
from service.http.jobs import json_object
from service.http.leaving import unless_left
from service.http.negotiation import FORMATS, media_type
from service.http.pages import file_headers
from service.http.uploads import Uploads
from service.ports.database import Parameters, Rows
from service.usecases.queries import READER, Order, Queries
from service.usecases.reading import Page

MAX_BODY_BYTES = 1 << 20
SQL = "application/sql"
TRUNCATED = "Truncated"

_MEMBERS = ("query", "params", "database")
# What says nothing of the content (the last is what curl sends by itself): the first character tells.
_UNSAID = frozenset({"", "application/octet-stream", "application/x-www-form-urlencoded"})


class QueriesResource:
    """SQL statements."""

    def __init__(self, queries: Queries, uploads: Uploads) -> None:
        self._queries = queries
        self._uploads = uploads

    async def run(self, ask: Ask) -> Answer:
        """Run a statement: answer its rows, or `OK` where it has none."""
        wanted = _wanted(ask)
        order = await self._order(ask)
        found = await unless_left(ask.request, self._queries.run(ask.caller, ask.day, order))
        if found is None:
            return Answer(Reply(200, Text("OK")))
        return await _answered(found, wanted)

    async def describe(self, ask: Ask) -> Answer:
        """Tell what can be asked, and which names of datasets and columns are others in SQL."""
        shown = await self._queries.shown(ask.caller, ask.day, _database(ask))
        body = {
            "database": shown.kind,
            "writing": shown.writing,
            "names": dict(shown.names),
            "aliases": {name: dict(aliases) for name, aliases in shown.aliases.items() if aliases},
        }
        return Answer(Reply(200, Document(body)))

    async def _order(self, ask: Ask) -> Order:
        sent = _database(ask)
        kind = ask.request.content_type.lower() if "Content-Type" in ask.request.headers else ""
        if kind not in {SQL, "text/plain", "application/json", *_UNSAID} and not kind.endswith("+json"):
            raise UnsupportedMedia(f"Send application/json or {SQL}, not {kind[:100]!r}.")
        body = await self._uploads.whole(ask, MAX_BODY_BYTES)
        as_json = kind.endswith("json") or (kind in _UNSAID and body.lstrip()[:1] == b"{")
        return _order_of(body, sent) if as_json else Order(_statement(body), database=sent)


def _wanted(ask: Ask) -> str:
    """Return the media type for rows. Raises `InvalidParameter`, `NotAcceptable`."""
    wanted = media_type(ask.query.parameters.get("format"), ask.request.headers.get("Accept", ""))
    if wanted == PARQUET:
        valid = [name for name, each in FORMATS.items() if each != PARQUET]
        raise InvalidParameter("format", "Rows do not come as Parquet.", valid=valid)
    return wanted


def _database(ask: Ask) -> str | None:
    """Return the database that the URL names. Raises `InvalidParameter`."""
    name = ask.query.parameters.get("database")
    if name not in (None, READER):
        raise InvalidParameter("database", f"There is no database {name[:64]!r}.", valid=[READER])
    return name


def _statement(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidContent("The statement is not UTF-8.") from None


def _order_of(body: bytes, sent: str | None) -> Order:
    """Return what a JSON body orders; `sent` is the database that the URL names."""
    members = json_object(body)
    for name in members:
        if name not in _MEMBERS:
            raise InvalidContent(
                f"A query has no {name[:64]!r}.", pointer=f"/{name[:64]}", valid=list(_MEMBERS)
            )
    sql = members.get("query")
    if not isinstance(sql, str):
        raise InvalidContent("`query` is an SQL statement.", pointer="/query", valid=list(_MEMBERS))
    database = members.get("database", sent)
    if not isinstance(database, str | None):
        raise InvalidContent("`database` is a name.", pointer="/database")
    if sent is not None and database != sent:
        raise InvalidParameter("database", "The body names another database than the URL.")
    return Order(sql, _parameters(members.get("params")), database)


def _parameters(sent: Any) -> Parameters:
    if sent is None:
        return ()
    if not isinstance(sent, list | dict):
        raise InvalidContent("`params` is an array, or an object of names.", pointer="/params")
    return sent


async def _answered(found: Rows, wanted: str) -> Answer:
    records = await asyncio.to_thread(records_of, found.columns, found.rows)
    tail = {"truncated": True} if found.truncated else {}
    headers = {TRUNCATED: "true"} if found.truncated else {}
    return Answer(
        Reply(200, Records({}, "result", tail), {**file_headers("query", wanted, None), **headers}),
        page=Page(Dataset("query"), 0, None, records),
        columns=tuple(map(Column, found.columns)),
        media_type=wanted,
    )
