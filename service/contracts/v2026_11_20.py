"""2026-11-20: pages with a cursor, and values with types."""

from __future__ import annotations

from datetime import date

from service.contracts.changes import Change, envelope, head, query
from service.contracts.declarations import Answer, Before
from service.contracts.messages import Query, Records, Reply
from service.contracts.registry import Contract
from service.contracts.schemas import CSV, JSON, NDJSON, RECORD, RECORDS

_ARRAY = Answer(
    "The records.",
    {JSON: RECORDS, NDJSON: RECORD, CSV: {"type": "string"}},
    {"X-Total-Count": "How many records there are.", "Link": "Where to go on."},
)


class Page(Change):
    """GET /data answered with a bare array, without a bound."""

    description = (
        "GET /data answers with a page `{dataset, revision, count, start, records, next}`; `limit` is 100 "
        "by default and 10000 at most, or `all`, which streams."
    )
    before = {"data.read": Before({200: _ARRAY})}

    @query("data.read")
    def unbounded(query: Query) -> None:
        """Bound nothing, and give all where no limit is named."""
        query.default_limit = query.max_limit = None

    @head("data.read")
    def counted(reply: Reply) -> None:
        """Tell by headers what the page tells in its members."""
        if isinstance(reply.body, Records):
            reply.headers["X-Total-Count"] = str(reply.body.members["count"])

    @envelope("data.read")
    def bare(_: Records) -> Records:
        """Leave nothing but the array."""
        return Records({}, slot=None)


class TypedValues(Change):
    """GET /data gave values as they were loaded; those of a CSV are text."""

    description = "In GET /data numbers are numbers, booleans are booleans and an empty cell is null."
    values_as_loaded = frozenset({"data.read"})


class Located(Change):
    """POST /data did not say where the records are."""

    description = "POST /data tells by `Location` where the records are."

    @head("data.load")
    def nowhere(reply: Reply) -> None:
        """Leave the header out."""
        reply.headers.pop("Location", None)


contract = Contract(
    date=date(2026, 11, 20),
    description="Pages with a cursor and typed values.",
    changes=(Page, TypedValues, Located),
)
