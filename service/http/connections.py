"""Connections that do not waste the server's time: a bound on how long headers may take.

aiohttp waits for ever for the rest of a request line or header, so a client that sends a byte a minute
(slowloris) would hold a connection for nothing.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler


class TimedHandler(RequestHandler):
    """A connection that closes where the headers of a request are not whole in time.

    The clock runs from the opening of the connection, and from the first byte of each later request.
    """

    __slots__ = ("_header_timeout_s", "_header_timer")

    def __init__(self, manager: web.Server, *, header_timeout_s: float, **options: Any) -> None:
        super().__init__(manager, **options)
        self._header_timeout_s = header_timeout_s
        self._header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock."""
        super().connection_made(transport)
        self._start_clock()

    def data_received(self, data: bytes) -> None:
        """Stop the clock where a request is whole; start it where one has begun."""
        super().data_received(data)
        if self._messages or self._current_request is not None:
            if self._header_timer is not None:
                self._stop_clock()
        elif self._header_timer is None:
            self._start_clock()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def _start_clock(self) -> None:
        self._header_timer = self._loop.call_later(self._header_timeout_s, self._give_up)

    def _stop_clock(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _give_up(self) -> None:
        self._header_timer = None
        if self._current_request is None:
            self.force_close()


class TimedSite(web.SockSite):
    """A listening socket whose connections are `TimedHandler`s."""

    def __init__(self, runner: web.AppRunner, sock: Any, *, header_timeout_s: float, **options: Any) -> None:
        super().__init__(runner, sock)
        self._factory_options = {"header_timeout_s": header_timeout_s, **options}

    async def start(self) -> None:
        """Listen."""
        await web.BaseSite.start(self)
        server = self._runner.server
        assert server is not None  # noqa: S101 - BaseSite.start has checked it
        loop = asyncio.get_running_loop()
        factory = partial(TimedHandler, server, loop=loop, **self._factory_options)
        self._server = await loop.create_server(factory, sock=self._sock, backlog=self._backlog)
