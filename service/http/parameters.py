"""Query parameters, read strictly: what is unknown or malformed is an error that lists what is valid."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from urllib.parse import parse_qsl

from service.contracts.declarations import Operation
from service.contracts.messages import Query
from service.domain.columns import Column, ColumnType
from service.domain.errors import InvalidParameter, InvalidRequest, UnknownColumn
from service.ports.engine import Aggregate, Measure
from service.usecases.cursors import decode
from service.usecases.questions import Asked, Grouping
from service.usecases.reading import Selection

MAX_START = 1 << 53
_TYPES = frozenset(ColumnType) - {ColumnType.EMPTY}


def pairs(raw_query: str) -> list[tuple[str, str]]:
    """Return names and values of a raw query string. Raises `InvalidRequest` where it is no UTF-8."""
    if not raw_query:
        return []
    try:
        return parse_qsl(raw_query, keep_blank_values=True, errors="strict", max_num_fields=1000)
    except UnicodeDecodeError:
        raise InvalidRequest("The query string is not percent-encoded UTF-8.") from None
    except ValueError:
        raise InvalidRequest("The query string has more than 1000 parameters.") from None


def read_query(operation: Operation, sent: Iterable[tuple[str, str]]) -> Query:
    """Return the query of an operation as its contract declares it. Raises `InvalidParameter`."""
    known = operation.query
    parameters: dict[str, str] = {}
    filters: list[tuple[str, str]] = []
    for name, value in sent:
        if name not in known and not name.startswith(operation.prefixes):
            if operation.columns:
                filters.append((name, value))
                continue
            raise InvalidParameter(
                name, f"There is no parameter {name!r} here.", valid=valid_names(operation)
            )
        if name in parameters:
            raise InvalidParameter(name, f"The parameter {name!r} was sent twice.")
        parameters[name] = value
    if not operation.columns:
        return Query(parameters)
    return Query(parameters, filters=tuple(filters), known=tuple(valid_names(operation)))


def valid_names(operation: Operation) -> list[str]:
    """Return the parameters that an operation takes, for people."""
    return sorted(operation.query) + [f"{prefix}COLUMN" for prefix in operation.prefixes]


def asked(query: Query) -> Asked:
    """Return what a query asks of columns. Raises `InvalidParameter`."""
    parameters = query.parameters
    return Asked(
        filters=query.filters,
        sort=names_of("sort", parameters["sort"]) if "sort" in parameters else (),
        facets=names_of("facet", parameters["facet"]) if "facet" in parameters else (),
        known=query.known,
        lenses=query.lenses,
    )


def grouping(query: Query) -> Grouping:
    """Return which groups a query wants. Raises `InvalidParameter`."""
    parameters, measures = query.parameters, []
    for aggregate in Aggregate:
        text = parameters.get(aggregate)
        if text is None:
            continue
        if aggregate is Aggregate.COUNT and not text:
            measures.append(Measure(aggregate))
        else:
            measures += [Measure(aggregate, name) for name in names_of(aggregate, text)]
    limit = _limit(query)
    if limit is None:
        raise InvalidParameter("limit", f"`limit` is at most {query.max_limit}.")
    group = names_of("group", parameters["group"]) if "group" in parameters else ()
    if not (group or measures):
        raise InvalidParameter(
            "group", "Say what to group by, or what to compute.", valid=["group", *Aggregate]
        )
    start = _whole("start", parameters.get("start", "0"), least=0, most=MAX_START)
    return Grouping(group, tuple(measures), start, limit)


def selection(query: Query) -> Selection:
    """Return which records a query wants. Raises `InvalidParameter`."""
    parameters = query.parameters
    after = parameters.get("after")
    if after is not None and "start" in parameters:
        raise InvalidParameter("after", "Send `start` or `after`, not both.")
    return Selection(
        start=_whole("start", parameters.get("start", "0"), least=0, most=MAX_START),
        after=None if after is None else decode(after),
        limit=_limit(query),
    )


def listing(query: Query, most: int) -> tuple[str, int]:
    """Return behind which id to list (empty: from the first), and how many. Raises `InvalidParameter`."""
    after, limit = query.parameters.get("after", ""), query.parameters.get("limit", "100")
    if not (after.isascii() and after.replace("-", "").isalnum() and len(after) <= 64) and after:
        raise InvalidParameter("after", "`after` is the id of the last one that was listed.")
    return after, _whole("limit", limit, least=1, most=most)


def fields(query: Query, columns: tuple[Column, ...]) -> tuple[str, ...] | None:
    """Return the columns that `fields` names, or None for all. Raises `UnknownColumn`, `InvalidParameter`."""
    text = query.parameters.get("fields")
    if text is None:
        return None
    names = names_of("fields", text)
    valid = [column.name for column in columns]
    for name in names:
        if name not in valid:
            raise UnknownColumn("fields", f"There is no column {name!r}.", valid=valid)
    return names


def names_of(parameter: str, text: str) -> tuple[str, ...]:
    """Return the names of a list; one with a comma is quoted as in CSV. Raises `InvalidParameter`."""
    try:
        (names,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError):
        raise InvalidParameter(parameter, f"{parameter!r} is a list of names as in a line of CSV.") from None
    if len(set(names)) != len(names):
        raise InvalidParameter(parameter, f"{parameter!r} names a column twice.")
    return tuple(names)


def types(query: Query) -> dict[str, ColumnType]:
    """Return what `type.COLUMN=…` overrides. Raises `InvalidParameter`."""
    overrides = {}
    for name, value in query.parameters.items():
        if name.startswith("type."):
            if value not in _TYPES:
                raise InvalidParameter(name, f"{value!r} is no type.", valid=sorted(_TYPES))
            overrides[name.removeprefix("type.")] = ColumnType(value)
    return overrides


def choice(query: Query, name: str, allowed: tuple[str, ...]) -> str:
    """Return the value of a parameter that has few; the first is the default. Raises `InvalidParameter`."""
    value = query.parameters.get(name, allowed[0])
    if value not in allowed:
        raise InvalidParameter(name, f"{name!r} cannot be {value!r}.", valid=list(allowed))
    return value


def _limit(query: Query) -> int | None:
    text = query.parameters.get("limit")
    if text is None:
        return query.default_limit
    if text == "all":
        return None
    limit = _whole("limit", text, least=1, most=MAX_START)
    if query.max_limit is not None and limit > query.max_limit:
        raise InvalidParameter("limit", f"`limit` is at most {query.max_limit}, or `all`, which streams.")
    return limit


def _whole(name: str, text: str, *, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 16) or not least <= int(text) <= most:
        raise InvalidParameter(name, f"{name!r} is a whole number from {least} to {most}, not {text[:40]!r}.")
    return int(text)
