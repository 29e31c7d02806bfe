"""An answer whose head was serialised when it was cached: what is sent again is not built again.

aiohttp builds a header block for each response, which costs more than everything else that a hit needs.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import formatdate

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web import BaseRequest

SERVER = "aerolite"


class Prebuilt(web.StreamResponse):
    """A whole answer, written in one piece.

    For HTTP/1.1 requests that keep their connection (`fits`); all others take an ordinary response.
    """

    def __init__(self, status: int, head: bytes, body: bytes) -> None:
        super().__init__(status=status)
        self._whole = b"".join((head, body))

    @staticmethod
    def fits(request: BaseRequest) -> bool:
        """Return whether the request can be answered so."""
        return request.keep_alive and request.version == HttpVersion11

    @property
    def keep_alive(self) -> bool:
        """The connection goes on."""
        return True

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Write it. Raises `ConnectionResetError` where the client has gone."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("The client has gone.")
        transport.write(self._whole)
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: it was written whole."""


def head_of(status: int, reason: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return the part of a head that is the same each time, but for the empty line at its end."""
    lines = [f"HTTP/1.1 {status} {reason}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("ascii") + b"\r\n"


class HttpDate:
    """The time as a `Date` header has it (RFC 9110, section 5.6.7), made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def now(self) -> str:
        """Return the date."""
        second = int(time.time())
        if second != self._second:
            self._second, self._text = second, formatdate(second, usegmt=True)
        return self._text
