"""Documents in Redis: a hash each, and two sorted sets for each kind, by id and by expiry.

{doc:kind}:d:<id>   HASH   version, tag, body, expires_ms; a document of counters has `+name` instead of body
{doc:kind}:index    ZSET   `i NUL id` and `t tag NUL id`, all of score 0: in the order of their bytes
{doc:kind}:expiry   ZSET   id, by the time in ms
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from service.adapters.codec import dump_body, load_body
from service.adapters.redis.autopipeline import AutoPipeline
from service.adapters.redis.connections import Wire
from service.adapters.redis.scripts import COUNT, RESTORE_DOCUMENT, WRITE_DOCUMENT, Command, Word
from service.adapters.redis.writing import milliseconds
from service.ports.clock import Clock
from service.ports.storage import Document

Ids = list[str]  # a name of its own: in the class, `list` is a method

_READ_AT_ONCE = 100
_SWEPT_AT_ONCE = 64
_SMALL_BYTES = 16_384
"""A larger document is written by itself, for it takes as long as many."""


class RedisDocuments:
    """Small JSON documents in Redis."""

    def __init__(self, wire: Wire, pipeline: AutoPipeline, clock: Clock, prefix: str) -> None:
        self._wire = wire
        self._pipeline = pipeline
        self._clock = clock
        self._prefix = prefix
        self._kinds_key = f"{prefix}:kinds"
        self._noted: set[str] = set()

    async def get(self, kind: str, id: str) -> Document | None:
        """Return the document, or None."""
        return self._read(id, await self._pipeline.ask(kind, ("HGETALL", self._key(kind, f"d:{id}"))))

    async def create(
        self,
        kind: str,
        id: str,
        body: dict[str, Any],
        *,
        tag: str = "",
        expires: datetime | None = None,
    ) -> Document | None:
        """Store a document unless the id is taken."""
        return await self._write(kind, id, body, "0", tag, expires)

    async def update(
        self,
        kind: str,
        id: str,
        body: dict[str, Any],
        *,
        version: int,
        tag: str = "",
        expires: datetime | None = None,
    ) -> Document | None:
        """Change a document that still has this version."""
        return await self._write(kind, id, body, version, tag, expires)

    async def remove(self, kind: str, id: str, *, version: int | None = None) -> bool:
        """Remove a document."""
        expected: Word = "" if version is None else version
        return bool(await self._pipeline.ask(kind, self._writing(kind, id, expected), commits=True))

    async def list(
        self,
        kind: str,
        *,
        tag: str | None = None,
        after: str = "",
        limit: int = 1000,
        newest_first: bool = False,
    ) -> Sequence[Document]:
        """Return documents of a kind, sorted by id."""
        documents: list[Document] = []
        while len(documents) < limit:
            wanted = min(_READ_AT_ONCE, limit - len(documents))
            ids = await self._ids(kind, tag, after, wanted, newest_first=newest_first)
            documents += [one for one in await self._read_all(kind, ids) if tag in {None, one.tag}]
            if len(ids) < wanted:
                break
            after = ids[-1]
        return documents

    async def add(self, kind: str, id: str, amounts: dict[str, int]) -> None:
        """Add to the numeric members of a document of counters."""
        await self._note(kind)
        words = [word for member in amounts.items() for word in member]
        counting = COUNT.call([self._key(kind, f"d:{id}"), self._key(kind, "index")], [id, *words])
        await self._pipeline.ask(kind, counting, commits=True)

    async def kinds(self) -> Sequence[str]:
        """Return every kind that has documents."""
        return sorted(kind.decode() for kind in await self._wire.call("SMEMBERS", self._kinds_key))

    async def restore(self, kind: str, documents: Sequence[Document]) -> None:
        """Store documents as they are elsewhere, each in one step."""
        await self._note(kind)
        commands = [self._restoration(kind, document) for document in documents]
        if commands:
            await self._wire.run(commands, commits=True)

    async def sweep(self, now: datetime) -> int:
        """Remove expired documents; return how many."""
        removed = 0
        for kind in await self.kinds():
            expiry = self._key(kind, "expiry")
            limits = ("-inf", milliseconds(now), "LIMIT", 0, _SWEPT_AT_ONCE)
            while ids := await self._wire.call("ZRANGEBYSCORE", expiry, *limits):
                removals = [self._writing(kind, id_.decode(), "expired", now=now) for id_ in ids]
                removed += sum(await self._wire.run(removals, commits=True))
        return removed

    async def _write(
        self,
        kind: str,
        id: str,
        body: dict[str, Any],
        expected: Word,
        tag: str,
        expires: datetime | None,
    ) -> Document | None:
        stored = dump_body(body)
        expires_ms: Word = "" if expires is None else milliseconds(expires)
        commands = [self._writing(kind, id, expected, tag, expires_ms, stored)]
        if expires is not None and self._wire.single:
            commands.insert(0, self._noting(kind))
        else:
            await self._note(kind, anew=expires is not None)
        if len(stored) <= _SMALL_BYTES:
            version = await self._pipeline.ask(kind, *commands, commits=True)
        else:
            version = (await self._wire.run(commands, commits=True))[-1]
        return Document(id, load_body(stored), version, tag, expires) if version else None

    async def _note(self, kind: str, *, anew: bool = False) -> None:
        """List a kind, in a key of another slot: for the sweep each time, lest that was lost."""
        if anew or kind not in self._noted:
            await self._wire.run([self._noting(kind)])
            self._noted.add(kind)

    def _noting(self, kind: str) -> Command:
        return ("SADD", self._kinds_key, kind)

    def _restoration(self, kind: str, document: Document) -> Command:
        keys = [self._key(kind, f"d:{document.id}"), self._key(kind, "index"), self._key(kind, "expiry")]
        expires_ms: Word = "" if document.expires is None else milliseconds(document.expires)
        fields: list[Word] = ["version", document.version, "tag", document.tag]
        if _countable(document):
            fields += [word for name, value in document.body.items() for word in (f"+{name}", value)]
        else:
            fields += ["body", dump_body(document.body), "expires_ms", expires_ms]
        return RESTORE_DOCUMENT.call(keys, [document.id, document.tag, expires_ms, *fields])

    def _writing(
        self,
        kind: str,
        id: str,
        expected: Word,
        tag: str = "",
        expires_ms: Word = "",
        *body: bytes,
        now: datetime | None = None,
    ) -> Command:
        keys = [self._key(kind, f"d:{id}"), self._key(kind, "index"), self._key(kind, "expiry")]
        now_ms = milliseconds(now or self._clock.now())
        return WRITE_DOCUMENT.call(keys, [expected, now_ms, id, tag, expires_ms, *body])

    async def _ids(self, kind: str, tag: str | None, after: str, limit: int, *, newest_first: bool) -> Ids:
        prefix = "i" if tag is None else f"t{tag}"
        first, last = f"[{prefix}\0", f"({prefix}\1"
        index, page = self._key(kind, "index"), ("LIMIT", 0, limit)
        if newest_first:
            last = f"({prefix}\0{after}" if after else last
            found = await self._wire.call("ZREVRANGEBYLEX", index, last, first, *page)
        else:
            first = f"({prefix}\0{after}" if after else first
            found = await self._wire.call("ZRANGEBYLEX", index, first, last, *page)
        return [member.rpartition(b"\0")[2].decode() for member in found]

    async def _read_all(self, kind: str, ids: Sequence[str]) -> Sequence[Document]:
        """Return those that are there: between the list and this some may have gone."""
        questions: Sequence[Command] = [("HGETALL", self._key(kind, f"d:{one}")) for one in ids]
        answers = await self._wire.run(questions) if questions else []
        found = [self._read(one, flat) for one, flat in zip(ids, answers, strict=True)]
        return [document for document in found if document is not None]

    def _read(self, id: str, flat: Sequence[bytes]) -> Document | None:
        stored = dict(zip(flat[::2], flat[1::2], strict=True))
        if not stored:
            return None
        version, tag = int(stored[b"version"]), stored.get(b"tag", b"").decode()
        if b"body" not in stored:
            return Document(id, _counters(stored), version, tag)
        expires_ms = stored[b"expires_ms"]
        if expires_ms and int(expires_ms) <= milliseconds(self._clock.now()):
            return None
        expires = datetime.fromtimestamp(int(expires_ms) / 1000, UTC) if expires_ms else None
        return Document(id, load_body(stored[b"body"]), version, tag, expires)

    def _key(self, kind: str, part: str) -> str:
        return f"{self._prefix}:{{doc:{kind}}}:{part}"


def _countable(document: Document) -> bool:
    """Tell whether a document may be one of counters: stored as such it reads the same, and can count."""
    values = document.body.values()
    numbers = all(type(value) is int and abs(value) < 1 << 63 for value in values)
    return bool(values) and numbers and document.expires is None


def _counters(stored: dict[bytes, bytes]) -> dict[str, int]:
    return {name[1:].decode(): int(value) for name, value in stored.items() if name.startswith(b"+")}
