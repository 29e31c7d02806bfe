"""Makes keys over HTTP for tests."""

from __future__ import annotations

from dataclasses import dataclass

from .conftest import Api

ADMIN_KEY = "admin-key-of-the-tests"
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}


@dataclass(frozen=True)
class Made:
    """A key: its id, and the header that shows it."""

    id: str
    key: str

    @property
    def header(self) -> dict[str, str]:
        """Return the header."""
        return {"Authorization": f"Bearer {self.key}"}


async def make_key(api: Api, *scopes: str, name: str = "robot") -> Made:
    """Make a key with these scopes (read and write, if none)."""
    body = {"name": name, "scopes": list(scopes or ("read", "write"))}
    async with api.post("/keys", json=body, headers=ADMIN) as answer:
        made = await answer.json()
        assert answer.status == 201, made
        assert answer.headers["Location"] == f"/keys/{made['id']}"
        return Made(made["id"], made["key"])


async def problem_of(api: Api, method: str, path: str, **request: object) -> tuple[int, str, str]:
    """Return status, type and detail of an answer that is a problem."""
    async with api.request(method, path, **request) as answer:  # type: ignore[arg-type]  # the tests' own
        problem = await answer.json(content_type="application/problem+json")
        return answer.status, problem["type"], problem["detail"]
