"""How records come into a statement: handed over one by one, or read from a file of lines."""

# ruff: noqa: S608 - paths and numbers are ours; whatever a client sends is a bound parameter

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.adapters.duckdb.connections import literal
from service.adapters.duckdb.parses import DELIMITER, LINE_ENDS, MAX_LINE_BYTES, STANDING_FOR_THEM, Part


@dataclass(frozen=True, slots=True)
class Rows:
    """SQL that selects positions `p` and records `r`, with its parameters."""

    sql: str
    parameters: Mapping[str, object]


def handed_over(positions: Sequence[int], records: Sequence[bytes]) -> Rows:
    """Return rows that are parameters themselves."""
    return Rows(
        "SELECT unnest($positions) AS p, unnest($records) AS r",
        {"positions": list(positions), "records": [record.decode() for record in records]},
    )


def read_from(part: Part) -> Rows:
    """Return the rows of a file of lines, in its order."""
    # Explicit in all: a line is one field, whatever is in it.
    lines = (
        f"read_csv({literal(str(part.path))}, columns = {{'line': 'VARCHAR'}}, auto_detect = false, "
        f"header = false, delim = {literal(DELIMITER)}, quote = '', escape = '', new_line = '\\n', "
        f"max_line_size = {MAX_LINE_BYTES}, buffer_size = {4 * MAX_LINE_BYTES})"
    )
    record = "line"
    parameters: dict[str, object] = {}
    if part.folded:
        record = "translate(line, $folded, $unfolded)"
        parameters = {"folded": STANDING_FOR_THEM, "unfolded": LINE_ENDS}
    return Rows(
        f"SELECT row_number() OVER () + {part.first - 1} AS p, {record} AS r FROM {lines}", parameters
    )
