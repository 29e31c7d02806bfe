"""The index of a body that is being made: kept here until there is enough to send a part at a time.

Keys are spread over many hashes. Sent with their records they would be a command each; together they are
many to a command, which takes Redis a third of the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from zlib import crc32

from service.adapters import commits
from service.adapters.redis.connections import Wire
from service.adapters.redis.layout import INDEX_PARTS, LONGEST_KEY, Keys, chunks, index_entries
from service.adapters.redis.scripts import Command
from service.domain.errors import DuplicateKey

_FEW_KEYS = 16_384
_MANY_KEYS = 65_536
_MOST_BYTES = 8 << 20
_KEYS_AT_ONCE = 2_000
"""Asked or sent together; it takes Redis a millisecond or two."""


class PendingIndex:
    """Keys and their positions that Redis does not know yet, in the parts of the index.

    As long as there are not many, all that ever came are known here, and few are sent at a time, while the
    next records are read. After that Redis is asked whether it knows them, and many are sent at a time.
    """

    def __init__(self, wire: Wire, keys: Keys, body: str) -> None:
        self._wire = wire
        self._keys = keys
        self._body = body
        self._came: set[bytes] = set()
        self._came_all = True
        self._forget()

    @property
    def full(self) -> bool:
        """Whether it is time to send."""
        most = _FEW_KEYS if self._came_all else _MANY_KEYS
        return self._count >= most or self._size_bytes >= _MOST_BYTES

    def add(self, keys: Sequence[str], positions: Sequence[int]) -> Sequence[bytes]:
        """Keep keys and return their entries. Raises `DuplicateKey`, when it has kept those before."""
        entries = index_entries(keys)
        fresh = set(entries)
        if len(fresh) < len(entries) or not fresh.isdisjoint(self._came):
            first = self._first_again(entries)
            self.add(keys[:first], positions[:first])
            raise commits.duplicate_key(keys[first])
        self._came |= fresh
        self._count += len(entries)
        parts = self._parts
        for number, entry, position in zip(map(crc32, entries), entries, positions, strict=True):
            parts[number % INDEX_PARTS] += (entry, position)
        long = {entry: key for entry, key in zip(entries, keys, strict=True) if len(entry) > LONGEST_KEY}
        self._long |= long
        self._size_bytes += sum(map(len, long.values()))
        return entries

    async def first_known(self) -> DuplicateKey | None:
        """Return an error for the first of the keys that Redis knows already, if there is one."""
        known: list[tuple[int, bytes]] = []
        for names, parts in self._some() if not self._came_all else ():
            questions: list[Command] = [
                ("HMGET", name, *part[::2]) for name, part in zip(names, parts, strict=True)
            ]
            for part, hints in zip(parts, await self._wire.run(questions), strict=True):
                kept = zip(part[1::2], part[::2], hints, strict=True)
                known += ((position, entry) for position, entry, hint in kept if hint is not None)
        if not known:
            return None
        _, entry = min(known)
        return commits.duplicate_key(self._long.get(entry) or entry.decode())

    def taken(self) -> Iterator[list[Command]]:
        """Yield the commands that store the keys, some at a time, and forget them."""
        for names, parts in self._some():
            yield [("HSET", name, *part) for name, part in zip(names, parts, strict=True)]
        self._forget()
        if not self._came_all or len(self._came) >= _MANY_KEYS:
            self._came, self._came_all = set(), False

    def _forget(self) -> None:
        self._parts: list[list[Any]] = [[] for _ in range(INDEX_PARTS)]  # entry, position, entry, position …
        self._long: dict[bytes, str] = {}
        self._count = 0
        self._size_bytes = 0

    def _first_again(self, entries: Sequence[bytes]) -> int:
        """Return which entry is the first that came before; one did."""
        came, first = self._came.copy(), 0
        while entries[first] not in came:
            came.add(entries[first])
            first += 1
        return first

    def _some(self) -> Iterator[tuple[list[str], list[list[Any]]]]:
        """Yield the parts that have keys, with their names in Redis, several at a time."""
        numbers = [number for number, part in enumerate(self._parts) if part]
        together = max(1, _KEYS_AT_ONCE * INDEX_PARTS // max(1, self._count))
        for some in chunks(numbers, together):
            names = [self._keys.index_part(self._body, number) for number in some]
            yield names, [self._parts[number] for number in some]
