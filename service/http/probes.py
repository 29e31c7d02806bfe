"""`/livez`, `/readyz`, `/metrics`: what an orchestrator and a monitor ask."""

from __future__ import annotations

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from service.domain.errors import StoreError
from service.http.cache import ResponseCache
from service.http.lifecycle import Lifecycle
from service.http.observe import Metrics
from service.ports.storage import Storage

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Probes:
    """The state of this process."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        storage: Storage,
        metrics: Metrics,
        cache: ResponseCache,
        *,
        strict: bool,
    ) -> None:
        self._lifecycle = lifecycle
        self._storage = storage
        self._metrics = metrics
        self._cache = cache
        self._strict = strict

    async def live(self, _: web.Request) -> web.Response:
        """Answer 200 because the loop turns; the storage is not asked."""
        return self._text(200, "ok")

    async def ready(self, _: web.Request) -> web.Response:
        """Answer 200 where requests should be sent here.

        503 until the storage has answered once, and while draining. Later an outage of the storage, which all
        replicas share, does not count unless `READINESS_STRICT` is set.
        """
        if self._lifecycle.draining:
            return self._text(503, "draining")
        if not self._lifecycle.ready:
            return self._text(503, f"waiting for the storage: {self._lifecycle.cause}")
        if self._strict:
            try:
                await self._storage.ping()
            except StoreError as error:
                return self._text(503, f"the storage is gone: {error.detail}")
        return self._text(200, "ok")

    async def metrics(self, _: web.Request) -> web.Response:
        """Answer with the Prometheus metrics of this process."""
        self._metrics.observe_cache(self._cache.hits, self._cache.misses, self._cache.size_bytes)
        return web.Response(
            body=generate_latest(self._metrics.registry),
            headers={**_HEADERS, "Content-Type": CONTENT_TYPE_LATEST},
        )

    def _text(self, status: int, text: str) -> web.Response:
        response = web.Response(status=status, text=text + "\n", headers=_HEADERS)
        if self._lifecycle.draining:
            response.force_close()
        return response
