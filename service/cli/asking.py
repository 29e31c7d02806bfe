"""Who answers a statement of the command line: the database itself, or a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import msgspec

from service.cli.api import ApiClient
from service.cli.loading import WRITTEN_ON
from service.cli.session import CommandError
from service.domain.access import Caller, Scope
from service.formats.encoding import CsvOut, Encoder, JsonArray
from service.formats.rows import records_of
from service.usecases.queries import Order, Queries


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows as a file of CSV or a JSON array (None: the statement has none), and whether there were more."""

    body: bytes | None
    truncated: bool = False


class Asker(Protocol):
    """Answers a statement."""

    async def ask(self, order: Order, *, csv: bool) -> Answer:
        """Run it; raises `AeroliteError` or `CommandError`."""
        ...


class LocalAsker:
    """Asks the database, as someone who may do everything: whoever calls the command has the file anyway."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    async def ask(self, order: Order, *, csv: bool) -> Answer:
        """Run it."""
        found = await self._queries.run(Caller(None, frozenset(Scope)), WRITTEN_ON, order)
        if found is None:
            return Answer(None)
        encoder: Encoder = CsvOut(found.columns) if csv else JsonArray()
        middle = encoder.chunk(records_of(found.columns, found.rows), True)
        return Answer(encoder.prologue() + middle + encoder.epilogue(), found.truncated)


class _Result(msgspec.Struct):
    """The member of an answer that holds the rows, as it came."""

    result: msgspec.Raw


class RemoteAsker:
    """Asks a server."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def ask(self, order: Order, *, csv: bool) -> Answer:
        """Run it."""
        path = "/query?format=csv" if csv else "/query"
        body = {"query": order.sql, "params": order.parameters, "database": order.database}
        headers = {"API-Version": WRITTEN_ON.isoformat(), "Accept": "*/*"}
        success = await self._client.fetch("POST", path, body, headers)
        kind = success.headers.get("Content-Type", "").partition(";")[0]
        truncated = "Truncated" in success.headers
        if kind == "text/plain":
            return Answer(None)
        if kind == "text/csv":
            return Answer(success.body, truncated)
        try:
            return Answer(bytes(msgspec.json.decode(success.body, type=_Result).result), truncated)
        except msgspec.DecodeError:
            raise CommandError("The server answers something else than rows: is it an Aerolite?") from None
