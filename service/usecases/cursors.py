"""Cursors: opaque to clients, bound to a generation of records, a view and a sort."""

from __future__ import annotations

import base64
import binascii

import msgspec

from service.domain.errors import InvalidCursor

MAX_CURSOR_CHARS = 4096


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: behind `position` in `generation`, seen through `view` (its fingerprint)."""

    generation: int
    position: int
    view: str = ""


def encode(cursor: Cursor) -> str:
    """Return the cursor as URL-safe text."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(cursor)).rstrip(b"=").decode("ascii")


def decode(text: str) -> Cursor:
    """Return the cursor that `encode` wrote. Raises `InvalidCursor`."""
    if len(text) > MAX_CURSOR_CHARS:
        raise _invalid()
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        cursor = msgspec.msgpack.decode(base64.b64decode(padded, b"-_", validate=True), type=Cursor)
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise _invalid() from None
    if cursor.generation < 0 or not 0 <= cursor.position < 1 << 62:
        raise _invalid()
    return cursor


def _invalid() -> InvalidCursor:
    return InvalidCursor("after", "Use the cursor of `next` as it was given.")
