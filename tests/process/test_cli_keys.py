"""`aerolite keys` as it is called: straight into the storage, and over HTTP with an admin's key."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import pytest

from .calling import aerolite
from .serving import serving

ADMIN_KEY = "admin-key-of-the-tests"


@pytest.mark.parametrize("over_http", [False, True])
async def test_a_key_lives_from_the_command_line(tmp_path: Path, over_http: bool) -> None:
    """Made, listed, used, pinned and revoked: a running server knows each at once, from either side."""
    storage_url = f"sqlite:///{tmp_path}/aerolite.db"
    async with serving(tmp_path, ADMIN_KEY=ADMIN_KEY, AUTH_MODE="keys") as server:
        place = ["--url", server.url] if over_http else ["--storage-url", storage_url]

        async def keys(*arguments: str) -> tuple[int, str, str]:
            return await aerolite("keys", *arguments, *place, AEROLITE_API_KEY=ADMIN_KEY)

        code, secret, beside = await keys("create", "robot", "--scope", "read", "--scope", "write")
        made = beside.partition(":")[0]
        assert (code, beside) == (0, f"{made}: read, write\n")

        async def contract() -> tuple[int, str]:
            headers = {"Authorization": f"Bearer {secret.strip()}"}
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{server.url}/data", headers=headers) as answer,
            ):
                return answer.status, answer.headers["API-Version"]

        code, output, _ = await keys("pin", made, "2023-09-02")
        assert (code, output) == (0, f"{made}: pinned to 2023-09-02\n")
        assert await contract() == (200, "2023-09-01")
        code, output, _ = await keys("list", "--json")
        (listed,) = json.loads(output)
        assert (listed["id"], listed["name"], listed["pin"]) == (made, "robot", "2023-09-02")
        code, output, _ = await keys("list")
        assert [made, "robot", "read,", "write"] == output.splitlines()[1].split()[:4]
        code, output, _ = await keys("revoke", made)
        assert (code, output) == (0, f"{made}: revoked\n")
        assert (await contract())[0] == 401
        code, _, beside = await keys("revoke", made)
        assert (code, "There is no key" in beside) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("create", "x"), 2, "--scope"),
        (("create", "x", "--scope", "root"), 2, "root"),
        (("create", "", "--scope", "read"), 1, "A name has 1 to 200 characters."),
        (("pin", "abc", "2026-1-5"), 2, "is no day"),
        (("pin", "abc", "2024-01-01"), 1, "There is no key 'abc'"),
        (("pin", "a/b", "2024-01-01"), 1, "is no id"),
        (("revoke", "admin"), 1, "ADMIN_KEY"),
        (("list", "--url", "http://x", "--storage-url", "memory://"), 2, "not both"),
        (("list", "--url", "ftp://x"), 1, "--url cannot be"),
        (("list", "--url", "http://127.0.0.1:9"), 1, "cannot be reached"),
        (("list", "--url", "http://127.0.0.1:9", "--api-key", "a b"), 1, "without blanks"),
    ],
)
async def test_a_wrong_call_is_told_why(
    tmp_path: Path, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    """The exit code is not 0 and the sentence names what was wrong; there is no traceback."""
    storage_url = f"sqlite:///{tmp_path}/aerolite.db"
    actual, _, beside = await aerolite("keys", *arguments, STORAGE_URL=storage_url)
    assert actual == code
    assert sentence in " ".join(beside.split())


async def test_a_server_refuses_who_is_no_admin(tmp_path: Path) -> None:
    """What the server says is what the command says."""
    async with serving(tmp_path, ADMIN_KEY=ADMIN_KEY) as server:
        code, _, beside = await aerolite("keys", "list", "--url", server.url)
        assert (code, "needs a key with the scope `admin`" in beside) == (1, True)
        code, _, beside = await aerolite("keys", "list", "--url", f"{server.url}/metrics")
        assert code == 1
