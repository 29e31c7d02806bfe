"""Filters as clients write them, `col=value` and `col.OP=value`, held against the columns that there are."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal

from service.domain.columns import Column, ColumnType
from service.domain.errors import InvalidParameter, UnknownColumn
from service.formats.kinds import kind_of_string
from service.ports.engine import Filter, Operator, Value

OPERATORS = tuple(Operator)

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_MAX_DIGITS = 4300
"""More digits than Python turns into an integer."""

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - offsets are counted apart, so that no year overflows
_MICROSECOND = timedelta(microseconds=1)
_PATTERNS = frozenset({Operator.LIKE, Operator.ILIKE})
_NO_TEXT = frozenset({ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.BOOLEAN})


def filter_of(name: str, text: str, columns: Mapping[str, Column], known: Sequence[str]) -> Filter:
    """Return the filter that a query parameter is; a column of that exact name wins.

    `known` are the names of the operation's other parameters, for the error. Raises `InvalidParameter`.
    """
    if name in columns:
        return _filter(name, columns[name], Operator.EQ, text)
    column, dot, suffix = name.rpartition(".")
    if dot and column in columns:
        if suffix not in OPERATORS:
            raise InvalidParameter(
                name, f"There is no operator {suffix[:40]!r}.", valid=list(OPERATORS), columns=list(columns)
            )
        return _filter(name, columns[column], Operator(suffix), text)
    raise InvalidParameter(
        name,
        f"There is no parameter and no column {name[:200]!r} here.",
        valid=list(known),
        columns=list(columns),
    )


def column_of(parameter: str, name: str, columns: Mapping[str, Column]) -> Column:
    """Return a column by the name that a parameter gives. Raises `UnknownColumn`."""
    if name not in columns:
        raise UnknownColumn(parameter, f"There is no column {name[:200]!r}.", valid=list(columns))
    return columns[name]


def _filter(name: str, column: Column, operator: Operator, text: str) -> Filter:
    if operator is Operator.NULL:
        if text not in {"true", "false"}:
            raise InvalidParameter(name, f"{name!r} is `true` or `false`.", valid=["true", "false"])
        return Filter(column.name, operator, (text == "true",))
    if operator in _PATTERNS:
        return Filter(column.name, operator, (_pattern(name, column, text),))
    texts = listed(name, text) if operator is Operator.IN else (text,)
    if column.type is ColumnType.INTEGER:
        return _whole(column.name, operator, [_decimal(name, column, each) for each in texts])
    return Filter(column.name, operator, tuple(_value(name, column, each) for each in texts))


def listed(parameter: str, text: str) -> tuple[str, ...]:
    """Return the items of a list; one with a comma is quoted as in CSV. Raises `InvalidParameter`."""
    try:
        (items,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError):
        raise InvalidParameter(parameter, f"{parameter!r} is a list as in a line of CSV.") from None
    return tuple(items) or ("",)


def _pattern(name: str, column: Column, text: str) -> str:
    if column.type in _NO_TEXT:
        valid = [operator for operator in OPERATORS if operator not in _PATTERNS]
        raise InvalidParameter(
            name, f"A pattern is for text; {column.name!r} is of type {column.type}.", valid=valid
        )
    if (len(text) - len(text.rstrip("\\"))) % 2:
        raise InvalidParameter(name, "The pattern ends in a `\\` with nothing behind it.")
    return text


def _value(name: str, column: Column, text: str) -> Value:
    """Return a value in the type of its column. Raises `InvalidParameter` where it does not fit."""
    match column.type:
        case ColumnType.NUMBER if _NUMBER.fullmatch(text):
            return float(text)
        case ColumnType.BOOLEAN if text in {"true", "false"}:
            return text == "true"
        case ColumnType.DATE if kind_of_string(text) is ColumnType.DATE:
            return date.fromisoformat(text)
        case ColumnType.TIMESTAMP if kind_of_string(text) in {ColumnType.DATE, ColumnType.TIMESTAMP}:
            return _microseconds(text)
        case ColumnType.STRING | ColumnType.JSON | ColumnType.EMPTY:
            return text
        case _:
            raise _misfit(name, column, text)


def _decimal(name: str, column: Column, text: str) -> Decimal:
    number = Decimal(text) if len(text) <= _MAX_DIGITS and _NUMBER.fullmatch(text) else None
    if number is None or number.adjusted() >= _MAX_DIGITS:
        raise _misfit(name, column, text)
    return number


def _whole(column: str, operator: Operator, numbers: Sequence[Decimal]) -> Filter:
    """Return a filter of integers that matches what the one of any numbers does."""
    floors = [int(number.to_integral_value(ROUND_FLOOR)) for number in numbers]
    exact = [floor for floor, number in zip(floors, numbers, strict=True) if floor == number]
    if len(exact) == len(numbers):
        return Filter(column, operator, tuple(exact))
    match operator:
        case Operator.GT | Operator.GTE:
            return Filter(column, Operator.GT, tuple(floors))
        case Operator.LT | Operator.LTE:
            return Filter(column, Operator.LTE, tuple(floors))
        case Operator.NE:
            return Filter(column, Operator.NULL, (False,))
        case _:
            return Filter(column, Operator.IN, tuple(exact))


def _microseconds(text: str) -> int:
    moment = datetime.fromisoformat(text)
    offset = moment.utcoffset() or timedelta()
    return (moment.replace(tzinfo=None) - _EPOCH) // _MICROSECOND - offset // _MICROSECOND


def _misfit(name: str, column: Column, text: str) -> InvalidParameter:
    return InvalidParameter(
        name, f"{text[:100]!r} does not fit the column {column.name!r}, whose type is {column.type}."
    )
