"""A server that is told to end loses no request."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import aiohttp

from tests.waiting import patience, until

from .serving import serving

CLIENTS = 40


class Load:
    """Clients that ask until they are told to stop, as a load balancer would tell them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.stop = asyncio.Event()
        self.answered = 0
        self.lost: list[str] = []

    async def client(self, *, keep_alive: bool) -> None:
        """Ask again and again, over one connection or over a new one each time."""
        connector = aiohttp.TCPConnector(force_close=not keep_alive)
        async with aiohttp.ClientSession(connector=connector) as session:
            while not self.stop.is_set():
                await self._ask(session)

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        try:
            async with session.get(f"{self._url}/data?start=200") as answer:
                body = await answer.read()
        except aiohttp.ClientError as error:
            self.lost.append(repr(error))
            return
        if answer.status == 200 and body.endswith(b"]"):
            self.answered += 1
        else:
            self.lost.append(f"{answer.status} {body[-40:]!r}")

    async def watch(self) -> None:
        """Take the server out of rotation as soon as it is not ready."""
        async with aiohttp.ClientSession() as session:
            while True:
                async with session.get(f"{self._url}/readyz") as answer:
                    if answer.status == 503:
                        self.stop.set()
                        return
                await asyncio.sleep(0.05)


async def test_a_terminated_server_loses_no_request(tmp_path: Path) -> None:
    """Forty clients, half of them keep-alive, ask all the while; each gets a whole answer."""
    # However slow the machine, nobody asks any more when the server ends: it is told again then.
    async with serving(tmp_path, DRAIN_SECONDS="3600", HEADER_TIMEOUT_SECONDS="3600") as server:
        async with aiohttp.ClientSession() as session, session.post(f"{server.url}/data") as answer:
            assert answer.status == 200
        load = Load(server.url)
        clients = [asyncio.create_task(load.client(keep_alive=number % 2 == 0)) for number in range(CLIENTS)]
        watcher = asyncio.create_task(load.watch())
        await until(lambda: load.answered > CLIENTS)
        server.terminate()
        await asyncio.gather(watcher, *clients)
        server.terminate()
        assert await server.wait() == 0
    assert load.lost == []


async def test_a_drain_ends_by_its_own_time(tmp_path: Path) -> None:
    """A terminated server waits for the drain time, and then ends without another word."""
    async with serving(tmp_path, DRAIN_SECONDS="1") as server:
        server.terminate()
        async with patience():
            assert await server.wait() == 0
    assert {"draining", "stopped"} <= {line["message"] for line in server.lines}


async def test_an_interrupt_does_not_wait(tmp_path: Path) -> None:
    """Control-C ends the server at once, whatever the drain time."""
    async with serving(tmp_path, DRAIN_SECONDS="3600") as server:
        server.process.send_signal(signal.SIGINT)
        async with patience():
            assert await server.wait() == 0


async def test_a_second_signal_ends_the_drain(tmp_path: Path) -> None:
    """Who is in a hurry says it twice."""
    async with serving(tmp_path, DRAIN_SECONDS="3600") as server, aiohttp.ClientSession() as session:
        server.terminate()
        while True:
            async with session.get(f"{server.url}/readyz") as answer:
                if answer.status == 503:
                    break
        server.terminate()
        async with patience():
            assert await server.wait() == 0


async def test_while_draining_answers_close_their_connection(tmp_path: Path) -> None:
    """A client that keeps its connection is told to find another server."""
    async with serving(tmp_path, DRAIN_SECONDS="3600") as server, aiohttp.ClientSession() as session:
        async with session.get(f"{server.url}/data") as answer:
            assert "Connection" not in answer.headers
        server.terminate()
        while True:
            async with session.get(f"{server.url}/data") as answer:
                assert answer.status == 200
                if answer.headers.get("Connection") == "close":
                    break
