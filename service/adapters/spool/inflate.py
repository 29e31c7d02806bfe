"""Inflating gzip and zstd piece by piece: nothing grows without being counted, no cut stream looks whole."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

import zstandard

from service.domain.errors import InvalidContent, TooLarge, UnsupportedMedia

SUPPORTED = "gzip, zstd"

_MAX_ENCODINGS = 3
_OUTPUT_BYTES = 1 << 20

# A zstd block of 4 bytes may stand for 128 KiB (RFC 8878, section 3.1.1.2), and the library has no bound on
# what one call returns: so few bytes at a time that it is 8 MiB at most.
_ZSTD_STEP_BYTES = 256

# RFC 9659: the largest window that the content encoding zstd may ask for.
_ZSTD_MAX_WINDOW_BYTES = 8 << 20

# What a member or frame leaves over is copied for the next: a body of tiny ones must not cost the square.
_GZIP_STEP_BYTES = 8 << 10

_GZIP_MAGIC = b"\x1f\x8b\x08"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Inflater(Protocol):
    """Undoes one encoding."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what the next bytes inflate to. Raises `InvalidContent`."""
        ...

    def finish(self) -> None:
        """Raise `InvalidContent` unless the stream has come to its end."""
        ...


class Gunzip:
    """Inflates gzip (RFC 1952), of one member or several; zeros behind the last are padding."""

    def __init__(self) -> None:
        self._member = _member()
        self._within = False
        self._ended = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield at most 1 MiB at a time."""
        for at in range(0, len(data), _GZIP_STEP_BYTES):
            yield from self._step(data[at : at + _GZIP_STEP_BYTES])

    def _step(self, data: bytes) -> Iterator[bytes]:
        while data:
            if not self._within:
                data = data.lstrip(b"\0") if self._ended else data
                if not data:
                    return
                self._member, self._within = _member(), True
            try:
                inflated = self._member.decompress(data, _OUTPUT_BYTES)
            except zlib.error as error:
                raise _damaged("gzip", error) from None
            if inflated:
                yield inflated
            data = self._member.unconsumed_tail
            if self._member.eof:
                data, self._within, self._ended = self._member.unused_data, False, True

    def finish(self) -> None:
        """Raise unless a member, and the last one whole, was there."""
        if self._within or not self._ended:
            raise _cut("gzip")


def _member() -> zlib._Decompress:
    return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)


class Unzstd:
    """Inflates zstd (RFC 8878), of one frame or several."""

    def __init__(self) -> None:
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_MAX_WINDOW_BYTES)
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._ended = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield at most 8 MiB at a time."""
        for at in range(0, len(data), _ZSTD_STEP_BYTES):
            yield from self._step(data[at : at + _ZSTD_STEP_BYTES])

    def _step(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._frame is None:
                self._frame = self._decompressor.decompressobj()
            try:
                inflated = self._frame.decompress(data)
            except zstandard.ZstdError as error:
                raise _damaged("zstd", error) from None
            if inflated:
                yield inflated
            data = self._frame.unused_data
            if self._frame.eof:
                self._frame, self._ended = None, True

    def finish(self) -> None:
        """Raise unless a frame, and the last one whole, was there."""
        if self._frame is not None or not self._ended:
            raise _cut("zstd")


class Bounded:
    """Counts what another inflater yields and stops it at `max_bytes`."""

    def __init__(self, inner: Inflater, max_bytes: int) -> None:
        self._inner = inner
        self._left_bytes = max_bytes
        self._max_bytes = max_bytes

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what the inner one yields. Raises `TooLarge` too."""
        for inflated in self._inner.feed(data):
            self._left_bytes -= len(inflated)
            if self._left_bytes < 0:
                raise TooLarge(f"The body inflates to more than {self._max_bytes} bytes.")
            yield inflated

    def finish(self) -> None:
        """Raise what the inner one raises."""
        self._inner.finish()


_INFLATERS: dict[str, type[Gunzip | Unzstd]] = {"gzip": Gunzip, "x-gzip": Gunzip, "zstd": Unzstd}


def inflaters(content_encoding: str, max_bytes: int) -> list[Inflater]:
    """Return what undoes a Content-Encoding, in the order of undoing. Raises `UnsupportedMedia`."""
    names = [name for part in content_encoding.split(",") if (name := part.strip().lower())]
    for name in names:
        if name != "identity" and name not in _INFLATERS:
            raise UnsupportedMedia(f"The encoding {name[:40]!r} is not supported; use one of {SUPPORTED}.")
    applied = [name for name in names if name != "identity"]
    if len(applied) > _MAX_ENCODINGS:
        raise UnsupportedMedia(f"A body may be encoded {_MAX_ENCODINGS} times at most.")
    return [Bounded(_INFLATERS[name](), max_bytes) for name in reversed(applied)]


def recognised(head: bytes) -> str:
    """Return the encoding that the first bytes of a body give away, or `identity`."""
    if head.startswith(_GZIP_MAGIC):
        return "gzip"
    return "zstd" if head.startswith(_ZSTD_MAGIC) else "identity"


def _damaged(name: str, error: Exception) -> InvalidContent:
    return InvalidContent(f"The {name} stream is damaged: {error}.")


def _cut(name: str) -> InvalidContent:
    return InvalidContent(f"The {name} stream is cut off before its end.")
