"""A network between service and server that can be cut at a chosen word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto
from urllib.parse import urlsplit


class Cut(Enum):
    """What happens to the message that holds the word."""

    BEFORE = auto()
    """It does not arrive, and the connection is closed."""

    AFTER = auto()
    """It arrives, and the connection is closed before the answer."""

    SILENCE = auto()
    """It does not arrive, and nothing else happens."""


class Proxy:
    """Passes on what it gets; `cut` and `word` say where it fails, as long as they are set."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self.cut: Cut | None = None
        self.word = b"COMMIT"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect one client with the server."""
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        back = asyncio.create_task(_pass_on(far_reader, writer))
        try:
            with suppress(ConnectionError):
                await self._pass_until_cut(reader, far_writer, back)
        finally:  # also where the test ends first
            back.cancel()
            for end in (writer, far_writer):
                end.close()
        for end in (writer, far_writer):
            with suppress(ConnectionError):
                await end.wait_closed()

    async def _pass_until_cut(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: asyncio.Task[None]
    ) -> None:
        while data := await reader.read(1 << 16):
            cut = self.cut if self.word in data else None
            if cut is Cut.BEFORE:
                return
            if cut is Cut.AFTER:
                back.cancel()
            if cut is not Cut.SILENCE:
                writer.write(data)
                await writer.drain()
            if cut is Cut.AFTER:
                return


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """Put a proxy before a server: give it, and the URL that goes through it."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = Proxy(parts.hostname, parts.port)
    listener = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield proxy, url.replace(f":{parts.port}/", f":{port}/")
