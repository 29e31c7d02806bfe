"""Where things stand in Redis, and how a dataset is written there.

    {name}:meta                HASH    the dataset's revision, and what that is
    {name}:lease               STRING  who may write beyond the last position, for some seconds
    {name}:staged              HASH    body -> ms, positions, step: bodies that nobody reads
    {name}:retired             HASH    body -> edits, ms, positions: bodies that snapshots may still read
    {name}:once:<digest>       HASH    the commit of an Idempotency-Key, with a TTL
    {name}:<body>:r:<bucket>   LIST    256 records each; a hole is empty
    {name}:<body>:k:<0..1023>  HASH    key -> position, a hint: the record itself says which key it has
    {name}:<body>:holes        STRING  a bit for each position that is gone
    {name}:<body>:groups       HASH    how many are gone in each 65,536 positions

A *body* is all records of one generation under a random name, so a load is staged beside what is read, and a
commit only changes the body that `meta` names. Everything of a dataset carries the same hash tag, so a Redis
Cluster keeps it in one slot.

A key's entry may point to a record that was changed, removed or never committed: it counts only where that
record is committed and has the key. So nobody needs to clean up entries.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from service.adapters.codec import dump_schema, load_schema
from service.adapters.commits import Head
from service.adapters.ranks import BUCKET, GROUP
from service.adapters.redis.scripts import Command, Word
from service.domain.datasets import Dataset

INDEX_PARTS = 1024
"""Hashes that the keys of a body are spread over: a thousand keys each where there are a million."""

LONGEST_KEY = 64
"""Bytes; a longer key is indexed by its digest, which is longer than any other entry."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of a dataset's keys."""

    tag: str

    @property
    def meta(self) -> str:
        """The dataset."""
        return f"{self.tag}:meta"

    @property
    def lease(self) -> str:
        """The lease of a large append."""
        return f"{self.tag}:lease"

    @property
    def staged(self) -> str:
        """The bodies that nobody reads."""
        return f"{self.tag}:staged"

    @property
    def retired(self) -> str:
        """The bodies that snapshots may still read."""
        return f"{self.tag}:retired"

    def once(self, idempotency_key: str) -> str:
        """Name the commit of an Idempotency-Key."""
        return f"{self.tag}:once:{hashlib.sha256(idempotency_key.encode()).hexdigest()}"

    def bucket(self, body: str, position: int) -> str:
        """Name the records around a position."""
        return f"{self.tag}:{body}:r:{position // BUCKET}"

    def index(self, body: str, entry: bytes) -> str:
        """Name the part of the index that has an entry."""
        return self.index_part(body, index_part(entry))

    def index_part(self, body: str, number: int) -> str:
        """Name a part of the index."""
        return f"{self.tag}:{body}:k:{number}"

    def holes(self, body: str) -> str:
        """Name the bitmap of positions that are gone."""
        return f"{self.tag}:{body}:holes"

    def groups(self, body: str) -> str:
        """Name the counts of what is gone in each group."""
        return f"{self.tag}:{body}:groups"

    def all_of(self, body: str, positions: int) -> Iterator[str]:
        """Yield every key of a body of so many positions."""
        yield self.holes(body)
        yield self.groups(body)
        yield from (self.index_part(body, number) for number in range(INDEX_PARTS))
        yield from (self.bucket(body, first) for first in range(0, positions, BUCKET))


@dataclass(frozen=True, slots=True)
class Entry:
    """What is stored under a name.

    `body` is '' where there is no dataset, `document` its schema as it is stored, `staged` the position up to
    which a large append has put records that are not committed.
    """

    head: Head
    body: str = ""
    document: bytes = b""
    staged: int = 0

    @property
    def positions(self) -> int:
        """How many positions may have records, committed or not."""
        dataset = self.head.dataset
        return max(self.staged, dataset.next_position if dataset is not None else 0)


