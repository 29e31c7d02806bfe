"""2023-09-01: writes answer with a receipt, and reading can be limited."""

from __future__ import annotations

from datetime import date

from service.contracts.changes import Change, document, head, query
from service.contracts.declarations import Answer, Before
from service.contracts.messages import Document, Query, Reply, Text
from service.contracts.registry import Contract
from service.contracts.schemas import CSV, JSON, NDJSON, RECORD, RECORDS, TEXT

_LINE = {200: Answer("One line that says how many records.", {TEXT: {"type": "string"}})}


class Receipt(Change):
    """POST and DELETE told the number of records as a sentence."""

    description = (
        "POST /data answers 201 and DELETE /data 200 with a JSON receipt "
        "`{dataset, loaded, count, revision}`, instead of 200 and a line of text."
    )
    before = {"data.load": Before(_LINE), "data.delete": Before(_LINE)}

    @head("data.load", "data.delete")
    def ok(reply: Reply) -> None:
        """Answer 200 whatever was made."""
        reply.status = 200

    @document("data.load")
    def loaded(receipt: Document) -> Text:
        """Say how many records were loaded."""
        return Text(f"Loaded {receipt.value['loaded']} records\n")

    @document("data.delete")
    def deleted(receipt: Document) -> Text:
        """Say how many records were deleted."""
        return Text(f"Deleted {receipt.value['deleted']} records\n")


class LimitedArray(Change):
    """GET /data always went to the very end."""

    description = (
        "GET /data takes `limit` (all by default) and tells the number of records as `X-Total-Count` "
        'and where to go on as `Link: …; rel="next"`.'
    )
    before = {
        "data.read": Before(
            {200: Answer("The records from `start` to the end.", {JSON: RECORDS, NDJSON: RECORD, CSV: {}})},
            without=frozenset({"limit"}),
        )
    }

    @query("data.read")
    def everything(query: Query) -> None:
        """Ask for all that is there."""
        query.default_limit = query.max_limit = None

    @head("data.read")
    def uncounted(reply: Reply) -> None:
        """Say nothing of a number or a next page."""
        reply.headers.pop("X-Total-Count", None)
        reply.headers.pop("Link", None)


contract = Contract(
    date=date(2023, 9, 1),
    description="Receipts for writes; limits for reads.",
    changes=(Receipt, LimitedArray),
)
