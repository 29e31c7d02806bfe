"""A child process as a partner in conversation."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from contextlib import suppress

from service.adapters.sqlite_child.messages import FRAME, Answer, Question, answers, framed
from service.processes import pipes


class Ended(Exception):
    """The child's process is no more; `signal` is that which ended it, or None.

    `unheard`: it has not said a word, so it may have been gone before it was asked.
    """

    def __init__(self, signal: int | None, *, unheard: bool) -> None:
        super().__init__(signal)
        self.signal = signal
        self.unheard = unheard


class Child:
    """A process to talk to."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._writer, self._reader = pipes(process)
        self._heard = False

    async def send(self, message: Question) -> None:
        """Send a message; that the process has ended is told by `receive`."""
        with suppress(ConnectionError):
            self._writer.write(framed(message))
            await self._writer.drain()

    async def receive(self) -> Answer:
        """Return the next message. Raises `Ended`."""
        try:
            (size_bytes,) = FRAME.unpack(await self._reader.readexactly(FRAME.size))
            answer: Answer = answers.decode(await self._reader.readexactly(size_bytes))
        except (asyncio.IncompleteReadError, ConnectionError):
            code = await self._process.wait()
            raise Ended(-code if code < 0 else None, unheard=not self._heard) from None
        self._heard = True
        return answer
