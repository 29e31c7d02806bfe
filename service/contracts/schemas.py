"""JSON Schemas that several operations share."""

from __future__ import annotations

from typing import Any

from service.contracts.declarations import Answer, JsonSchema, Parameter

JSON = "application/json"
NDJSON = "application/x-ndjson"
PARQUET = "application/vnd.apache.parquet"
CSV = "text/csv"
TEXT = "text/plain"
HTML = "text/html"
PROBLEM = "application/problem+json"

RECORD: JsonSchema = {"type": "object", "description": "A record: column names and their values."}
RECORDS: JsonSchema = {"type": "array", "items": RECORD}
NULLABLE_STRING: JsonSchema = {"type": ["string", "null"]}
COUNT: JsonSchema = {"type": "integer", "minimum": 0}


def entity(description: str, required: dict[str, Any], optional: dict[str, Any] | None = None) -> JsonSchema:
    """Return the schema of an object; further members may come (additions break nobody)."""
    return {
        "type": "object",
        "description": description,
        "properties": {**required, **(optional or {})},
        "required": list(required),
    }


RECEIPT = entity(
    "What a write did.",
    {"dataset": {"type": "string"}, "loaded": COUNT, "count": COUNT, "revision": COUNT},
    {
        "deleted": COUNT,
        "replaced": COUNT,
        "ignored": COUNT,
        "encoding": {"type": "string"},
        "delimiter": {"type": "string"},
        "rejected": COUNT,
        "rejects": {
            "type": "array",
            "items": entity("A rejected record.", {"line": COUNT, "reason": {"type": "string"}}),
        },
        "widened": {
            "type": "array",
            "items": entity(
                "A column whose type grew.",
                {"column": {"type": "string"}, "from": {"type": "string"}, "to": {"type": "string"}},
            ),
        },
    },
)

PAGE = entity(
    "A page of records.",
    {
        "dataset": {"type": "string"},
        "revision": COUNT,
        "count": COUNT,
        "start": COUNT,
        "records": RECORDS,
        "next": NULLABLE_STRING,
    },
    {
        "facets": {
            "type": "object",
            "additionalProperties": {
                "type": "array",
                "items": entity("A value and how many records have it.", {"value": {}, "count": COUNT}),
            },
        },
        "truncated": {"type": "array", "items": {"type": "string"}},
    },
)

GROUPS = entity(
    "Groups of records.",
    {"dataset": {"type": "string"}, "revision": COUNT, "rows": RECORDS, "next": NULLABLE_STRING},
)

DATASET = entity(
    "A dataset.",
    {
        "name": {"type": "string"},
        "title": NULLABLE_STRING,
        "key": NULLABLE_STRING,
        "count": COUNT,
        "revision": COUNT,
        "columns": {
            "type": "array",
            "items": entity("A column.", {"name": {"type": "string"}, "type": {"type": "string"}}),
        },
        "bytes": COUNT,
        "created": NULLABLE_STRING,
        "updated": NULLABLE_STRING,
    },
)

_TEXTS: JsonSchema = {"type": "object", "additionalProperties": {"type": "string"}}
_LOSSY = {"lossy": {"type": "boolean"}}


def _operation(name: str, members: dict[str, Any], optional: dict[str, Any] | None = None) -> JsonSchema:
    return {
        **entity(f"A {name}.", {"op": {"const": name}, **members}, optional),
        "additionalProperties": False,
    }


_OPERATIONS = (
    _operation("rename", {"from": {"type": "string"}, "to": {"type": "string"}}),
    _operation(
        "cast",
        {"column": {"type": "string"}, "to": {"enum": ["integer", "number", "boolean", "string"]}},
        _LOSSY,
    ),
    _operation("hide", {"column": {"type": "string"}}),
    _operation(
        "add", {"column": {"type": "string"}, "value": {"type": ["string", "number", "boolean", "null"]}}
    ),
    _operation("map", {"column": {"type": "string"}, "values": _TEXTS}, _LOSSY),
)

CHANGE_MEMBERS: dict[str, JsonSchema] = {
    "date": {"type": "string", "format": "date"},
    "description": {"type": "string", "minLength": 1, "maxLength": 2000},
    "operations": {
        "type": "array",
        "minItems": 1,
        "maxItems": 1000,
        "items": {"oneOf": list(_OPERATIONS)},
    },
}

