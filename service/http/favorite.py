"""`/favorite`: the favorite athlete, from a setting."""

from __future__ import annotations

from aiohttp import web

from service.contracts.messages import Document, Reply
from service.http.answers import Answer, Ask

ONLY_GET = "Only GET method valid"


class FavoriteResource:
    """Who is the favorite."""

    def __init__(self, athlete: str) -> None:
        self._athlete = athlete

    async def read(self, _: Ask) -> Answer:
        """Name the athlete."""
        return Answer(Reply(200, Document({"athlete": self._athlete})))

    @staticmethod
    def refused() -> web.Response:
        """Return what any method but GET and HEAD gets here: text, as it always was."""
        return web.Response(status=405, text=ONLY_GET, headers={"Allow": "GET, HEAD"})
