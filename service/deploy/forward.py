"""A port of this machine that leads to a port of a pod, as `kubectl port-forward` gives one.

A port-forward, not the API server's service proxy: it goes through the kubelet, so it works where
network policies, or a cloud's firewall, keep the control plane from the pods.

The protocol: a websocket per connection; the first byte of a message is its channel, 0 for data and
1 for errors; the first message of each channel is the port's number, which is skipped.
https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/cri/streaming/portforward/websocket.go
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from service.deploy.errors import ApiProblem
from service.deploy.objects import Ref
from service.deploy.resources import Resources

_DATA = b"\x00"
_PORT_BYTES = 2
_CHUNK_BYTES = 1 << 15


@dataclass
class Tunnel:
    """An open port-forward; `complaints` collects why connections through it broke."""

    local_port: int = 0
    complaints: list[str] = field(default_factory=list)


@asynccontextmanager
async def port_forward(resources: Resources, pod: Ref, port: int) -> AsyncIterator[Tunnel]:
    """Listen on a free port of the loopback address for as long as the context lasts."""
    path = f"{await resources.path(pod)}/portforward"
    tunnel = Tunnel()
    connections: set[asyncio.Task[None]] = set()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with resources.cluster.websocket(path, {"ports": port}) as socket:
                await _join(socket, reader, writer, tunnel)
        except (ApiProblem, OSError) as problem:
            tunnel.complaints.append(str(problem))

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(connect(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)
        task.add_done_callback(lambda _: writer.close())  # also where it has not begun

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        tunnel.local_port = server.sockets[0].getsockname()[1]
        try:
            yield tunnel
        finally:
            for task in connections:
                task.cancel()
            await asyncio.gather(*connections, return_exceptions=True)


async def _join(
    socket: aiohttp.ClientWebSocketResponse,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    tunnel: Tunnel,
) -> None:
    ways = [
        asyncio.ensure_future(_to_pod(reader, socket)),
        asyncio.ensure_future(_from_pod(socket, writer, tunnel)),
    ]
    try:
        done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
    for way in done:
        way.result()


async def _to_pod(reader: asyncio.StreamReader, socket: aiohttp.ClientWebSocketResponse) -> None:
    while chunk := await reader.read(_CHUNK_BYTES):
        await socket.send_bytes(_DATA + chunk)


async def _from_pod(
    socket: aiohttp.ClientWebSocketResponse, writer: asyncio.StreamWriter, tunnel: Tunnel
) -> None:
    introduced = set()
    async for message in socket:
        channel, payload = message.data[:1], message.data[1:]
        if payload and channel not in introduced:
            introduced.add(channel)
            payload = payload[_PORT_BYTES:]
        if payload and channel != _DATA:
            tunnel.complaints.append(payload.decode(errors="replace"))
        elif payload:
            writer.write(payload)
            await writer.drain()
