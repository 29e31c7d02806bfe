"""Sends SQL for tests."""

from __future__ import annotations

from typing import Any

from tests.waiting import patience

from .conftest import NEWEST, Api


async def ask(api: Api, sql: str, headers: dict[str, str] = NEWEST, **members: Any) -> tuple[int, Any]:
    """Send a statement, and return the status and the body: a text, or what the JSON says."""
    async with api.post("/query", json={"query": sql, **members}, headers=headers) as answer:
        if answer.content_type.endswith("json"):
            return answer.status, await answer.json(content_type=None)
        return answer.status, await answer.text()


async def served(api: Api, sql: str, **members: Any) -> tuple[int, Any]:
    """Send a quick statement until it is served, and return what `ask` returns.

    On a slow machine it may have to wait for its turn, or meet the time limit that is meant for attacks.
    """
    async with patience():
        while True:
            status, body = await ask(api, sql, **members)
            if status != 503 and not (status == 422 and "took" in body["detail"]):
                return status, body
