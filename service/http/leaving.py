"""Clients that leave before they have their answer: their work ends with them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiohttp import web

T = TypeVar("T")

CLIENT_LEFT = 499
"""The status that nginx logs for them (`NGX_HTTP_CLIENT_CLOSED_REQUEST` in its ngx_http_request.h)."""

_LOOK_S = 0.1


class ClientLeft(Exception):
    """Nobody waits for the answer any more."""


async def unless_left(request: web.Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns; it is cancelled when the client leaves, which aiohttp does not tell.

    Raises `ClientLeft` then.
    """
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_LOOK_S)
            if not task.done() and (request.transport is None or request.transport.is_closing()):
                raise ClientLeft
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
