"""What goes wrong with a statement, in DuckDB's words and with the place where."""

from __future__ import annotations

from typing import Any

import duckdb
import msgspec

from service.adapters.duckdb_child.messages import Failed

_MAX_MESSAGE = 2000


class Refused(Exception):
    """A statement is refused, at the character `position` from 1; `writes`: because it would write."""

    def __init__(self, message: str, position: int | None = None, *, writes: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.writes = writes


class Missing(Exception):
    """The statement names a table that nobody was asked about before it ran."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def position(sql: str, byte: Any, start: int = 0) -> int | None:
    """Return the character (from 1) at a byte of the statement's part from `start`, if there is one."""
    if byte is None or not 0 <= int(byte) <= len(sql) * 4:
        return None
    return start + len(sql[start:].encode()[: int(byte)].decode(errors="ignore")) + 1


def failure(error: Exception, sql: str, memory_bytes: int) -> Failed:
    """Return what to tell of an error that DuckDB, or the memory's end, has raised."""
    if isinstance(error, duckdb.OutOfMemoryException | MemoryError):
        # What is left of its memory may be in pieces.
        message = f"The statement needs more memory than one may have ({memory_bytes >> 20} MiB)."
        return Failed(message, spent=True)
    if isinstance(error, duckdb.FatalException | duckdb.InternalException):
        # Its own message has our paths.
        return Failed("DuckDB cannot run this statement; the fault is its own.", spent=True)
    if isinstance(error, duckdb.IOException):
        return Failed("DuckDB cannot read the file of a dataset; try again.", spent=True)
    details = _details(error)
    message = str(details.get("exception_message", "")) or str(error)
    return Failed(message[:_MAX_MESSAGE].strip(), position(sql, details.get("position")))


def missing_table(error: duckdb.CatalogException) -> str | None:
    """Return the name of the table that is missing."""
    details = _details(error)
    return str(details.get("name", "")) if details.get("type") == "Table" else None


def _details(error: Exception) -> dict[str, Any]:
    """Return the members of an error that DuckDB has written as JSON (`errors_as_json`)."""
    text = str(error)
    try:
        details = msgspec.json.decode(text[text.index("{") :])
    except ValueError:
        return {}
    return details if isinstance(details, dict) else {}
