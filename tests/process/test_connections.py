"""Clients that waste the server's time are shown out."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.waiting import patience

from .serving import serving


@pytest.mark.parametrize("sent", [b"", b"GET /da", b"GET /data HTTP/1.1\r\nHost: x\r\nX-A: 1"])
async def test_headers_that_do_not_come_in_time_end_the_connection(tmp_path: Path, sent: bytes) -> None:
    """A connection without a whole request is closed after the header timeout."""
    async with serving(tmp_path, HEADER_TIMEOUT_SECONDS="0.3") as server:
        host, port = urlsplit(server.url).hostname, urlsplit(server.url).port
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(sent)
        async with patience():
            assert await reader.read() == b""
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
        async with patience():
            assert await reader.read() == b""
        dripping.cancel()
        await asyncio.wait({dripping})
        writer.close()


async def test_a_whole_request_then_silence_keeps_the_connection(tmp_path: Path) -> None:
    """Keep-alive is longer than the header timeout, which counts from the first byte of a request."""
    async with serving(tmp_path, HEADER_TIMEOUT_SECONDS="3") as server:
        host, port = urlsplit(server.url).hostname, urlsplit(server.url).port
        reader, writer = await asyncio.open_connection(host, port)
        for silence_s in (3.5, 0):
            writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readuntil(b"ok\n")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(silence_s)
        writer.close()
