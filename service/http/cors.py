"""Cross-origin requests, for the origins that a setting names (Fetch standard, section 3.2)."""

from __future__ import annotations

from collections.abc import Collection

from aiohttp import web

EXPOSED = (
    "API-Version, API-Version-Source, Dataset-Version, Deprecation, ETag, Link, Location, Retry-After, "
    "Sunset, Truncated, X-Request-Id, X-Total-Count"
)
MAX_AGE_S = "600"


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

    def preflight(self, request: web.Request, response: web.StreamResponse, allow: str) -> None:
        """Answer a browser that asks before it sends."""
        wanted = request.headers.get("Access-Control-Request-Headers")
        if "Access-Control-Allow-Origin" in response.headers:
            response.headers["Access-Control-Allow-Methods"] = allow
            response.headers["Access-Control-Max-Age"] = MAX_AGE_S
            if wanted is not None:
                response.headers["Access-Control-Allow-Headers"] = wanted
