"""What this process knows of each dataset, and how it makes sure that it is still so."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from service.adapters.commits import Head
from service.adapters.redis.connections import Wire
from service.adapters.redis.layout import Entry, Keys, chunks, read_entry
from service.adapters.redis.scripts import Command
from service.domain.errors import AeroliteError

KNOWN = 4096
"""Datasets whose metadata a process keeps."""

_PER_EXCHANGE = 256


class Heads:
    """The datasets' metadata, cached; a short question before each use asks whether it is fresh."""

    def __init__(self, wire: Wire, prefix: str) -> None:
        self._wire = wire
        self._prefix = prefix
        self._known: OrderedDict[str, Entry] = OrderedDict()
        self._waiting: dict[str, list[asyncio.Future[Entry]]] = {}
        self._asking: asyncio.Task[None] | None = None

    def keys(self, name: str) -> Keys:
        """Return the names of a dataset's keys."""
        return Keys(f"{self._prefix}:{{{name}}}")

    async def guess(self, name: str) -> Entry:
        """Return a revision that is known, fresh or not, for a question that checks it; else look."""
        known = self._known.get(name)
        return known if known is not None and known.body else await self.look(name)

    def learn(self, name: str, flat: Sequence[Any]) -> Entry:
        """Keep what HGETALL gave of `meta`."""
        entry = read_entry(name, flat, self._known.pop(name, None))
        if entry.head.revision:  # names that were never used are nobody's to remember
            self._known[name] = entry
        if len(self._known) > KNOWN:
            self._known.popitem(last=False)
        return entry

    async def look(self, name: str) -> Entry:
        """Read the metadata."""
        return self.learn(name, await self._wire.call("HGETALL", self.keys(name).meta))

    async def look_at_all(self, names: Sequence[str]) -> list[Entry]:
        """Read the metadata of many datasets."""
        entries: list[Entry] = []
        for chunk in chunks(names, _PER_EXCHANGE):
            found = await self._wire.scatter([("HGETALL", self.keys(name).meta) for name in chunk])
            entries += (self.learn(name, flat) for name, flat in zip(chunk, found, strict=True))
        return entries

    async def fresh(self, name: str) -> Entry:
        """Return the metadata as it is at some time after the call.

        One question serves all who called before it was sent, and none who called later.
        """
        future: asyncio.Future[Entry] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(name, []).append(future)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        return await future

    async def aclose(self) -> None:
        """Give up what is being asked."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        self._fail([*self._waiting.values()], None)  # it may not have begun

    async def _ask(self) -> None:
        asked: dict[str, list[asyncio.Future[Entry]]] = {}
        try:
            while self._waiting:
                asked, self._waiting = self._waiting, {}
                entries = await self._checked(list(asked))
                for futures, entry in zip(asked.values(), entries, strict=True):
                    for future in futures:
                        if not future.done():
                            future.set_result(entry)
        except AeroliteError as error:
            # Who came meanwhile has waited, too: nobody waits for two time limits.
            self._fail([*asked.values(), *self._waiting.values()], error)
        finally:
            self._fail([*asked.values(), *self._waiting.values()], None)
            self._waiting = {}
            self._asking = None

    @staticmethod
    def _fail(waiting: list[list[asyncio.Future[Entry]]], error: AeroliteError | None) -> None:
        for future in (future for futures in waiting for future in futures if not future.done()):
            if error is None:
                future.cancel()
            else:
                future.set_exception(error)

    async def _checked(self, names: list[str]) -> list[Entry]:
        questions: list[Command] = [("HMGET", self.keys(name).meta, "revision", "body") for name in names]
        answers = await self._wire.scatter(questions)
        found = {name: self._confirmed(name, answer) for name, answer in zip(names, answers, strict=True)}
        stale = [name for name, entry in found.items() if entry is None]
        if stale:
            found.update(zip(stale, await self.look_at_all(stale), strict=True))
        return [entry for entry in found.values() if entry is not None]

    def _confirmed(self, name: str, answer: Sequence[bytes | None]) -> Entry | None:
        """Return what is known of the dataset if it is what the answer says."""
        revision, body = (answer[0] or b"0").decode(), (answer[1] or b"").decode()
        entry = self._known.get(name) or Entry(Head(name))
        # The body tells a dataset apart from one of the same revision, which a store that lost data may have.
        return entry if (revision, body) == (str(entry.head.revision), entry.body) else None
