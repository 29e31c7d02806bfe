"""DuckDB for clients' SQL: what it answers, what it refuses, and what its children may take."""
