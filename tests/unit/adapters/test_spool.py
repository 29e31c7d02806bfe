"""A spool holds a body on disk while it is used: whole, inflated, counted, and gone afterwards."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import itertools
import os
import resource
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.spool import DiskSpool
from service.adapters.spool.disk import HOP_BYTES
from service.adapters.spool.inflate import inflaters
from service.adapters.spool.sink import Sink
from service.domain.errors import (
    AeroliteError,
    InvalidContent,
    OutOfSpace,
    StoreUnavailable,
    TooLarge,
    UnsupportedMedia,
)
from service.ports.spool import Spool, Upload
from tests.waiting import until

TEXT = b"name,id\nAachen,1\n" * 100
MIB = 1 << 20
Encode = Callable[[bytes], bytes]
zstd: Encode = zstandard.ZstdCompressor(write_checksum=True).compress
# A fixed time: what is a parameter of a test must be the same in each of its processes.
gz = partial(gzip.compress, mtime=0)

ENCODERS = {"gzip": gz, "zstd": zstd}


async def arriving(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Yield chunks as a connection does, with the loop turning between them."""
    for chunk in chunks:
        await asyncio.sleep(0)
        yield chunk


async def received(
    directory: Path, body: bytes, encoding: str | None = None, max_bytes: int = 10 * MIB, step: int = 1000
) -> tuple[Upload, bytes]:
    """Return an upload and the bytes of its file."""
    chunks = arriving(body[at : at + step] for at in range(0, len(body), step))
    spool: Spool = DiskSpool(directory)
    async with spool.receive(chunks, content_encoding=encoding, max_bytes=max_bytes) as upload:
        content = upload.path.read_bytes()
    assert not upload.path.exists()
    return upload, content


async def refused(
    directory: Path, body: bytes, encoding: str | None = None, max_bytes: int = 10 * MIB
) -> str:
    """Return the detail of the `InvalidContent` that a body is refused with; its file is gone."""
    with pytest.raises(InvalidContent) as caught:
        await received(directory, body, encoding, max_bytes)
    assert list(directory.iterdir()) == []
    return caught.value.detail


@pytest.mark.parametrize("size_bytes", [0, 1, HOP_BYTES - 1, HOP_BYTES, 3 * HOP_BYTES + 7])
async def test_a_body_is_a_file_while_it_is_used(tmp_path: Path, size_bytes: int) -> None:
    """The file has the bytes that came, their number and digest are known, and it is gone afterwards."""
    body = os.urandom(size_bytes)
    upload, content = await received(tmp_path, body, step=50_000)
    assert content == body
    assert (upload.size_bytes, upload.received_bytes) == (size_bytes, size_bytes)
    assert upload.sha256 == hashlib.sha256(body).hexdigest()
    assert list(tmp_path.iterdir()) == []


async def test_the_directory_is_made_when_it_is_needed(tmp_path: Path) -> None:
    """A spool directory that is not there yet is made."""
    assert (await received(tmp_path / "a" / "b", TEXT))[1] == TEXT


async def test_without_a_directory_the_system_s_is_used() -> None:
    """A spool without a directory writes where temporary files go."""
    async with DiskSpool().receive(arriving([TEXT]), content_encoding=None, max_bytes=MIB) as upload:
        assert upload.path.read_bytes() == TEXT
    assert not upload.path.exists()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gz(TEXT)),
        ("x-gzip", gz(TEXT)),
        (" GZip ", gz(TEXT)),
        ("gzip", gz(TEXT[:50]) + gz(b"") + gz(TEXT[50:])),
        ("gzip", gz(TEXT) + bytes(1000)),
        ("zstd", zstd(TEXT)),
        ("zstd", zstd(TEXT[:50]) + b"\x50\x2a\x4d\x18\x04\x00\x00\x00skip" + zstd(TEXT[50:])),
        ("gzip, zstd", zstd(gz(TEXT))),
        ("zstd,identity,, gzip", gz(zstd(TEXT))),
        ("identity", TEXT),
        ("", TEXT),
        (None, TEXT),
        (None, gz(TEXT)),
        (None, zstd(TEXT)),
    ],
)
@pytest.mark.parametrize("step", [1, 10_000])
async def test_encodings_are_undone(tmp_path: Path, encoding: str | None, body: bytes, step: int) -> None:
    """Gzip of several members, zstd of several frames and lists of encodings are inflated, however cut."""
    upload, content = await received(tmp_path, body, encoding, step=step)
    assert content == TEXT
    assert (upload.size_bytes, upload.received_bytes) == (len(TEXT), len(body))
    assert upload.sha256 == hashlib.sha256(TEXT).hexdigest()


