"""The index of a body that is being made: kept here until there is enough to send a part at a time.

Keys are spread over many hashes. Sent with their records they would be a command each; together they are
some hundred to a command, which takes Redis a third of the time.
"""

from __future__ import annotations

from collections.abc import Iterator

from service.adapters import commits
from service.adapters.redis.connections import Wire
from service.adapters.redis.layout import INDEX_PARTS, Keys, chunks, index_part
from service.adapters.redis.scripts import Command
from service.domain.errors import DuplicateKey

_MOST_KEYS = 65_536
_MOST_BYTES = 8 << 20
_KEYS_AT_ONCE = 2_000
"""Asked or sent together; it takes Redis a millisecond or two."""


class PendingIndex:
    """Keys and their positions that Redis does not know yet."""

    def __init__(self, wire: Wire, keys: Keys, body: str) -> None:
        self._wire = wire
        self._keys = keys
        self._body = body
        self._parts: list[dict[bytes, int]] = [{} for _ in range(INDEX_PARTS)]
        self._long: dict[bytes, str] = {}
        self._count = 0
        self._size_bytes = 0
        self._sent = False

    @property
    def full(self) -> bool:
        """Whether it is time to send."""
        return self._count >= _MOST_KEYS or self._size_bytes >= _MOST_BYTES

    def add(self, key: str, entry: bytes, position: int) -> bool:
        """Keep a key, unless it is kept already; tell which."""
        self._count += 1
        if len(entry) != len(key):  # not the key itself
            self._long[entry] = key
            self._size_bytes += len(key)
        return self._parts[index_part(entry)].setdefault(entry, position) == position

    async def first_known(self) -> DuplicateKey | None:
        """Return an error for the first of the keys that Redis knows already, if there is one."""
        known: list[tuple[int, bytes]] = []
        for names, parts in self._some() if self._sent else ():
            questions: list[Command] = [
                ("HMGET", name, *part) for name, part in zip(names, parts, strict=True)
            ]
            for part, hints in zip(parts, await self._wire.run(questions), strict=True):
                hits = (entry for entry, hint in zip(part, hints, strict=True) if hint is not None)
                known += ((part[entry], entry) for entry in hits)
        if not known:
            return None
        _, entry = min(known)
        return commits.duplicate_key(self._long.get(entry) or entry.decode())

    def taken(self) -> Iterator[list[Command]]:
        """Yield the commands that store the keys, some at a time, and forget them."""
        for names, parts in self._some():
            yield [
                ("HSET", name, *(word for pair in part.items() for word in pair))
                for name, part in zip(names, parts, strict=True)
            ]
        self._sent = self._sent or self._count > 0
        self._parts = [{} for _ in range(INDEX_PARTS)]
        self._long, self._count, self._size_bytes = {}, 0, 0

    def _some(self) -> Iterator[tuple[list[str], list[dict[bytes, int]]]]:
        """Yield the parts that have keys, with their names in Redis, several at a time."""
        numbers = [number for number, part in enumerate(self._parts) if part]
        together = max(1, _KEYS_AT_ONCE * INDEX_PARTS // max(1, self._count))
        for some in chunks(numbers, together):
            names = [self._keys.index_part(self._body, number) for number in some]
            yield names, [self._parts[number] for number in some]
