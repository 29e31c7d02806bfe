"""The response cache: finished answers, bounded in bytes; the least recently used goes first.

A key is what a client sent that can make a difference, as it was sent. An entry is served only after its
dataset's revision was checked, and while the contract that it was made under cannot have changed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime

from multidict import CIMultiDict

from service.contracts.resolve import Resolved

_OVERHEAD_BYTES = 2048
"""About what an entry costs beside its body: headers, keys, the dictionary's share."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A finished answer of one revision of a dataset, good until `valid_until`.

    `head` is the serialised head that goes with `headers`.
    """

    dataset: str
    revision: int
    resolved: Resolved
    valid_until: datetime
    etag: str
    status: int
    headers: CIMultiDict[str]
    head: bytes
    body: bytes


class ResponseCache:
    """Finished answers by key."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.size_bytes = 0
        self.hits = 0
        self.misses = 0
        self._entries: OrderedDict[Hashable, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> Entry | None:
        """Return the entry; the caller checks that it still holds and says `hit` or `drop`."""
        return self._entries.get(key)

    def hit(self, key: Hashable) -> None:
        """Note that an entry was served."""
        self.hits += 1
        self._entries.move_to_end(key)

    def put(self, key: Hashable, entry: Entry) -> None:
        """Keep an answer, unless it would take more than an eighth of the room."""
        self.misses += 1
        size = len(entry.body) + _OVERHEAD_BYTES
        if size > self.max_bytes // 8:
            return
        self.drop(key)
        self._entries[key] = entry
        self.size_bytes += size
        while self.size_bytes > self.max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self.size_bytes -= len(oldest.body) + _OVERHEAD_BYTES

    def drop(self, key: Hashable) -> None:
        """Forget an entry, if it is there."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.size_bytes -= len(entry.body) + _OVERHEAD_BYTES
