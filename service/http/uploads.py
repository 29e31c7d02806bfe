"""Bodies on their way in: what they are, how many at once, and how long they may stall."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError

from service.contracts.messages import Query
from service.domain.errors import (
    Busy,
    InvalidContent,
    InvalidParameter,
    TooLarge,
    UnsupportedMedia,
    UploadStalled,
)
from service.formats.reading import InputFormat
from service.http import parameters
from service.http.answers import Ask
from service.http.observe import Metrics
from service.ports.clock import Clock
from service.ports.spool import Spool
from service.ports.storage import Guard, Idempotency
from service.usecases.loading import LoadOptions, Source

IDEMPOTENCY_KEPT = timedelta(hours=24)
MAX_IDEMPOTENCY_KEY_CHARS = 255
STALL_TIMEOUT_S = 60.0
MAX_RECORD_BYTES = 32 << 20
SMALL_BYTES = 64 << 10
"""A body that says it is no longer does not count as an upload."""

_FORMATS: dict[str, tuple[InputFormat | None, str | None]] = {
    "text/csv": (InputFormat.CSV, None),
    "text/tab-separated-values": (InputFormat.CSV, "\t"),
    "application/json": (InputFormat.JSON, None),
    "application/x-ndjson": (InputFormat.NDJSON, None),
    "application/ndjson": (InputFormat.NDJSON, None),
    "application/jsonl": (InputFormat.NDJSON, None),
    # What follows says nothing of the content (the third is what curl sends by itself): the bytes tell.
    "": (None, None),
    "application/octet-stream": (None, None),
    "application/x-www-form-urlencoded": (None, None),
    "text/plain": (None, None),
    "application/gzip": (None, None),
    "application/x-gzip": (None, None),
    "application/zstd": (None, None),
}
ACCEPTED = "text/csv, application/json, application/x-ndjson"
ENCODINGS = "gzip, zstd"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A body to be loaded, and the guard of the write."""

    source: Source
    guard: Guard
    base: LoadOptions

    def options(self, **more: Any) -> LoadOptions:
        """Return how to read it, with what the operation adds."""
        return replace(self.base, **more)


class Uploads:
    """Admits bodies, at most `max_uploads` at a time."""

    def __init__(
        self, spool: Spool, clock: Clock, metrics: Metrics, *, max_uploads: int, max_bytes: int
    ) -> None:
        self._spool = spool
        self._clock = clock
        self._metrics = metrics
        self._max_uploads = max_uploads
        self._max_bytes = max_bytes
        self._under_way = 0

    @asynccontextmanager
    async def receive(self, ask: Ask, guard: Guard) -> AsyncIterator[Incoming]:
        """Admit a file.

        Raises `Busy`, `TooLarge`, `UnsupportedMedia`, `InvalidParameter`; while it is read `UploadStalled`,
        `InvalidContent`.
        """
        form, delimiter = _format_of(ask.request)
        incoming = Incoming(
            source=self._source(ask.request),
            guard=replace(guard, idempotency=self._idempotency(ask)),
            base=LoadOptions(
                format=form,
                delimiter=_delimiter(ask.query) or delimiter,
                key=ask.query.parameters.get("key"),
                types=parameters.types(ask.query),
                skip_errors=parameters.choice(ask.query, "on_error", ("fail", "skip")) == "skip",
                day=ask.day,
            ),
        )
        if _is_small(ask.request):
            yield incoming
            return
        if self._under_way >= self._max_uploads:
            raise Busy(f"{self._max_uploads} uploads are under way; try again in a moment.")
        self._under_way += 1
        self._metrics.uploads.inc()
        try:
            yield incoming
        finally:
            self._under_way -= 1
            self._metrics.uploads.dec()

    async def small_json(self, ask: Ask) -> bytes:
        """Return a whole body that is one JSON value. Raises what `receive` raises."""
        media_type = ask.request.content_type if "Content-Type" in ask.request.headers else ""
        if not (media_type in _FORMATS or media_type.endswith("+json")) or media_type == "text/csv":
            raise UnsupportedMedia(f"Send application/json, not {media_type[:100]!r}.")
        return await self.whole(ask, MAX_RECORD_BYTES)

    async def whole(self, ask: Ask, max_bytes: int) -> bytes:
        """Return a whole body, inflated. Raises what `receive` raises."""
        source = self._source(ask.request)
        if _is_small(ask.request) and source.content_encoding is None:
            return b"".join([chunk async for chunk in source.chunks])
        async with self._spool.receive(
            source.chunks,
            content_encoding=source.content_encoding,
            max_bytes=min(self._max_bytes, max_bytes),
        ) as upload:
            return await asyncio.to_thread(upload.path.read_bytes)

    def _source(self, request: web.Request) -> Source:
        length = request.content_length
        if length is not None and length > self._max_bytes:
            raise TooLarge(f"A body has at most {self._max_bytes} bytes; this one has {length}.")
        return Source(_chunks(request), request.headers.get("Content-Encoding"))

    def _idempotency(self, ask: Ask) -> Idempotency | None:
        sent = ask.request.headers.get("Idempotency-Key")
        if sent is None:
            return None
        if not 0 < len(sent) <= MAX_IDEMPOTENCY_KEY_CHARS:
            raise InvalidParameter("Idempotency-Key", "An Idempotency-Key is 1 to 255 characters long.")
        request = ask.request
        key = _digest(ask.caller.key_id or "", request.method, request.path, sent)
        fingerprint = _digest(*(part for pair in sorted(ask.shown) for part in pair))
        return Idempotency(key, fingerprint, self._clock.now() + IDEMPOTENCY_KEPT)


async def _chunks(request: web.Request) -> AsyncIterator[bytes]:
    chunks = request.content.iter_any()
    while True:
        try:
            async with asyncio.timeout(STALL_TIMEOUT_S):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise UploadStalled(f"Nothing of the body came for {STALL_TIMEOUT_S:.0f} s.") from None
        except (ClientPayloadError, HttpProcessingError, ConnectionError):
            raise InvalidContent("The body was cut off on its way.") from None
        if chunk is None:
            return
        yield chunk


def _is_small(request: web.Request) -> bool:
    """Return whether a body takes so little room that it need not be counted."""
    length = request.content_length
    return not request.can_read_body or (length is not None and length <= SMALL_BYTES)


def _format_of(request: web.Request) -> tuple[InputFormat | None, str | None]:
    media_type = request.content_type.lower() if "Content-Type" in request.headers else ""
    if media_type not in _FORMATS:
        raise UnsupportedMedia(f"{media_type[:100]!r} cannot be loaded; send one of {ACCEPTED}.")
    return _FORMATS[media_type]


def _delimiter(query: Query) -> str | None:
    sent = query.parameters.get("delimiter")
    return "\t" if sent in {"tab", "\\t"} else sent


def _digest(*parts: str) -> str:
    hasher = hashlib.sha256()
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        hasher.update(b"%d:" % len(encoded) + encoded)
    return hasher.hexdigest()
