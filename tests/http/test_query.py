"""`POST /query`: SQL over HTTP, beside an SQLite storage."""

from __future__ import annotations

from typing import Any

from .conftest import NEWEST, Api


async def ask(api: Api, sql: str, **members: Any) -> tuple[int, Any]:
    """Send a statement, and return the status and the body."""
    async with api.post("/query", json={"query": sql, **members}, headers=NEWEST) as answer:
        if answer.content_type.endswith("json"):
            return answer.status, await answer.json(content_type=None)
        return answer.status, await answer.text()


async def test_a_table_is_made_filled_and_read(api: Api) -> None:
    """What users of a plain database API start from works to the letter."""
    created = "create table account (id_user serial PRIMARY KEY, username VARCHAR(50) NOT NULL)"
    assert await ask(api, created) == (200, "OK")
    assert await ask(api, "insert into account (username) values ('ada')") == (200, "OK")
    assert await ask(api, "select * from account") == (200, {"result": [{"id_user": 1, "username": "ada"}]})


async def test_datasets_are_tables(loaded: Api) -> None:
    """A dataset stands under its name, its columns typed."""
    status, body = await ask(loaded, 'select name, id, "mass (g)", fell from landings where id < 10')
    assert (status, body["result"][1]) == (
        200,
        {"name": "Aarhus", "id": 2, "mass (g)": 720.5, "fell": 1},
    )
