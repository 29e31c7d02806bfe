"""What no operation answers: OPTIONS, other methods, unknown paths. Nothing here has a contract."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from time import perf_counter

from aiohttp import web

from service.contracts.declarations import Operation
from service.domain.errors import AeroliteError, MethodNotAllowed, PathNotFound
from service.http import problems
from service.http.access_log import AccessLog
from service.http.cors import Cors
from service.http.lifecycle import Lifecycle
from service.http.observe import RequestIds

UNROUTED = "unrouted"
Refusal = Callable[[], web.Response]


class Fallback:
    """The last route, of all methods and paths."""

    def __init__(
        self,
        operations: Iterable[Operation],
        refusals: dict[str, Refusal],
        access_log: AccessLog,
        request_ids: RequestIds,
        lifecycle: Lifecycle,
        cors: Cors,
        base_path: str,
    ) -> None:
        self._methods: dict[str, set[str]] = {}
        for operation in operations:
            methods = self._methods.setdefault(operation.path, set())
            methods.update({operation.method, "HEAD"} if operation.method == "GET" else {operation.method})
        self._patterns = {path: _pattern(path) for path in self._methods}
        self._refusals = refusals
        self._access_log = access_log
        self._request_ids = request_ids
        self._lifecycle = lifecycle
        self._cors = cors
        self._base_path = base_path

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer OPTIONS with what is allowed, and all else with 404 or 405."""
        started = perf_counter()
        request_id = self._request_ids.of(request)
        response = self._answer(request, request_id)
        response.headers["X-Request-Id"] = request_id
        response.headers["X-Content-Type-Options"] = "nosniff"
        if self._lifecycle.draining:
            response.force_close()
        self._access_log.wrote(request, UNROUTED, "-", response.status, request_id, started)
        return response

    def _answer(self, request: web.Request, request_id: str) -> web.Response:
        path = request.path
        if self._base_path and path.startswith(self._base_path + "/"):
            path = path.removeprefix(self._base_path)
        template = next((known for known, pattern in self._patterns.items() if pattern.fullmatch(path)), None)
        if template is None:
            return self._problem(
                request, request_id, PathNotFound("There is nothing at this path; see /docs.")
            )
        if template in self._refusals:
            return self._refusals[template]()
        allow = sorted(self._methods[template] | {"OPTIONS"})
        if request.method == "OPTIONS":
            response = web.Response(status=204, headers={"Allow": ", ".join(allow)})
            self._cors.allow(request, response)
            self._cors.preflight(request, response, ", ".join(allow))
            return response
        error = MethodNotAllowed(f"{request.method[:20]} is not allowed here.", allow=allow)
        return self._problem(request, request_id, error)

    def _problem(self, request: web.Request, request_id: str, error: AeroliteError) -> web.Response:
        response = problems.response(error, request_id)
        self._cors.allow(request, response)
        return response


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{\w+\}", path)
    return re.compile("[^/]+".join(map(re.escape, parts)))