async def test_identity_is_taken_at_its_word(tmp_path: Path) -> None:
    """A body that is said to be as it is stays as it is, even if it begins like gzip."""
    body = gz(TEXT)
    assert (await received(tmp_path, body, "identity"))[1] == body


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, br", "gzip;q=1", "gzip,gzip,gzip,gzip"])
async def test_an_unknown_encoding_is_refused_before_a_byte_is_read(tmp_path: Path, encoding: str) -> None:
    """An encoding that is not supported, or too many of them, is refused at once."""
    chunks = arriving([TEXT])
    with pytest.raises(UnsupportedMedia):
        async with DiskSpool(tmp_path).receive(chunks, content_encoding=encoding, max_bytes=MIB):
            raise AssertionError
    assert await anext(chunks) == TEXT


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("cut", [1, 4, 8, 30])
async def test_a_stream_that_is_cut_is_refused(tmp_path: Path, name: str, cut: int) -> None:
    """A stream without its last bytes is refused, even if only its trailer is missing."""
    body = ENCODERS[name](TEXT)
    assert "cut off" in await refused(tmp_path, body[:-cut], name)
    assert "cut off" in await refused(tmp_path, body + body[:-cut], name)


@pytest.mark.parametrize("name", ENCODERS)
async def test_nothing_is_no_compressed_stream(tmp_path: Path, name: str) -> None:
    """An empty body is not what an encoding says it is."""
    assert "cut off" in await refused(tmp_path, b"", name)
    assert "cut off" in await refused(tmp_path, ENCODERS[name](TEXT)[:3], name)


@pytest.mark.parametrize("name", ENCODERS)
async def test_garbage_behind_a_stream_is_refused(tmp_path: Path, name: str) -> None:
    """Bytes behind the end of a stream are no part of it, and not overlooked."""
    assert "damaged" in await refused(tmp_path, ENCODERS[name](TEXT) + b"garbage garbage", name)


@pytest.mark.parametrize("name", ENCODERS)
async def test_a_damaged_stream_is_refused(tmp_path: Path, name: str) -> None:
    """A flipped bit is found, in the data or in the checksum."""
    body = bytearray(ENCODERS[name](os.urandom(5000)))
    for at in (len(body) // 2, len(body) - 2):
        damaged = bytes(body[:at]) + bytes([body[at] ^ 0x10]) + bytes(body[at + 1 :])
        assert "damaged" in await refused(tmp_path, damaged, name)
    assert "damaged" in await refused(tmp_path, b"name,id\nAachen,1\n", name)


async def test_a_body_may_have_just_the_bytes_allowed(tmp_path: Path) -> None:
    """The limit itself is allowed, received and inflated; one byte more is too large."""
    for body, encoding in ((TEXT, None), (gz(TEXT), "gzip"), (zstd(TEXT), "zstd")):
        assert (await received(tmp_path, body, encoding, max_bytes=len(TEXT)))[1] == TEXT
        with pytest.raises(TooLarge):
            await received(tmp_path, body, encoding, max_bytes=len(TEXT) - 1)
    assert list(tmp_path.iterdir()) == []


async def test_a_body_that_is_too_large_is_not_read_on(tmp_path: Path) -> None:
    """What goes over the limit is refused at once: an endless body ends there."""
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in itertools.count():
            taken += 1
            yield bytes(1000)

    with pytest.raises(TooLarge):
        async with DiskSpool(tmp_path).receive(endless(), content_encoding=None, max_bytes=MIB):
            raise AssertionError
    assert taken == MIB // 1000 + 1
    assert list(tmp_path.iterdir()) == []


def zeros(compressor: Any, mebibytes: int) -> bytes:
    """Return that many MiB of zeros, compressed."""
    block = bytes(MIB)
    return b"".join([*(compressor.compress(block) for _ in range(mebibytes)), compressor.flush()])


def bomb(encoding: str) -> bytes:
    """Return a small body that inflates to 100 MiB or more."""
    if encoding == "zstd":
        return zeros(zstandard.ZstdCompressor(level=19).compressobj(), 1024)
    body = zeros(zlib.compressobj(wbits=16 + zlib.MAX_WBITS), 100)
    return body if encoding == "gzip" else ENCODERS[encoding.split(", ")[1]](body)


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "gzip, gzip", "gzip, zstd"])
async def test_a_bomb_is_stopped_at_the_limit(tmp_path: Path, encoding: str) -> None:
    """A few bytes that inflate to hundreds of MiB are stopped at the limit, and memory hardly grows."""
    body = bomb(encoding)
    assert len(body) < MIB
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge, match="inflates"):
            await received(tmp_path, body, encoding, max_bytes=10 * MIB, step=MIB)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 20 * MIB
    assert list(tmp_path.iterdir()) == []


async def test_a_bomb_between_encodings_is_stopped(tmp_path: Path) -> None:
    """Each encoding of a list has the limit, not only the last."""
    layers = gz(gz(os.urandom(MIB)) + bytes(100 * MIB))
    with pytest.raises(TooLarge):
        await received(tmp_path, layers, "gzip, gzip", max_bytes=2 * MIB)


async def test_a_window_beyond_the_standard_is_refused(tmp_path: Path) -> None:
    """A zstd frame that wants more than 8 MiB of memory (RFC 9659) does not get it."""
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    frame = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    assert "too much memory" in await refused(tmp_path, frame.compress(TEXT) + frame.flush(), "zstd")


