"""How a column is kept: which SQL type stands for which values, how text becomes one, and back again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec

from service.domain.columns import Column, ColumnType

MIN_BIGINT, MAX_BIGINT = -(1 << 63), (1 << 63) - 1
_MAX_DOUBLE = 1.7976931348623157e308
_COMPLEMENT = str.maketrans("0123456789", "9876543210")

_SQL_TYPES = {
    ColumnType.INTEGER: "BIGINT",
    ColumnType.NUMBER: "DOUBLE",
    ColumnType.BOOLEAN: "BOOLEAN",
    ColumnType.DATE: "DATE",
    ColumnType.TIMESTAMP: "BIGINT",  # microseconds since 1970 UTC
}


@dataclass(frozen=True, slots=True)
class Stored:
    """A column as the table has it: the dataset's, its name in SQL, and whether its integers are `wide`.

    Integers that 64 bits cannot hold are kept as text that sorts as the numbers do (`wide_key`).
    """

    column: Column
    sql: str
    wide: bool = False

    @property
    def sql_type(self) -> str:
        """The type of the column in SQL."""
        return sql_type(self.column.type, wide=self.wide)


def sql_type(kind: ColumnType, *, wide: bool = False) -> str:
    """Return the SQL type that holds values of a type."""
    return "VARCHAR" if wide else _SQL_TYPES.get(kind, "VARCHAR")


def pointer(name: str) -> str:
    """Return the JSON pointer (RFC 6901) to a member."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def filled(text: str, *, textual: bool) -> str:
    """Return SQL of a text, null where it is an empty cell."""
    return f"nullif({text}, '')" if textual else text


def from_text(text: str, kind: ColumnType, *, wide: bool = False, strict: bool = False) -> str:
    """Return SQL that makes a value of its text; `strict` fails on an integer beyond 64 bits."""
    match kind:
        case ColumnType.INTEGER if wide:
            return _wide_sql(text)
        case ColumnType.INTEGER:
            return f"CAST({text} AS BIGINT)" if strict else f"TRY_CAST({text} AS BIGINT)"
        case ColumnType.NUMBER | ColumnType.BOOLEAN | ColumnType.DATE:
            return f"TRY_CAST({text} AS {_SQL_TYPES[kind]})"
        case ColumnType.TIMESTAMP:
            # DuckDB takes nanoseconds and no more digits.
            digits = rf"regexp_replace({text}, '(\.[0-9]{{6}})[0-9]+', '\1')"
            return f"epoch_us(TRY_CAST({digits} AS TIMESTAMPTZ))"
        case _:
            return text


def _wide_sql(text: str) -> str:
    length = f"length({text})"
    return (
        f"CASE WHEN {text} = '-0' THEN '1000000010' WHEN starts_with({text}, '-') "
        f"THEN '0' || lpad(CAST(100000000 - {length} AS VARCHAR), 8, '0') "
        f"|| translate(substr({text}, 2), '0123456789', '9876543210') "
        f"ELSE '1' || lpad(CAST({length} AS VARCHAR), 8, '0') || {text} END"
    )


def wide_key(number: int) -> str:
    """Return text that sorts as integers do: sign, number of digits, digits; of negatives the complement."""
    digits = str(abs(number))
    if number < 0:
        return f"0{99_999_999 - len(digits):08}{digits.translate(_COMPLEMENT)}"
    return f"1{len(digits):08}{digits}"


def wide_digits(key: str) -> str:
    """Return the integer whose `wide_key` this is, as its digits."""
    return key[9:] if key[0] == "1" else "-" + key[9:].translate(_COMPLEMENT)


def as_json(value: Any, kind: ColumnType, *, wide: bool = False) -> Any:
    """Return a value that came out of the table as the JSON value that it stands for."""
    match value:
        case str() if wide:
            return msgspec.Raw(wide_digits(value).encode())
        case str() if kind is ColumnType.JSON:
            return msgspec.Raw(value.encode())
        case float():
            return plain(value)
        case int() if not MIN_BIGINT <= value <= MAX_BIGINT:  # msgspec writes 64 bits
            return msgspec.Raw(str(value).encode())
        case date():
            return value.isoformat()
        case _:
            return value


def plain(number: float) -> float | int | None:
    """Return a double as JSON can have it: whole ones without a fraction, infinite ones the largest."""
    if math.isnan(number):
        return None
    if math.isinf(number):
        return math.copysign(_MAX_DOUBLE, number)
    return int(number) if number.is_integer() and abs(number) < 1e15 else number


def computed(value: Any) -> Any:
    """Return a sum, mean or median as a JSON value: a double to the 15 digits that it is sure of.

    What lies behind them may depend on the order in which threads have added.
    """
    return as_json(float(f"{value:.15g}") if isinstance(value, float) else value, ColumnType.NUMBER)
