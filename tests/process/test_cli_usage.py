"""`aerolite versions usage`: who uses which contract, from the storage and over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import pytest

from .calling import aerolite
from .serving import serving

ADMIN_KEY = "admin-key-of-the-tests"


@pytest.mark.parametrize("over_http", [False, True])
async def test_usage_is_told(tmp_path: Path, over_http: bool) -> None:
    """By contract, source and key, with the days, and whether it can be sunset today and why."""
    async with serving(tmp_path, ADMIN_KEY=ADMIN_KEY) as server:
        async with aiohttp.ClientSession(server.url) as session:
            for headers in ({}, {"API-Version": "2024-01-01"}, {"API-Version": "2024-01-01"}):
                await session.get("/data", headers=headers)
        if not over_http:
            server.terminate()
            await server.wait()
        place = ["--url", server.url] if over_http else ["--storage-url", f"sqlite:///{tmp_path}/aerolite.db"]
        code, output, _ = await aerolite("versions", "usage", *place, AEROLITE_API_KEY=ADMIN_KEY)
        assert code == 0
        assert "can be sunset today: no, because clients without a key used it in the last 30 days" in output
        assert "can be sunset today: no, because it is the newest" in output
        code, output, _ = await aerolite("versions", "usage", "--json", *place, AEROLITE_API_KEY=ADMIN_KEY)
        told = {each["version"]: each["requests"] for each in json.loads(output)["versions"]}
        assert told == {"2023-04-01": 1, "2023-09-01": 2, "2026-11-20": 0}


async def test_usage_of_an_unused_storage_is_empty(tmp_path: Path) -> None:
    """Nobody was counted yet, and one is told so."""
    code, output, _ = await aerolite("versions", "usage", STORAGE_URL=f"sqlite:///{tmp_path}/a.db")
    assert code == 0
    assert "Counted since never." in output
    assert "requests have been counted for 0 days only, and 30 are needed" in output


async def test_two_places_are_refused() -> None:
    """One is asked to name one."""
    code, _, beside = await aerolite("versions", "usage", "--url", "http://x", "--storage-url", "memory://")
    assert (code, "not both" in beside) == (2, True)
