"""Sends SQL for tests."""

from __future__ import annotations

from typing import Any

from .conftest import NEWEST, Api


async def ask(api: Api, sql: str, headers: dict[str, str] = NEWEST, **members: Any) -> tuple[int, Any]:
    """Send a statement, and return the status and the body: a text, or what the JSON says."""
    async with api.post("/query", json={"query": sql, **members}, headers=headers) as answer:
        if answer.content_type.endswith("json"):
            return answer.status, await answer.json(content_type=None)
        return answer.status, await answer.text()
