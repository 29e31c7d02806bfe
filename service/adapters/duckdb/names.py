"""Names of columns as DuckDB can bear them."""

from __future__ import annotations

from collections.abc import Sequence

from service.adapters.sql_names import ascii_lower, distinct


def sql_names(columns: Sequence[str]) -> list[str]:
    """Return a name for each column: its own, or one with a number where it is empty or taken."""
    named = [column or f"column_{at}" for at, column in enumerate(columns, start=1)]
    return distinct(named, key=ascii_lower)


def identifier(name: str) -> str:
    """Return a name as SQL, quoted."""
    return '"' + name.replace('"', '""') + '"'
