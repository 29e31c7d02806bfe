"""A client that costs little: raw HTTP/1.1 over keep-alive connections, one request at a time on each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from urllib.parse import urlsplit

import psutil


@dataclass(frozen=True)
class Sample:
    """What some requests cost: server CPU per request, and requests per second of wall time."""

    cpu_us: float
    per_second: float
    p99_ms: float


async def measure(
    url: str, process: psutil.Process, *, headers: Mapping[str, str], clients: int, requests: int
) -> Sample:
    """Send `requests` GETs over `clients` connections; the CPU is that of the server's own process."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n{lines}\r\n".encode()
    each = requests // clients
    before, started = process.cpu_times(), perf_counter()
    taken = await asyncio.gather(
        *(_client(parts.hostname, parts.port or 80, request, each) for _ in range(clients))
    )
    seconds, after = perf_counter() - started, process.cpu_times()
    cpu_s = after.user + after.system - before.user - before.system
    latencies = sorted(latency for latencies in taken for latency in latencies)
    count = len(latencies)
    return Sample(cpu_s / count * 1e6, count / seconds, latencies[int(count * 0.99)] * 1000)


async def _client(host: str, port: int, request: bytes, count: int) -> list[float]:
    reader, writer = await asyncio.open_connection(host, port, limit=1 << 22)
    latencies = []
    for _ in range(count):
        started = perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        await reader.readexactly(_length(head))
        latencies.append(perf_counter() - started)
    writer.close()
    await writer.wait_closed()
    return latencies


def _length(head: bytes) -> int:
    lowered = head.lower()
    at = lowered.index(b"content-length:") + 15
    return int(lowered[at : lowered.index(b"\r", at)])


async def read_all(url: str, headers: Mapping[str, str]) -> int:
    """Read an answer to its end, whatever its length, keep none of it, and return its bytes."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(
        f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n{lines}\r\n".encode()
    )
    total = 0
    while chunk := await reader.read(1 << 20):
        total += len(chunk)
    writer.close()
    await writer.wait_closed()
    return total
