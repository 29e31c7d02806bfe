"""Names and texts as they stand in SQL."""

from __future__ import annotations

from collections.abc import Iterable

from service.adapters.duckdb.names import identifier

__all__ = ["array", "identifier", "literal"]


def literal(text: str) -> str:
    """Return a text as SQL, quoted (`standard_conforming_strings` is on)."""
    return "'" + text.replace("'", "''") + "'"


def array(texts: Iterable[str]) -> str:
    """Return an array of texts as SQL."""
    return f"ARRAY[{', '.join(map(literal, texts))}]::pg_catalog.text[]"
