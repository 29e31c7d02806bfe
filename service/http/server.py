"""Serving: bind, wait for signals, drain so that no request is lost, end.

`web.run_app` closes the listener first and so refuses clients that a load balancer still sends; here the
listener goes on while `/readyz` says 503 and each answer closes its connection.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from service.http.connections import TimedSite
from service.http.lifecycle import Lifecycle

log = logging.getLogger("aerolite")

SHUTDOWN_TIMEOUT_S = 10.0
KEEPALIVE_TIMEOUT_S = 75.0
"""Longer than the idle time of common load balancers (60 s), so that they close first."""

BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Listening:
    """Where to listen, and how long to wait for what."""

    host: str
    port: int
    header_timeout_s: float
    drain_s: float


class Server:
    """Runs an application until a signal, then drains it."""

    def __init__(
        self, app: Callable[[], web.Application], lifecycle: Lifecycle, listening: Listening
    ) -> None:
        self._app = app
        self._lifecycle = lifecycle
        self._listening = listening
        self._stop = asyncio.Event()
        self._drain_s = listening.drain_s
        self.port: int | None = None

    async def run(self, started: Callable[[str], None] | None = None) -> None:
        """Serve until SIGTERM (which drains) or SIGINT (which does not wait).

        `started` is told the URL. Raises `OSError` where the address cannot be had.
        """
        with self._bind() as sock:
            self.port = sock.getsockname()[1]
            await self._serve(sock, started)
        log.info("stopped")

    def stop(self) -> None:
        """Ask the server to drain and end."""
        self._stop.set()

    async def _serve(self, sock: socket.socket, started: Callable[[str], None] | None) -> None:
        # Bodies are inflated by the spool, which checks their size and end; aiohttp would do neither.
        runner = web.AppRunner(
            self._app(), access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT_S, handle_signals=False
        )
        self._watch_signals()
        try:
            await runner.setup()
            site = TimedSite(
                runner,
                sock,
                header_timeout_s=self._listening.header_timeout_s,
                keepalive_timeout=KEEPALIVE_TIMEOUT_S,
                auto_decompress=False,
                access_log=None,
            )
            await site.start()
            self._announce(started)
            await self._stop.wait()
            await self._drain()
        finally:
            await runner.cleanup()

    async def _drain(self) -> None:
        self._lifecycle.drain()
        log.info("draining", extra={"fields": {"seconds": self._drain_s}})
        self._stop.clear()
        if self._drain_s > 0:
            try:
                async with asyncio.timeout(self._drain_s):
                    await self._stop.wait()
            except TimeoutError:
                return

    def _watch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        loop.add_signal_handler(signal.SIGINT, self._interrupt)

    def _interrupt(self) -> None:
        self._drain_s = 0.0
        self.stop()

    def _announce(self, started: Callable[[str], None] | None) -> None:
        host = self._listening.host
        shown = f"[{host}]" if ":" in host else host
        url = f"http://{shown}:{self.port}"
        log.info("serving", extra={"fields": {"url": url}})
        if started is not None:
            started(url)

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._listening.host else socket.AF_INET
        address = (self._listening.host, self._listening.port)
        return socket.create_server(address, family=family, backlog=BACKLOG, reuse_port=False)
