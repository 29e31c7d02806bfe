"""A snapshot's table: a database file of its own, filled in order of position, removed with the file."""

# ruff: noqa: S608 - names are ours (c0, s1.t); whatever a client sends is a bound parameter

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import duckdb

from service.adapters.duckdb.columns import Stored, filled, from_text, pointer
from service.adapters.duckdb.connections import literal
from service.adapters.duckdb.edits import Changes
from service.adapters.duckdb.parses import Part
from service.adapters.duckdb.rows import Rows, handed_over, read_from
from service.domain.columns import Column, ColumnType
from service.domain.datasets import Dataset


class TooWide(Exception):
    """Integer columns have values that 64 bits cannot hold: build anew with these wide."""

    def __init__(self, names: frozenset[str]) -> None:
        super().__init__(names)
        self.names = names


class Table:
    """The records of one generation of a dataset, in columns, as far as `end`.

    Beside a column for each of the dataset's, it has `p`, the position, and `r`, the record as the store
    holds it. Rows stand in the order of `p`, so an unsorted page needs no sort. Who holds a revision counts
    among the `users`; records are changed only where there are none (`idle`), and while they are, the table
    shows nothing (`closed`).
    """

    def __init__(self, number: int, directory: Path, dataset: Dataset, wide: frozenset[str]) -> None:
        self.name = dataset.name
        self.generation = dataset.generation
        self.edits = dataset.edits
        self.end = 0
        self.columns: dict[str, Stored] = {}
        self.wide = wide
        self.revision = 0
        self.users = 0
        self.used = 0
        self.idle = asyncio.Event()
        self.closed = False
        self.growths = 0
        self.growing = False
        self.size_bytes = 0
        self._schema = f"s{number}"
        self._path = directory / f"s{number}.duckdb"
        self._width = 0
        self.sql = f"{self._schema}.t"

    def create(self, cursor: duckdb.DuckDBPyConnection, columns: Sequence[Column]) -> None:
        """Make the empty table."""
        # Our own path: a number in a directory that we have made.
        cursor.execute(f"ATTACH {literal(str(self._path))} AS {self._schema} (STORAGE_VERSION 'latest')")
        # One statement: to add 2,000 columns one by one takes seconds.
        added = "".join(f", {stored.sql} {stored.sql_type}" for stored in map(self._store, columns))
        cursor.execute(f"CREATE TABLE {self.sql} (p BIGINT, r VARCHAR{added})")

    def takes(self, columns: Sequence[Column]) -> bool:
        """Return whether the columns, or those that may be added, are those of a revision."""
        held = self.columns
        return all(
            column.name not in held or held[column.name].column.type in {column.type, ColumnType.EMPTY}
            for column in columns
        )

    def shows(self, dataset: Dataset) -> bool:
        """Return whether all of a revision is here as it is there."""
        if self.closed:
            return False
        if self.revision == dataset.revision:
            return True
        return (
            self.generation == dataset.generation
            and self.edits == dataset.edits
            and self.end >= dataset.next_position
            and all(
                (stored := self.columns.get(column.name)) is not None
                and (stored.column == column or column.type is ColumnType.EMPTY)
                for column in dataset.schema.columns
            )
        )

    def widen(self, cursor: duckdb.DuckDBPyConnection, columns: Sequence[Column]) -> None:
        """Add the columns that are not here; one that had no value before gets the type that it has now."""
        for column in columns:
            held = self.columns.get(column.name)
            if held is None or held.column.type is not column.type:
                stored = self._store(column)
                cursor.execute(f"ALTER TABLE {self.sql} ADD COLUMN {stored.sql} {stored.sql_type}")
            elif held.column != column:
                self.columns[column.name] = Stored(column, held.sql, held.wide)

    def _store(self, column: Column) -> Stored:
        stored = Stored(column, f"c{self._width}", wide=column.name in self.wide)
        self._width += 1
        self.columns[column.name] = stored
        return stored

    def insert(
        self, cursor: duckdb.DuckDBPyConnection, positions: Sequence[int], records: Sequence[bytes]
    ) -> None:
        """Add records behind those that are there.

        Raises `TooWide` where an integer is too large for its column; the transaction is gone then.
        """
        self._with(cursor, self._insert(), "", handed_over(positions, records))

    def insert_lines(self, cursor: duckdb.DuckDBPyConnection, part: Part) -> None:
        """Add the records of a file behind those that are there. Raises `TooWide` as `insert` does."""
        self._with(cursor, self._insert(), "", read_from(part))

    def _insert(self) -> str:
        return f"INSERT INTO {self.sql} ({', '.join(self._names())})"

    def change(self, cursor: duckdb.DuckDBPyConnection, changes: Changes) -> None:
        """Put other records in the place of some, and remove some. Raises `TooWide` as `insert` does."""
        removed = [position for position, record in changes.items() if record is None]
        if removed:
            cursor.execute(f"DELETE FROM {self.sql} WHERE p IN (SELECT unnest($1))", [removed])
        kept = {position: record for position, record in changes.items() if record is not None}
        if kept:
            # Values of these types are changed in place: the rows' order stays.
            assigned = ", ".join(f"{name} = n.{name}" for name in self._names() if name != "p")
            update = f"UPDATE {self.sql} AS o SET {assigned} FROM ("
            self._with(cursor, update, ") AS n WHERE o.p = n.p", handed_over(list(kept), list(kept.values())))

    def _names(self) -> list[str]:
        return ["p", "r", *(stored.sql for stored in self.columns.values())]

    def _with(self, cursor: duckdb.DuckDBPyConnection, before: str, after: str, rows: Rows) -> None:
        """Run a statement around the rows of some records. Raises `TooWide`."""
        stored = list(self.columns.values())
        values = [
            from_text(
                filled(f"x[{at}]", textual=each.column.textual), each.column.type, wide=each.wide, strict=True
            )
            for at, each in enumerate(stored, start=1)
        ]
        named = [f"{value} AS {each.sql}" for value, each in zip(values, stored, strict=True)]
        extracted = ", json_extract_string(r, $paths) AS x" if stored else ""
        paths = {"paths": [pointer(each.column.name) for each in stored]} if stored else {}
        statement = (
            f"{before} SELECT {', '.join(['p', 'r', *named])} FROM "
            f"(SELECT p, r{extracted} FROM ({rows.sql})){after}"
        )
        try:
            cursor.execute(statement, {**rows.parameters, **paths})
        except duckdb.ConversionException:
            cursor.execute("ROLLBACK")
            raise TooWide(self._too_wide(cursor, rows)) from None

    def _too_wide(self, cursor: duckdb.DuckDBPyConnection, rows: Rows) -> frozenset[str]:
        found = set()
        for name, stored in self.columns.items():
            if stored.column.type is not ColumnType.INTEGER or stored.wide:
                continue
            text = filled("json_extract_string(r, $path)", textual=stored.column.textual)
            answer = cursor.execute(
                f"SELECT count(*) FROM (SELECT {text} AS x FROM ({rows.sql})) "
                "WHERE x IS NOT NULL AND TRY_CAST(x AS BIGINT) IS NULL",
                {**rows.parameters, "path": pointer(name)},
            ).fetchone()
            if answer is not None and answer[0]:
                found.add(name)
        return frozenset(found)

    def measure(self) -> int:
        """Note how large the files are, in bytes."""
        files = (self._path, self._path.with_name(self._path.name + ".wal"))
        self.size_bytes = sum(file.stat().st_size for file in files if file.exists())
        return self.size_bytes

    def drop(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Remove the table and its files."""
        cursor.execute(f"DETACH DATABASE IF EXISTS {self._schema}")
        self._path.unlink(missing_ok=True)
        self._path.with_name(self._path.name + ".wal").unlink(missing_ok=True)
