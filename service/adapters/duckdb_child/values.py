"""What DuckDB's client makes of values, as JSON values."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from service.adapters.duckdb_child.messages import exact

_MIN, _MAX = -(1 << 63), (1 << 64) - 1
"""What MessagePack, and JSON as we write it, have integers for."""


def as_json(value: Any) -> Any:
    """Return a value as JSON has it.

    Numbers are exact; NaN and infinities null; dates and times as ISO 8601 writes them; bytes in Base64;
    lists, structs and maps arrays and objects; all else the text that it has.
    """
    convert = _CONVERTERS.get(type(value))
    return str(value) if convert is None else convert(value)


def _same(value: Any) -> Any:
    return value


def _integer(value: int) -> Any:
    return value if _MIN <= value <= _MAX else exact(value)


def _double(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _decimal(value: Decimal) -> Any:
    return exact(value) if value.is_finite() else None


def _iso(value: date | datetime | time) -> str:
    return value.isoformat()


def _bytes(value: bytes | bytearray) -> str:
    return b64encode(value).decode()


def _array(value: Sequence[Any]) -> list[Any]:
    return [as_json(each) for each in value]


def _object(value: dict[Any, Any]) -> dict[str, Any]:
    return {key if isinstance(key, str) else str(as_json(key)): as_json(each) for key, each in value.items()}


def _interval(value: timedelta) -> str:
    """Return an interval as ISO 8601 writes durations; DuckDB's client has counted a month as 30 days."""
    if not value:
        return "PT0S"
    seconds = Decimal(value.seconds) + Decimal(value.microseconds).scaleb(-6)
    days = f"{value.days}D" if value.days else ""
    clock = f"T{seconds:f}S" if seconds else ""
    return f"P{days}{clock}"


_CONVERTERS: dict[type, Callable[[Any], Any]] = {
    type(None): _same,
    bool: _same,
    str: _same,
    int: _integer,
    float: _double,
    Decimal: _decimal,
    date: _iso,
    datetime: _iso,
    time: _iso,
    timedelta: _interval,
    UUID: str,
    bytes: _bytes,
    bytearray: _bytes,
    list: _array,
    tuple: _array,
    dict: _object,
}