CHANGE: JsonSchema = {
    **entity("How a dataset's columns are seen from a day on.", CHANGE_MEMBERS),
    "additionalProperties": False,
}

SCOPE: JsonSchema = {"enum": ["read", "write", "sql:read", "sql:write", "admin"]}

API_KEY = entity(
    "An API key.",
    {"id": NULLABLE_STRING, "scopes": {"type": "array", "items": SCOPE}, "pin": NULLABLE_STRING},
    {
        "name": NULLABLE_STRING,
        "created": NULLABLE_STRING,
        "contract": NULLABLE_STRING,
        "key": {"type": "string"},
    },
)

PIN = entity("A day.", {"date": {"type": "string", "format": "date"}})

NAMED_OPERATION = entity(
    "An operation.", {"id": {"type": "string"}, "method": {"type": "string"}, "path": {"type": "string"}}
)

CONTRACT_CHANGE = entity(
    "A change; `breaking`: who moves over it must look at what it sends or reads.",
    {
        "version": {"type": "string", "format": "date"},
        "name": {"type": "string"},
        "description": {"type": "string"},
        "breaking": {"type": "boolean"},
        "operations": {"type": "array", "items": NAMED_OPERATION},
    },
)

CONTRACT = entity(
    "A contract.",
    {
        "version": {"type": "string", "format": "date"},
        "state": {"enum": ["current", "supported", "deprecated", "sunset"]},
        "description": {"type": "string"},
        "deprecated": NULLABLE_STRING,
        "sunset": NULLABLE_STRING,
        "guide": NULLABLE_STRING,
        "changes": {"type": "array", "items": CONTRACT_CHANGE},
    },
)

DIFFERENCE = entity(
    "What differs between two contracts.",
    {
        "from": {"type": "string", "format": "date"},
        "to": {"type": "string", "format": "date"},
        "breaking": {"type": "boolean"},
        "changes": {"type": "array", "items": CONTRACT_CHANGE},
        "operations": {"type": "array", "items": NAMED_OPERATION},
    },
)

USAGE = entity(
    "Who uses which contract.",
    {
        "since": NULLABLE_STRING,
        "versions": {
            "type": "array",
            "items": entity(
                "The usage of a contract.",
                {
                    "version": {"type": "string", "format": "date"},
                    "state": {"enum": ["current", "supported", "deprecated", "sunset"]},
                    "can_be_sunset": {"type": "boolean"},
                    "because": {"type": "string"},
                    "requests": COUNT,
                    "last": NULLABLE_STRING,
                    "pinned": COUNT,
                    "used": {
                        "type": "array",
                        "items": entity(
                            "A source and a key (null: none), and the days of its first and last request.",
                            {
                                "source": {"enum": ["header", "pin", "default"]},
                                "key": NULLABLE_STRING,
                                "name": NULLABLE_STRING,
                                "requests": COUNT,
                                "first": {"type": "string", "format": "date"},
                                "last": {"type": "string", "format": "date"},
                            },
                        ),
                    },
                },
            ),
        },
    },
)

PROBLEM_DOCUMENT = entity(
    "An error (RFC 9457).",
    {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
    },
)

ERROR = Answer("An error that says what to do.", {PROBLEM: PROBLEM_DOCUMENT})

UPLOAD: dict[str, JsonSchema] = {CSV: {}, JSON: {}, NDJSON: {}, "application/octet-stream": {}}

START = Parameter(
    "start", "Rank of the first record, from 0.", {"type": "integer", "minimum": 0, "default": 0}
)
LIMIT = Parameter(
    "limit",
    "How many records at most, or `all`.",
    {"oneOf": [{"type": "integer", "minimum": 1, "maximum": 10_000}, {"const": "all"}], "default": 100},
)
AFTER = Parameter("after", "The cursor of `next`: the records behind it.")
FIELDS = Parameter(
    "fields", "The columns wanted, separated by commas; a name with a comma is quoted as in CSV."
)
FORMAT = Parameter(
    "format",
    "The format of the answer, instead of `Accept`.",
    {"enum": ["json", "ndjson", "csv", "parquet"]},
)
SORT = Parameter(
    "sort",
    "Columns to sort by, separated by commas; `-` in front of a name sorts downwards. Nulls come last.",
)
READING = (START, LIMIT, AFTER, FIELDS, FORMAT, SORT)
FACET = Parameter("facet", "Columns whose values are to be counted, separated by commas.")

