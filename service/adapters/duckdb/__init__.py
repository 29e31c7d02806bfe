"""The engine on DuckDB: in this process, on files of its own, never near a client's SQL."""

from service.adapters.duckdb.engine import DuckdbEngine

__all__ = ["DuckdbEngine"]
