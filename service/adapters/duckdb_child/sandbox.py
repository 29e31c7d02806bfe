"""DuckDB for one statement at a time: some files to read, and nothing else."""

# ruff: noqa: S608 - names are quoted; a client's SQL is run as it is, which is what all this is for

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from service.adapters.duckdb_child.messages import Shape

_NOWHERE = "none"

_CONFIGURATION = {
    "threads": "1",  # cores are for statements beside each other
    "async_threads": "0",  # each would take 64 MiB of the addresses that the child may have
    "temp_directory": "",  # no spilling
    "extension_directory": _NOWHERE,
    "secret_directory": _NOWHERE,
    "allow_persistent_secrets": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",  # else a table may be a variable of ours
    "max_expression_depth": "250",
}


class Sandbox:
    """An in-memory database with views of some database files, shut for all else.

    It keeps nothing of a statement: each runs on a connection of its own, in a transaction that reads.
    """

    def __init__(
        self, memory_bytes: int, tables: Mapping[str, tuple[str, ...]], listed: Sequence[Shape] = ()
    ) -> None:
        self.contents = (dict(tables), tuple(listed))
        self._root = duckdb.connect(":memory:", config={**_CONFIGURATION, "memory_limit": f"{memory_bytes}B"})
        # No dataset's name begins with an underscore.
        files = dict.fromkeys(file for parts in tables.values() for file in parts)
        schemas = {file: f"_{at}" for at, file in enumerate(files)}
        for file, schema in schemas.items():
            self._root.execute(f"ATTACH '{file}' AS {schema} (READ_ONLY)")
        for name, parts in tables.items():
            rows = " UNION ALL ".join(f"SELECT * FROM {schemas[file]}.t" for file in parts)
            self._root.execute(f"CREATE VIEW {_quoted(name)} AS {rows}")
        for shape in listed:
            columns = ", ".join(f"{_quoted(column)} {kind}" for column, kind in shape.columns)
            self._root.execute(f"CREATE TABLE {_quoted(shape.name)} ({columns})")
        for setting in (
            "GLOBAL TimeZone = 'UTC'",
            "GLOBAL errors_as_json = true",
            # These can be set on a running database only, in this order.
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            self._root.execute(f"SET {setting}")

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return a connection of its own."""
        return self._root.cursor()

    def run(self, sql: str, parameters: Any) -> duckdb.DuckDBPyConnection:
        """Run a statement and return the connection that has its rows, to be closed."""
        connection = self.connect()
        try:
            connection.execute("BEGIN TRANSACTION READ ONLY")
            return connection.execute(sql, parameters)
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Close it."""
        self._root.close()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
