"""From commands to answers, within a time limit, and with no exception of the driver."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, TypeVar

from redis.exceptions import ExecAbortError, MovedError, ResponseError

from service.adapters.redis.failures import Exchange, Redirected, translated, translation
from service.adapters.redis.scripts import Command, Script, Word
from service.adapters.redis.servers import Single, Topology, topology
from service.domain.errors import OutcomeUnknown, StoreUnavailable

_T = TypeVar("_T")

_REDIRECTS = 3
"""How often one exchange follows a slot that has moved."""


class Wire:
    """Asks Redis within a time limit, and lets no exception of the driver out. `setting` has the URL."""

    def __init__(self, url: str, timeout_s: float, setting: str = "STORAGE_URL") -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._setting = setting
        self._servers: Topology

    @property
    def single(self) -> bool:
        """Whether one server has all keys."""
        return isinstance(self._servers, Single)

    def open(self) -> None:
        """Find out what the URL names. Raises `StoreError` where it is none of Redis."""
        self._servers = topology(self._url, self._timeout_s, self._setting)

    async def run(
        self, commands: Sequence[Command], *, commits: bool = False, wait_s: float = 0.0
    ) -> list[Any]:
        """Send commands on keys of one slot together, return their answers; they are not one transaction.

        Raises the first error among the answers, `StoreUnavailable`, or `OutcomeUnknown` where they commit.
        `wait_s` is how long they may wait in the server.
        """
        if not commands:
            return []
        exchange = Exchange(commits)
        return await self._limited(self._answers(commands, exchange), exchange, wait_s)

    async def each(self, commands: Sequence[Command], *, commits: bool = False) -> list[Any]:
        """Send commands that have nothing to do with each other: `run`, but errors are among the answers."""
        exchange = Exchange(commits)
        replies = await self._limited(self._replies(commands, exchange), exchange)
        answers = [self._told(reply, exchange) for reply in replies]
        if any(isinstance(answer, StoreUnavailable) for answer in answers):
            self._servers.forget()  # a replica may have taken over
        return answers

    def _told(self, reply: Any, exchange: Exchange) -> Any:
        if isinstance(reply, ResponseError):
            return translation(reply, self._servers.address, exchange)
        return reply

    async def call(self, *command: Word) -> Any:
        """Run one command."""
        return (await self.run([command]))[0]

    async def transaction(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands on keys of one slot in one step, written to disk at once; return their answers."""
        with translated(self._servers.address, Exchange()):
            answers: list[Any] = (await self.run([("MULTI",), *commands, ("EXEC",)]))[-1]
            for answer in answers:
                if isinstance(answer, ResponseError):
                    raise answer
            return answers

    async def script(
        self, script: Script, keys: Sequence[Word], arguments: Iterable[Word], *, commits: bool = False
    ) -> Any:
        """Run a script."""
        return (await self.run([script.call(keys, arguments)], commits=commits))[0]

    async def scatter(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands on keys of any slots, return their answers."""
        if self.single:
            return await self.run(commands)
        return [answers[0] for answers in await asyncio.gather(*(self.run([one]) for one in commands))]

    async def everywhere(self, commands: Sequence[Command]) -> list[tuple[str, list[Any]]]:
        """Run commands on every primary: return each's address and answers, errors among them."""
        return await self._limited(self._exchanged_everywhere(commands), Exchange())

    async def _limited(self, work: Awaitable[_T], exchange: Exchange, wait_s: float = 0.0) -> _T:
        try:
            with translated(self._servers.address, exchange):
                async with asyncio.timeout(wait_s + self._timeout_s):
                    return await work
        except (StoreUnavailable, OutcomeUnknown):
            self._servers.forget()  # a replica may have taken over
            raise

    async def _exchanged_everywhere(self, commands: Sequence[Command]) -> list[tuple[str, list[Any]]]:
        nodes = await self._servers.primaries()
        return [(node.address, await node.exchange(commands, Exchange())) for node in nodes]

    async def _answers(self, commands: Sequence[Command], exchange: Exchange) -> list[Any]:
        replies = await self._replies(commands, exchange)
        for reply in replies:
            if isinstance(reply, ResponseError):
                raise reply
        return replies

    async def _replies(self, commands: Sequence[Command], exchange: Exchange) -> list[Any]:
        for _ in range(_REDIRECTS):
            exchange.sent = False
            node = await self._servers.node(_key(commands))
            replies = await node.exchange(commands, exchange)
            moved = [reply for reply in replies if isinstance(reply, MovedError)]
            nothing_done = len(moved) == len(replies) or isinstance(replies[-1], ExecAbortError)
            if moved and nothing_done and self._servers.forget():
                continue  # nothing was done, so it can be sent again
            return replies
        raise Redirected("The slots of the Redis Cluster move about.")

    async def aclose(self) -> None:
        """Close all connections."""
        await self._servers.aclose()


def _key(commands: Sequence[Command]) -> Word:
    """Return a key of the slot that all commands are about."""
    command = commands[1] if commands[0] == ("MULTI",) else commands[0]
    return command[3] if command[0] in {"EVALSHA", "EVAL"} else command[1]