def read_entry(name: str, flat: Sequence[Any], known: Entry | None = None) -> Entry:
    """Read what HGETALL gave of `meta`; the schema is not parsed again where it is the known one."""
    meta = dict(zip(flat[::2], flat[1::2], strict=True))
    number = {field: int(meta.get(field, 0)) for field in _NUMBERS}
    revision, schema_version = number.pop(b"revision"), number.pop(b"schema_version")
    if b"body" not in meta:
        return Entry(Head(name, revision, schema_version))
    document = meta[b"schema"]
    before = known.head.dataset if known is not None and known.document == document else None
    if before is not None and before.schema.version == schema_version:
        schema = before.schema
    else:
        schema = load_schema(document, schema_version)
    dataset = Dataset(
        name=name,
        revision=revision,
        generation=number[b"generation"],
        count=number[b"count"],
        next_position=number[b"next_position"],
        edits=number[b"edits"],
        size_bytes=number[b"size_bytes"],
        created=datetime.fromisoformat(meta[b"created"].decode()),
        updated=datetime.fromisoformat(meta[b"updated"].decode()),
        schema=schema,
    )
    head = Head(name, revision, schema_version, dataset)
    return Entry(head, meta[b"body"].decode(), document, int(meta.get(b"staged", 0)))


_NUMBERS = (
    *(b"revision", b"schema_version", b"generation", b"count"),
    *(b"next_position", b"edits", b"size_bytes"),
)


def write_entry(keys: Keys, before: Entry, dataset: Dataset, body: str) -> list[Command]:
    """Return the command that makes this revision the present one."""
    words: list[Word] = [
        *("revision", dataset.revision, "schema_version", dataset.schema.version, "body", body),
        *("generation", dataset.generation, "count", dataset.count),
        *("next_position", dataset.next_position, "edits", dataset.edits),
        *("size_bytes", dataset.size_bytes, "created", _text(dataset.created)),
        *("updated", _text(dataset.updated)),
    ]
    stored = before.head.dataset
    if stored is None or stored.schema is not dataset.schema:
        words += ("schema", dump_schema(dataset.schema))
    return [("HSET", keys.meta, *words)]


def forget_entry(keys: Keys, before: Entry, dataset: Dataset) -> list[Command]:
    """Return the commands that leave only the counters of a deleted dataset."""
    gone = ("body", "generation", "count", "next_position", "edits", "size_bytes", "created", "updated")
    return [
        # First what takes no memory: Redis then runs the rest, too, where its memory is full.
        ("HDEL", keys.meta, *gone, "schema", "staged"),
        ("HSET", keys.meta, "revision", dataset.revision, "schema_version", before.head.schema_version),
    ]


def _text(moment: datetime | None) -> str:
    return moment.isoformat() if moment is not None else ""


def index_entry(key: str) -> bytes:
    """Return what stands for a key in the index and in its record."""
    encoded = key.encode()
    return encoded if len(encoded) <= LONGEST_KEY else hashlib.sha256(encoded).hexdigest().encode() + b"#"


def index_entries(keys: Sequence[str]) -> list[bytes]:
    """Return what stands for each key."""
    encoded = [key.encode() for key in keys]
    return encoded if max(map(len, encoded), default=0) <= LONGEST_KEY else list(map(index_entry, keys))


def index_part(entry: bytes) -> int:
    """Return the number of the part of the index that has an entry."""
    return zlib.crc32(entry) % INDEX_PARTS  # as `PendingIndex.add` does for many


def pack_row(record: bytes, entry: bytes | None) -> bytes:
    """Return a record as it is stored: with its key's entry behind a NUL, which no JSON holds unescaped."""
    return record if entry is None else record + b"\0" + entry


def pack_rows(records: Sequence[bytes], entries: Sequence[bytes]) -> list[bytes]:
    """Return records as they are stored, each with the entry of its key."""
    return list(map(b"\0".join, zip(records, entries, strict=True)))


def unpack_row(row: bytes) -> tuple[bytes, bytes | None]:
    """Return the record and its key's entry, None where it has no key."""
    record, nul, entry = row.partition(b"\0")
    return record, entry if nul else None


def group_of(position: int) -> int:
    """Return the group of a position."""
    return position // GROUP


def chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yield lists of at most `size` items."""
    source = iter(items)
    while chunk := list(islice(source, size)):
        yield chunk
