"""JSON values as the text that PostgreSQL reads as a parameter of the type that it has chosen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from service.adapters.postgres_sql.statements import UNSENDABLE
from service.adapters.postgres_sql.values import JSON_TYPES, TEXT_TYPES
from service.domain.errors import QueryFailed
from service.ports.database import Parameters

_MAX_PARAMETERS = 65_535  # what a message can count


def written(parameters: Parameters, types: Sequence[int]) -> list[bytes | None]:
    """Return the parameters as text, given the types that the statement wants. Raises `QueryFailed`."""
    if isinstance(parameters, Mapping):
        raise QueryFailed(
            "PostgreSQL knows parameters by place: $1 in the statement, and an array of values."
        )
    if len(parameters) != len(types):
        raise QueryFailed(f"The statement takes {len(types)} parameters, and {len(parameters)} came.")
    return [
        _parameter(value, type_, at)
        for at, (value, type_) in enumerate(zip(parameters, types, strict=True), 1)
    ]


def check_count(parameters: Parameters) -> None:
    """Refuse more parameters than a message can hold. Raises `QueryFailed`."""
    if len(parameters) > _MAX_PARAMETERS:
        raise QueryFailed(f"A statement takes {_MAX_PARAMETERS} parameters at most.")


def _parameter(value: Any, type_: int, place: int) -> bytes | None:
    if value is None:
        return None
    nested = isinstance(value, list | dict)
    if nested and (isinstance(value, dict) or type_ in JSON_TYPES | TEXT_TYPES):
        return json.dumps(value).encode()
    text = _array(value) if nested else _scalar(value)
    if UNSENDABLE.search(text):
        raise QueryFailed(f"Parameter ${place} holds a character that PostgreSQL cannot keep.")
    return text.encode()


def _scalar(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _array(values: Sequence[Any]) -> str:
    """Return an array as PostgreSQL reads one; an object among its elements is JSON."""
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return _array(value)
    text = _scalar(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
