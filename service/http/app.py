"""The aiohttp application: routes bound to endpoints, and the life of what they stand on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from aiohttp import web

from service.http.fallback import Fallback
from service.http.favorite import FavoriteResource
from service.http.pipeline import Endpoint, Shared
from service.http.probes import Probes
from service.http.routes import Resources

Part = AbstractAsyncContextManager[object]


def build_app(shared: Shared, resources: Resources, probes: Probes, parts: Sequence[Part]) -> web.Application:
    """Return the application; nothing is opened before it starts.

    `parts` are entered in this order, that of their dependencies, and left in reverse.
    """
    app = web.Application()
    app.cleanup_ctx.append(_entered(parts))
    for prefix in dict.fromkeys(("", shared.base_path)):
        _add_probes(app, prefix, probes)
        _add_operations(app, prefix, shared, resources)
    app.router.add_route("*", "/{path:.*}", _fallback(shared).handle)
    return app


def _entered(parts: Sequence[Part]) -> Callable[[web.Application], AsyncIterator[None]]:
    async def context(_: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for part in parts:
                await stack.enter_async_context(part)
            yield

    return context


def _add_probes(app: web.Application, prefix: str, probes: Probes) -> None:
    app.router.add_get(f"{prefix}/livez", probes.live)
    app.router.add_get(f"{prefix}/readyz", probes.ready)
    app.router.add_get(f"{prefix}/metrics", probes.metrics)


def _add_operations(app: web.Application, prefix: str, shared: Shared, resources: Resources) -> None:
    for operation, handler in resources.handlers().items():
        declared = shared.registry.operations[operation]
        endpoint = Endpoint(shared, operation, handler, link_base=prefix)
        app.router.add_route(declared.method, prefix + declared.path, endpoint.handle)
        if declared.method == "GET":
            app.router.add_route("HEAD", prefix + declared.path, endpoint.handle)


def _fallback(shared: Shared) -> Fallback:
    return Fallback(
        shared.registry.operations.values(),
        {"/favorite": FavoriteResource.refused},
        shared.access_log,
        shared.request_ids,
        shared.lifecycle,
        shared.cors,
        shared.base_path,
    )
