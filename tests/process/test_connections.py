"""Clients that waste the server's time are shown out."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.waiting import patience

from .serving import serving


async def over(reader: asyncio.StreamReader) -> bool:
    """Return, once the connection is closed, whether nothing had come over it."""
    try:
        async with patience():
            return await reader.read() == b""
    except ConnectionError:  # there was something that the server had not read yet
        return not reader._buffer


@pytest.mark.parametrize("sent", [b"", b"GET /da", b"GET /data HTTP/1.1\r\nHost: x\r\nX-A: 1"])
async def test_headers_that_do_not_come_in_time_end_the_connection(tmp_path: Path, sent: bytes) -> None:
    """A connection without a whole request is closed after the header timeout."""
    async with serving(tmp_path, HEADER_TIMEOUT_SECONDS="0.3") as server:
        host, port = urlsplit(server.url).hostname, urlsplit(server.url).port
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(sent)
        assert await over(reader)
        writer.close()


async def test_headers_that_drip_end_the_connection(tmp_path: Path) -> None:
    """A byte now and then does not win more time."""
    async with serving(tmp_path, HEADER_TIMEOUT_SECONDS="0.5") as server:
        host, port = urlsplit(server.url).hostname, urlsplit(server.url).port
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET /data HTTP/1.1\r\n")

        async def drip() -> None:
            while True:
                writer.write(b"X-A: 1\r\n")
                await writer.drain()
                await asyncio.sleep(0.1)

        dripping = asyncio.create_task(drip())
        assert await over(reader)
        dripping.cancel()
        await asyncio.wait({dripping})
        writer.close()


async def test_a_whole_request_then_silence_keeps_the_connection(tmp_path: Path) -> None:
    """Keep-alive is longer than the header timeout, which counts from the first byte of a request."""
    async with serving(tmp_path, HEADER_TIMEOUT_SECONDS="3") as server:
        host, port = urlsplit(server.url).hostname, urlsplit(server.url).port
        reader, writer = await answered(host, port)
        mute, its_writer = await asyncio.open_connection(host, port)
        assert await over(mute)  # so long was the silence
        its_writer.close()
        writer.write(REQUEST)
        async with patience():
            assert (await reader.readuntil(b"ok\n")).startswith(b"HTTP/1.1 200")
        writer.close()


REQUEST = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


async def answered(host: str | None, port: int | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection that has had its first answer: another one where a busy machine was too slow."""
    async with patience():
        while True:
            reader, writer = await asyncio.open_connection(host, port)
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                writer.write(REQUEST)
                await reader.readuntil(b"ok\n")
                return reader, writer
            writer.close()
