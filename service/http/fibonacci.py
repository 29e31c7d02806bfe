"""`/fibonacci`: ask for a number, and see which were asked for and what they are."""

from __future__ import annotations

from collections.abc import AsyncIterator

from service.contracts.messages import Reply
from service.domain.fibonacci import MAX_INDEX
from service.http.answers import Answer, Ask
from service.http.jobs import accepted, json_object
from service.http.uploads import Uploads
from service.ports.seen import Seen
from service.usecases.jobs.desk import Desk
from service.usecases.jobs.fibonacci import FibonacciJob, FibonacciValues


class FibonacciResource:
    """Fibonacci numbers."""

    def __init__(
        self, desk: Desk, kind: FibonacciJob, values: FibonacciValues, seen: Seen, uploads: Uploads
    ) -> None:
        self._desk = desk
        self._kind = kind
        self._values = values
        self._seen = seen
        self._uploads = uploads

    async def read(self, _: Ask) -> Answer:
        """Stream what was asked for and what is known of it, both ascending."""
        return Answer(Reply(200), chunks=self._chunks())

    async def create(self, ask: Ask) -> Answer:
        """Ask for a number."""
        params = self._kind.check(json_object(await self._uploads.small_json(ask)))
        return accepted(ask, await self._desk.post(self._kind, params), self._desk.types)

    async def _chunks(self) -> AsyncIterator[bytes]:
        # A value whose index was noted after the indexes were sent is left for the next answer.
        listed = bytearray(MAX_INDEX + 1)
        pending = '{"seen":['
        async for indexes in self._seen.all():
            for index in indexes:
                listed[index] = 1
            yield (pending + ",".join(map(str, indexes))).encode()
            pending = ","
        pending = '],"values":{' if pending == "," else pending + '],"values":{'
        async for index, digits in self._values.all():
            if listed[index]:
                yield f'{pending}"{index}":"{digits}"'.encode()
                pending = ","
        yield (b"}}" if pending == "," else (pending + "}}").encode())
