"""From a migrated reply to bytes: JSON around records, other formats of records, gzip."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import msgspec

from service.contracts.messages import Document, Record, Records, Text
from service.contracts.schemas import CSV, JSON, NDJSON
from service.formats.encoding import CsvOut, Encoder, JsonArray, Ndjson
from service.formats.shape import Shape
from service.http.answers import Answer
from service.usecases.batches import closing

_INLINE_RECORDS = 500
"""More records than this are encoded in a thread: 500 take about a millisecond."""

_INLINE_GZIP_BYTES = 32 << 10
MIN_GZIP_BYTES = 1024
NEVER_GZIPPED = frozenset({"text/event-stream"})
"""What must arrive as it is sent."""

GZIP_LEVEL = 5

_WBITS_GZIP = 16 + zlib.MAX_WBITS

_PARAMETERS = {
    JSON: JSON,
    NDJSON: NDJSON,
    CSV: "text/csv; charset=utf-8; header=present",
}


@dataclass(frozen=True, slots=True)
class Rendered:
    """A body ready to be sent: whole (`body`) or as chunks."""

    media_type: str
    body: bytes | None
    chunks: AsyncIterator[bytes] | None = None


async def render(answer: Answer, *, typed: bool) -> Rendered:
    """Encode an answer whose reply has been migrated; `typed` applies the types of its columns."""
    if answer.chunks is not None:
        return Rendered(answer.media_type or JSON, None, answer.chunks)
    body = answer.reply.body
    if body is None:
        return Rendered("", b"")
    if isinstance(body, Text):
        return Rendered(answer.media_type or "text/plain; charset=utf-8", body.text.encode())
    if isinstance(body, Document):
        return Rendered(JSON, encode_json(body.value))
    if isinstance(body, Record):
        shape = None if answer.view is None else answer.view.shape(typed=typed)
        return Rendered(JSON, body.record if shape is None else shape([body.record])[0])
    return await _records(answer, body, typed=typed)


def encode_json(value: object) -> bytes:
    """Return a small JSON document."""
    return msgspec.json.encode(value)


async def _records(answer: Answer, body: Records, *, typed: bool) -> Rendered:
    assert answer.page is not None  # noqa: S101 - resources answer records with their page
    media_type = answer.media_type or JSON
    if answer.file is not None:
        return Rendered(media_type, None, answer.file(typed=typed))
    encoder = _encoder(media_type, body, [column.name for column in answer.columns], answer.fields)
    shape = None if answer.view is None else answer.view.shape(typed=typed, fields=answer.fields)
    encode = _encode_batch(encoder, shape)
    content_type = _PARAMETERS[media_type]
    records = answer.page.records
    if records is None:
        assert answer.page.batches is not None  # noqa: S101 - a page has the one or the other
        return Rendered(content_type, None, _chunks(encoder, encode, answer.page.batches))
    if len(records) > _INLINE_RECORDS:
        middle = await asyncio.to_thread(encode, records, True)
    else:
        middle = encode(records, True)
    return Rendered(content_type, encoder.prologue() + middle + encoder.epilogue())


def _encode_batch(encoder: Encoder, shape: Shape | None) -> Callable[[Sequence[bytes], bool], bytes]:
    if shape is None:
        return encoder.chunk
    if isinstance(encoder, JsonArray):
        return lambda records, first: encoder.joined(shape.joined(records), first)
    return lambda records, first: encoder.chunk(shape(records), first)


async def _chunks(
    encoder: Encoder,
    encode: Callable[[Sequence[bytes], bool], bytes],
    batches: AsyncIterator[Sequence[bytes]],
) -> AsyncIterator[bytes]:
    pending, first = encoder.prologue(), True
    async with closing(batches):
        async for records in batches:
            if records:
                yield pending + await asyncio.to_thread(encode, records, first)
                pending, first = b"", False
    yield pending + encoder.epilogue()


def _encoder(media_type: str, body: Records, columns: Sequence[str], fields: Sequence[str] | None) -> Encoder:
    if media_type == NDJSON:
        return Ndjson()
    if media_type == CSV:
        return CsvOut(columns if fields is None else fields)
    if body.slot is None:
        return JsonArray()
    return Enveloped(body.members, body.slot, body.tail)


class Enveloped(JsonArray):
    """A JSON array within an object."""

    def __init__(self, members: dict[str, object], slot: str, tail: dict[str, object]) -> None:
        self._before = msgspec.json.encode({**members, slot: []})[:-2]
        after = msgspec.json.encode(tail)[1:]
        self._after = b"]," + after if tail else b"]}"

    def prologue(self) -> bytes:
        """Return everything before the first record."""
        return self._before

    def epilogue(self) -> bytes:
        """Return everything behind the last record."""
        return self._after


async def gzipped(body: bytes) -> bytes:
    """Return a body compressed; the same bytes give the same bytes."""
    if len(body) > _INLINE_GZIP_BYTES:
        return await asyncio.to_thread(_gzip, body)
    return _gzip(body)


async def gzipped_chunks(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield chunks compressed as one stream."""
    compressor = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _WBITS_GZIP)
    async with closing(chunks):
        async for chunk in chunks:
            yield await asyncio.to_thread(compressor.compress, chunk)
    yield compressor.flush()


def _gzip(body: bytes) -> bytes:
    compressor = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _WBITS_GZIP)
    return compressor.compress(body) + compressor.flush()
