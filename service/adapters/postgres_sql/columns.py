"""A dataset's columns as SQL over its records, each typed; `j` is the record."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from service.adapters.postgres_sql.spelling import identifier, literal
from service.domain.columns import Column, ColumnType
from service.domain.datasets import Dataset
from service.ports.engine import Derivation

RECORD = r"""
SELECT (CASE WHEN position('\x5c7530303030'::bytea IN r.record) = 0 THEN convert_from(r.record, 'UTF8')
    ELSE regexp_replace(convert_from(r.record, 'UTF8'), '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g')
    END)::json AS j
FROM aerolite.datasets AS d JOIN aerolite.records AS r ON r.lot = d.lot
WHERE d.name = {name} AND d.lot <> 0
"""
"""The records of a dataset: `\\u0000`, which no text of PostgreSQL holds, is the replacement character."""

NUMBER = """
CREATE OR REPLACE FUNCTION aerolite_sql.number(text_ text) RETURNS double precision
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog AS $$
BEGIN
    RETURN text_::double precision;
EXCEPTION WHEN numeric_value_out_of_range THEN
    RETURN CASE
        WHEN text_ ~ '[eE]-' OR (text_ !~ '[eE]' AND text_ ~ '^-?0') THEN 0
        WHEN text_ ~ '^-' THEN '-Infinity'::double precision
        ELSE 'Infinity' END;
END
$$
"""
"""A number whose digits or exponent may be beyond a double, which counts as zero or infinite then."""

# RFC 8259, section 6: what the view takes for a value of the type (`service.lenses.tokens`).
_GRAMMARS = {
    ColumnType.INTEGER: r"^-?(?:0|[1-9][0-9]*)$",
    ColumnType.NUMBER: r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$",
    ColumnType.BOOLEAN: "^(?:true|false)$",
}
# A numeric has at most 131,072 digits before its point; a number of 300 bytes without an exponent is within
# a double's range.
_CASTS = {
    ColumnType.INTEGER: "CASE WHEN octet_length({v}) <= 131072 THEN {v}::numeric END",
    ColumnType.NUMBER: "CASE WHEN octet_length({v}) <= 300 AND {v} !~ '[eE]' THEN {v}::double precision"
    " ELSE aerolite_sql.number({v}) END",
    ColumnType.BOOLEAN: "{v}::boolean",
}


def select(columns: Sequence[Derivation], names: Sequence[str], dataset: Dataset) -> str:
    """Return SQL of a dataset's records as rows of these columns, under these names.

    Each text is taken out of its record once (OFFSET 0 keeps the planner from doing it at each use), and only
    where the column is asked for.
    """
    stored = {column.name: column for column in dataset.schema.columns}
    texts: list[str] = []
    shown: list[str] = []
    for at, (column, name) in enumerate(zip(columns, names, strict=True)):
        source = None if column.source is None else stored.get(column.source)
        texts += _texts(column, source, at)
        shown.append(f"{_typed(_stepped(column, source, at), column.column.type)} AS {identifier(name)}")
    records = RECORD.format(name=literal(dataset.name))
    inner = f"SELECT {', '.join(texts)} FROM ({records} OFFSET 0) AS records OFFSET 0"  # noqa: S608 - quoted
    return f"SELECT {', '.join(shown)} FROM ({inner}) AS texts"  # noqa: S608 - quoted


def plain(column: Column) -> Derivation:
    """Return a stored column as it is."""
    return Derivation(column, column.name)


def _texts(column: Derivation, source: Column | None, at: int) -> Iterator[str]:
    """Yield SQL of the text that a column is made of, and of whether it is an array or object."""
    if source is None:
        yield f"NULL::text AS t{at}"
        return
    member = _literal(source.name)
    text = f"j ->> {member}"
    yield (f"nullif({text}, '')" if source.textual else text) + f" AS t{at}"
    if column.steps and source.type is ColumnType.JSON:
        yield f"coalesce(json_typeof(j -> {member}) IN ('array', 'object'), FALSE) AS n{at}"


def _stepped(column: Derivation, source: Column | None, at: int) -> str:
    """Return SQL of the text behind all steps.

    Each is a subquery that the planner leaves alone: it may name what it gets twice, and all together stay
    as long as they are.
    """
    text = f"t{at}"
    nested = f"n{at}" if source is not None and source.type is ColumnType.JSON else "FALSE"
    for name, argument in column.steps:
        text = f"(SELECT {_STEPS[name](argument, nested)} FROM (SELECT {text} AS v OFFSET 0) AS step)"  # noqa: S608 - quoted
    return text if not column.steps else f"(SELECT {text} AS v OFFSET 0)"


def _typed(text: str, kind: ColumnType) -> str:
    cast = _CASTS.get(kind)
    if cast is None:
        return text
    if text.startswith("("):
        return f"(SELECT {cast.format(v='v')} FROM {text} AS typed)"  # noqa: S608 - constants
    return cast.format(v=text)


def _cast(kind: Any, nested: str) -> str:
    """Return SQL of the text where it is one of the type; an array or object is none."""
    grammar = _GRAMMARS.get(ColumnType(kind))
    return f"CASE WHEN NOT {nested}{f' AND v ~ {literal(grammar)}' if grammar else ''} THEN v END"


def _mapped(values: Mapping[str, str], nested: str) -> str:
    cases = " ".join(f"WHEN {_literal(old)} THEN {_literal(new)}" for old, new in values.items())
    return f"CASE WHEN {nested} THEN v ELSE CASE v {cases} ELSE v END END"


def _defaulted(value: Any, nested: str) -> str:
    del nested
    if value is None:
        return "v"
    shown = json.dumps(value) if isinstance(value, bool) else str(value)
    return f"coalesce(v, {_literal(shown)})"


_STEPS: dict[str, Callable[[Any, str], str]] = {"cast": _cast, "map": _mapped, "default": _defaulted}


def _literal(text: str) -> str:
    """Return a text as it is found in `RECORD`."""
    return literal(text.replace("\0", "\ufffd"))
