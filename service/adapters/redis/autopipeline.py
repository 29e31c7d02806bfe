"""Small commands that have nothing to do with each other go to Redis together, those of one turn of the loop.

Each would else pay for an exchange of its own: a connection from the pool, a system call each way on either
side, and a sync of the server's disk. Who runs many jobs asks for many things at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from service.adapters.redis.connections import Wire
from service.adapters.redis.scripts import Command

_MOST = 32
"""Callers to an exchange; Redis answers all of it before it turns to somebody else."""

_Asked = tuple[Sequence[Command], asyncio.Future[Any]]
_Place = tuple[str, bool]
"""Which server, and whether a write: of a read whose answer is lost one knows that nothing was written."""


class AutoPipeline:
    """Asks for many callers at once; none waits for an exchange that was sent before it came."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._filling: dict[_Place, list[_Asked]] = {}
        self._under_way: dict[asyncio.Task[None], list[_Asked]] = {}

    async def ask(self, slot: str, *commands: Command, commits: bool = False) -> Any:
        """Run commands on keys of a slot in their order; return the answer of the last.

        Raises what `Wire.run` does. Those of a caller who is cancelled are run all the same.
        """
        place = ("" if self._wire.single else slot, commits)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        asked = self._filling.setdefault(place, [])
        if not asked:
            task = asyncio.create_task(self._send(place, asked))
            self._under_way[task] = asked
            task.add_done_callback(self._under_way.pop)
        asked.append((commands, answer))
        if len(asked) == _MOST:
            del self._filling[place]
        return await answer

    async def aclose(self) -> None:
        """Give up what is being asked."""
        tasks = dict(self._under_way)
        for task, asked in tasks.items():
            task.cancel()
            for _, answer in asked:
                answer.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._filling = {}

    async def _send(self, place: _Place, asked: list[_Asked]) -> None:
        if self._filling.get(place) is asked:
            del self._filling[place]
        commands = [command for some, _ in asked for command in some]
        try:
            answers = iter(await self._wire.each(commands, commits=place[1]))
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is for those who wait
            answers = iter([error] * len(commands))
        for some, answer in asked:
            _give(answer, [next(answers) for _ in some])


def _give(answer: asyncio.Future[Any], found: Sequence[Any]) -> None:
    """Tell a caller, if he still waits, the last of his answers, or the first error among them."""
    error = next((each for each in found if isinstance(each, BaseException)), None)
    if answer.done():
        return
    if error is None:
        answer.set_result(found[-1])
    else:
        answer.set_exception(error)
