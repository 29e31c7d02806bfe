"""Rows of SQL as records: JSON objects, one for each row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

_encode = msgspec.json.Encoder(decimal_format="number").encode


def records_of(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[bytes]:
    """Return each row as a record; decimals and integers of any size keep their digits, blobs are base64."""
    return [_encode(dict(zip(columns, row, strict=True))) for row in rows]
