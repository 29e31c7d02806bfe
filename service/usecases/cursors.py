"""Cursors: opaque to clients, bound to a generation of records, a view and a sort."""

from __future__ import annotations

import base64
import binascii
from typing import TypeAlias

import msgspec

from service.domain.errors import InvalidCursor

MAX_CURSOR_CHARS = 4096
_MAX_KEY_BYTES = 1024
"""Longer sort keys are left out, so that a link stays short: the record itself tells them."""

Key: TypeAlias = str | int | float | bool | None


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: behind `position` in `generation`.

    `view` is the fingerprint of view, sort and filters, `keys` what the last record was sorted by (None: not
    kept).
    """

    generation: int
    position: int
    view: str = ""
    keys: tuple[Key, ...] | None = ()


def encode(cursor: Cursor) -> str:
    """Return the cursor as URL-safe text."""
    place: list[object] = [cursor.generation, cursor.position, cursor.view]
    if cursor.keys != ():
        short = len(msgspec.msgpack.encode(cursor.keys)) <= _MAX_KEY_BYTES
        place.append(cursor.keys if short else None)
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(place)).rstrip(b"=").decode("ascii")


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
