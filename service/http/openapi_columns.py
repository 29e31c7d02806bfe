"""A dataset's columns in OpenAPI, as the clients of a day see them: the shape of a record, and filters."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec

from service.domain.columns import Column, ColumnType

Json = dict[str, Any]

_TYPES = {
    ColumnType.INTEGER: ["integer", "null"],
    ColumnType.NUMBER: ["number", "null"],
    ColumnType.BOOLEAN: ["boolean", "null"],
    ColumnType.DATE: ["string", "null"],
    ColumnType.TIMESTAMP: ["string", "null"],
    ColumnType.STRING: ["string", "null"],
}
"""What stands in a column, its values typed; the other types hold anything."""

_CELLS = {
    ColumnType.INTEGER: ["string", "integer", "null"],
    ColumnType.NUMBER: ["string", "number", "null"],
    ColumnType.BOOLEAN: ["string", "boolean", "null"],
    ColumnType.DATE: ["string", "null"],
    ColumnType.TIMESTAMP: ["string", "null"],
    ColumnType.STRING: ["string", "number", "boolean", "null"],
}
"""What stands in a column of text as it was loaded: text, or what JSON clients have appended since."""

_FILTERS: dict[ColumnType, Json] = {
    ColumnType.INTEGER: {"type": "number"},
    ColumnType.NUMBER: {"type": "number"},
    ColumnType.BOOLEAN: {"type": "boolean"},
    ColumnType.DATE: {"type": "string", "format": "date"},
}

_COLUMN_BYTES = 200
_DATASET_BYTES = 16 << 10


@dataclass(frozen=True, slots=True)
class Described:
    """A dataset whose columns a document tells; `version` is the day of the last change that is seen."""

    name: str
    columns: Sequence[Column]
    version: date | None

    @property
    def size_bytes(self) -> int:
        """About what it adds to a document, rather more than less: each name stands there twice."""
        names = sum(len(msgspec.json.encode(column.name)) for column in self.columns)
        return _DATASET_BYTES + _COLUMN_BYTES * len(self.columns) + 2 * names


def record_schema(dataset: Described, *, typed: bool) -> Json:
    """Return the schema of a dataset's records; a record may lack any column."""
    seen = "" if dataset.version is None else f" They are those of {dataset.version} (`Dataset-Version`)."
    return {
        "type": "object",
        "description": f"A record of `{dataset.name}`; the columns in the order of a CSV.{seen}",
        "properties": {column.name: _value_schema(column, typed=typed) for column in dataset.columns},
    }


def _value_schema(column: Column, *, typed: bool) -> Json:
    types = (_CELLS if column.textual and not typed else _TYPES).get(column.type)
    if types is None:
        return {}
    if column.type is ColumnType.DATE and (typed or not column.textual):
        return {"type": types, "format": "date"}
    return {"type": types}


def filters(columns: Sequence[Column], known: Collection[str]) -> list[Json]:
    """Return the parameters that filter by a column's value, with `.eq` where one of `known` has its name."""
    names = {column.name for column in columns}
    found = []
    for column in columns:
        name = f"{column.name}.eq" if column.name in known else column.name
        if name == column.name or name not in names:
            found.append(
                {
                    "name": name,
                    "in": "query",
                    "description": "The records with this value.",
                    "required": False,
                    "schema": _FILTERS.get(column.type, {"type": "string"}),
                }
            )
    return found
