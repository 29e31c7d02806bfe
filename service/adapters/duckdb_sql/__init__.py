"""DuckDB for clients' SQL, read-only over the datasets, in child processes."""

from service.adapters.duckdb_sql.database import DuckdbDatabase

__all__ = ["DuckdbDatabase"]
