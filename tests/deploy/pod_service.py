"""What answers in the pods of the stand-in: as much of Aerolite as a smoke test asks."""

from __future__ import annotations

import json

from aiohttp import web

# Longer than what a smoke test reads.
RECORDS = json.dumps([{"id": number} for number in range(20_000)])
CONTRACTS = ("2023-04-01", "2023-09-01", "2026-11-20")


class PodService:
    """Serves one image's containers; `tag` decides how well.

    `new-is-wrong` fails under the newest contract, `unready` fails its readiness, `wants-key`
    answers 401, `no-list` has no list of contracts, `other-contract` answers under the first
    contract whatever was asked, `all-sunset` serves no contract, `mute` closes the connection.
    """

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.asked: list[tuple[str, str | None]] = []

    def application(self) -> web.Application:
        """Return what serves the image."""
        app = web.Application()
        app.router.add_get("/readyz", self.readyz)
        app.router.add_get("/versions", self.versions)
        app.router.add_get("/data", self.data)
        return app

    async def readyz(self, request: web.Request) -> web.Response:
        """Say whether the service is ready."""
        self._note(request)
        if self.tag == "mute":
            assert request.transport is not None
            request.transport.abort()
        if self.tag == "unready":
            return web.Response(status=503, text="the storage does not answer")
        return web.Response(text="ready")

    async def versions(self, request: web.Request) -> web.Response:
        """List the contracts, of which the oldest is past its sunset."""
        self._note(request)
        if self.tag == "no-list":
            return web.json_response({"contracts": []})
        state = "sunset" if self.tag == "all-sunset" else "current"
        listed = [{"version": date, "state": state, "description": ""} for date in CONTRACTS]
        return web.json_response({"versions": [{"version": "2022-01-01", "state": "sunset"}, *listed]})

    async def data(self, request: web.Request) -> web.Response:
        """Answer under the contract that was asked for."""
        self._note(request)
        asked = request.headers["API-Version"]
        answered = CONTRACTS[0] if self.tag == "other-contract" else asked
        headers = {"API-Version": answered}
        if self.tag == "new-is-wrong" and asked == CONTRACTS[-1]:
            return web.json_response({"title": "Internal"}, status=500, headers=headers)
        if self.tag == "wants-key":
            return web.json_response({"title": "Unauthorized"}, status=401, headers=headers)
        return web.Response(text=RECORDS, headers=headers)

    def _note(self, request: web.Request) -> None:
        self.asked.append((request.path, request.headers.get("API-Version")))
