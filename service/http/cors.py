"""Cross-origin requests, for the origins that a setting names (Fetch standard, section 3.2)."""

from __future__ import annotations

from collections.abc import Collection

from aiohttp import web

from service.domain.access import Caller
from service.domain.errors import ForeignPage

EXPOSED = (
    "API-Version, API-Version-Source, Dataset-Version, Deprecation, ETag, Link, Location, Retry-After, "
    "Sunset, Truncated, X-Request-Id, X-Total-Count"
)
MAX_AGE_S = "600"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Cors:
    """Tells browsers which origins may read answers."""

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origins)
        self._any = "*" in self._origins
        self.enabled = bool(self._origins)

    def allow(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add what the browser wants to see, where the origin is allowed."""
        if not self.enabled:
            return
        response.headers.add("Vary", "Origin")
        origin = request.headers.get("Origin")
        if origin is not None and (self._any or origin in self._origins):
            response.headers["Access-Control-Allow-Origin"] = "*" if self._any else origin
            response.headers["Access-Control-Expose-Headers"] = EXPOSED

    def admit(self, request: web.Request, caller: Caller) -> None:
        """Refuse what a page of another site has a browser write without a key. Raises `ForeignPage`.

        A browser sends plain text anywhere without asking first (Fetch standard, section 2.2.2): also to a
        service that is open because only this machine reaches it. It says who sent it there (Fetch Metadata
        Request Headers, section 2.4).
        """
        foreign = request.headers.get("Sec-Fetch-Site") == "cross-site"
        if not foreign or caller.key_id is not None or request.method in _SAFE:
            return
        if not self._any and request.headers.get("Origin") not in self._origins:
            raise ForeignPage("Send a key, or have the page's origin named in CORS_ORIGINS.")

    def preflight(self, request: web.Request, response: web.StreamResponse, allow: str) -> None:
        """Answer a browser that asks before it sends."""
        wanted = request.headers.get("Access-Control-Request-Headers")
        if "Access-Control-Allow-Origin" in response.headers:
            response.headers["Access-Control-Allow-Methods"] = allow
            response.headers["Access-Control-Max-Age"] = MAX_AGE_S
            if wanted is not None:
                response.headers["Access-Control-Allow-Headers"] = wanted