async def test_many_tiny_members_cost_their_number(tmp_path: Path) -> None:
    """A body of thousands of gzip members is inflated without starting over for each."""
    member = gz(b"x")
    assert (await received(tmp_path, member * 20_000, "gzip", step=MIB))[1] == b"x" * 20_000


async def test_what_fails_while_it_is_used_takes_the_file_along(tmp_path: Path) -> None:
    """The file is gone however the context is left."""

    async def fail() -> None:
        async with DiskSpool(tmp_path).receive(arriving([TEXT]), content_encoding=None, max_bytes=MIB):
            assert len(list(tmp_path.iterdir())) == 1
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert list(tmp_path.iterdir()) == []


async def test_a_connection_that_breaks_takes_the_file_along(tmp_path: Path) -> None:
    """What the chunks raise comes through, and nothing stays."""

    async def breaking() -> AsyncIterator[bytes]:
        yield bytes(2 * HOP_BYTES)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        async with DiskSpool(tmp_path).receive(breaking(), content_encoding=None, max_bytes=MIB):
            raise AssertionError
    assert list(tmp_path.iterdir()) == []


async def test_a_cancelled_upload_takes_the_file_along(tmp_path: Path) -> None:
    """A task that is cancelled while it receives, again and again, leaves no file."""
    began = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield bytes(2 * HOP_BYTES)
        began.set()
        await asyncio.Event().wait()

    async def upload() -> None:
        async with DiskSpool(tmp_path).receive(stalling(), content_encoding=None, max_bytes=MIB):
            raise AssertionError

    task = asyncio.create_task(upload())
    await began.wait()
    assert len(list(tmp_path.iterdir())) == 1
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    assert task.cancelled()
    await until(lambda: not list(tmp_path.iterdir()))


def test_a_thread_that_comes_late_makes_no_file(tmp_path: Path) -> None:
    """A thread that writes or finishes after the upload was given up leaves nothing behind."""
    sink = Sink(tmp_path, None, MIB)
    sink.discard()
    for late in (sink.write, sink.finish):
        with pytest.raises(StoreUnavailable):
            late([TEXT])
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_gone_already_is_no_failure(tmp_path: Path) -> None:
    """Somebody may have emptied the directory meanwhile."""
    sink = Sink(tmp_path, None, MIB)
    upload = sink.finish([TEXT])
    upload.path.unlink()
    sink.discard()
    assert list(tmp_path.iterdir()) == []


async def test_a_full_disk_is_out_of_space(tmp_path: Path) -> None:
    """A write that the system has no room for is `OutOfSpace`, and nothing stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OutOfSpace):
            await received(tmp_path, bytes(MIB))
        with pytest.raises(OutOfSpace):
            await received(tmp_path, gz(bytes(MIB)), "gzip")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


async def test_a_directory_that_cannot_be_is_unavailable(tmp_path: Path) -> None:
    """A spool directory that is a file cannot be written to, and that is no fault of the client's."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable):
        await received(tmp_path / "file" / "spool", TEXT)


async def test_uploads_do_not_mix(tmp_path: Path) -> None:
    """Many uploads at once each get a file of their own."""
    bodies = [os.urandom(300_000) for _ in range(20)]
    found = await asyncio.gather(*(received(tmp_path, body) for body in bodies))
    assert [content for _, content in found] == bodies
    assert len({upload.path for upload, _ in found}) == 20


def inflated(data: bytes, encoding: str, cuts: Sequence[int]) -> bytes:
    """Return what a body inflates to, fed in pieces that end at the cuts."""
    (inflater,) = inflaters(encoding, MIB)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    parts = [part for a, b in itertools.pairwise(edges) for part in inflater.feed(data[a:b])]
    inflater.finish()
    return b"".join(parts)


@given(
    st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.sampled_from(sorted(ENCODERS)), st.data()
)
def test_any_stream_inflates_however_it_is_cut(parts: list[bytes], name: str, data: st.DataObject) -> None:
    """Several members or frames, cut anywhere, inflate to the bytes that were compressed."""
    cuts = data.draw(st.lists(st.integers(0, 2000), max_size=4))
    assert inflated(b"".join(map(ENCODERS[name], parts)), name, cuts) == b"".join(parts)


@given(st.binary(max_size=200), st.sampled_from(sorted(ENCODERS)), st.data())
def test_any_damage_is_found_or_harmless(content: bytes, name: str, data: st.DataObject) -> None:
    """A stream with a byte changed is refused, or what comes out is still what went in."""
    body = bytearray(ENCODERS[name](content))
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= data.draw(st.integers(1, 255))
    try:
        found = inflated(bytes(body), name, [])
    except AeroliteError:
        return
    assert found == content


def test_gzip_is_told_from_zlib() -> None:
    """Only gzip is gzip: the format of `deflate` is another."""
    with pytest.raises(InvalidContent):
        inflated(zlib.compress(TEXT), "gzip", [])