GROUP = Parameter("group", "Columns to group by, separated by commas; without it all is one group.")
GROUPING = (
    GROUP,
    Parameter("count", "Count the records (no value), or the values of columns that are not null."),
    Parameter("sum", "Columns to add up."),
    Parameter("avg", "Columns to take the mean of."),
    Parameter("min", "Columns to take the least value of."),
    Parameter("max", "Columns to take the greatest value of."),
    Parameter("median", "Columns to take the median of."),
    Parameter("sort", "Names of the answer to sort by, such as `-count`; `-` in front sorts downwards."),
    Parameter("limit", "How many groups at most.", {"type": "integer", "minimum": 1, "maximum": 10_000}),
    Parameter("start", "Rank of the first group, from 0.", {"type": "integer", "minimum": 0, "default": 0}),
    Parameter(
        "format", "The format of the answer, instead of `Accept`.", {"enum": ["json", "ndjson", "csv"]}
    ),
)

DATABASE = Parameter(
    "database",
    "`datasets` for the reader of datasets; without it, the configured database.",
    {"enum": ["datasets"]},
)
_PARAMS: JsonSchema = {"oneOf": [{"type": "array"}, {"type": "object"}]}
QUERY: dict[str, JsonSchema] = {
    JSON: {
        **entity(
            "An SQL statement and what it is bound to.",
            {"query": {"type": "string"}},
            {"params": _PARAMS, "database": {"enum": ["datasets"]}},
        ),
        "additionalProperties": False,
    },
    "application/sql": {"type": "string"},
    TEXT: {"type": "string"},
}
RESULT = entity("The rows of a statement.", {"result": RECORDS}, {"truncated": {"const": True}})
QUERYING = entity(
    "What can be asked: `names` of datasets and `aliases` of their columns that are others in SQL.",
    {
        "database": {"enum": ["sqlite", "postgresql", "duckdb"]},
        "writing": {"type": "boolean"},
        "names": _TEXTS,
        "aliases": {"type": "object", "additionalProperties": _TEXTS},
    },
)
ROWS_FORMAT = Parameter(
    "format", "The format of rows, instead of `Accept`.", {"enum": ["json", "ndjson", "csv"]}
)

LISTING = (
    Parameter("after", "The id of the last one that was listed."),
    Parameter(
        "limit", "How many at most.", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
    ),
)

KEY = Parameter("key", "A column whose values are unique: records are then addressed by it.")
DELIMITER = Parameter("delimiter", "The delimiter of a CSV; found by itself among `, ; tab |` if absent.")
ON_ERROR = Parameter(
    "on_error", "What to do with a record that is no good.", {"enum": ["fail", "skip"], "default": "fail"}
)
ON_CONFLICT = Parameter(
    "on_conflict",
    "What to do with a record whose key is there already.",
    {"enum": ["fail", "replace", "ignore"], "default": "fail"},
)
DRY_RUN = Parameter("dry_run", "Show what would be, and store nothing.", {"enum": ["0", "1"], "default": "0"})
WIDEN = Parameter("widen", "Let columns grow to types that fit.", {"enum": ["0", "1"], "default": "0"})

NAME = Parameter("name", "The dataset's name.", place="path")
TOLD = Parameter("dataset", "The one dataset whose columns are told; without it, all of them.")
VERSION = Parameter("version", "A day that has the contract.", {"type": "string", "format": "date"})
FROM = Parameter(
    "from", "A day that has the older contract.", {"type": "string", "format": "date"}, place="path"
)
TO = Parameter("to", "A day that has the newer contract.", {"type": "string", "format": "date"}, place="path")
KEY_ID = Parameter("id", "The key's id.", place="path")
RECORD_KEY = Parameter("key", "The record's key, or `@` and its position.", place="path")
