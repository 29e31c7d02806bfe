"""One statement, from its text to its rows."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from service.adapters.sql_names import distinct
from service.adapters.sqlite_child.guards import Guard
from service.adapters.sqlite_child.messages import (
    Batch,
    Done,
    Mentions,
    Run,
    Setup,
    TableSpec,
    Written,
)
from service.adapters.sqlite_child.opening import confine, open_one
from service.adapters.sqlite_child.serial import understood
from service.adapters.sqlite_child.tokens import Token, TokenKind, tokens
from service.adapters.sqlite_child.views import attach, show
from service.adapters.sqlite_file import connect_gate, writing
from service.domain.errors import QueryFailed, WriteRefused

BATCH_BYTES = 128 << 10
"""What the service decodes at once, on its event loop: less than a millisecond."""

_STEPS_BETWEEN_LOOKS = 1000
_READS = frozenset({"select", "values", "with", "explain"})

Send = Callable[[Mentions | Batch | Written], None]
Ask = Callable[[Mentions], Sequence[TableSpec]]
Await = Callable[[], None]


class Session:
    """Runs one statement. `ask` tells the datasets of names; `send` takes rows; `commit` waits for leave."""

    def __init__(self, setup: Setup, modules: frozenset[str], *, ask: Ask, send: Send, commit: Await) -> None:
        self._path = Path(setup.path)
        self._storage = None if setup.storage_path is None else Path(setup.storage_path)
        self._limits = setup.limits
        self._modules = modules
        self._ask = ask
        self._send = send
        self._commit = commit
        self._deadline = time.monotonic() + setup.limits.timeout_s

    def run(self, order: Run) -> Done:
        """Run it. Raises `QueryFailed`, `WriteRefused`, `Stale`, and what SQLite raises of its file."""
        found = list(tokens(order.sql))
        if all(token.text == ";" for token in found):
            raise QueryFailed("There is no statement.")
        sql = understood(order.sql, found)
        tables = self._tables(found)
        if not order.writing or found[0].word in _READS:
            try:
                return self._read(sql, order.parameters, tables)
            except WriteRefused:
                if not order.writing:
                    raise
        return self._write(sql, order.parameters, tables)

    def _tables(self, found: Sequence[Token]) -> Sequence[TableSpec]:
        if self._storage is None:
            return ()
        names = {token.name.lower() for token in found if token.kind is not TokenKind.OTHER}
        return self._ask(Mentions(tuple(sorted(names))))

    def _read(self, sql: str, parameters: Any, tables: Sequence[TableSpec]) -> Done:
        with closing(open_one(self._path, self._limits, writing=False)) as connection:
            schema = self._attached(connection, tables)
            connection.execute("BEGIN")
            return self._guarded(connection, sql, parameters, tables, schema, writing=False)

    def _write(self, sql: str, parameters: Any, tables: Sequence[TableSpec]) -> Done:
        with (
            closing(open_one(self._path, self._limits, writing=True)) as connection,
            closing(connect_gate(self._path)) as gate,
        ):
            schema = self._attached(connection, tables)

            def change(connection: sqlite3.Connection) -> Done:
                done = self._guarded(connection, sql, parameters, tables, schema, writing=True)
                self._send(Written())
                self._commit()
                return done

            return writing(change, gate, self._deadline)(connection)

    def _attached(self, connection: sqlite3.Connection, tables: Sequence[TableSpec]) -> str | None:
        if self._storage is None or not tables:
            return None
        return attach(connection, self._storage)

    def _guarded(
        self,
        connection: sqlite3.Connection,
        sql: str,
        parameters: Any,
        tables: Sequence[TableSpec],
        schema: str | None,
        *,
        writing: bool,
    ) -> Done:
        inner = frozenset[str]() if schema is None else show(connection, schema, tables)
        shown = frozenset(table.alias.lower() for table in tables)
        confine(connection)
        guard = Guard(writing, shown, inner, self._modules)
        # The cursor is closed before the guard is lifted: what is left of the statement goes with it.
        with (
            self._watched(connection, guard),
            closing(connection.execute(sql, parameters)) as cursor,
        ):
            return Done() if cursor.description is None else self._rows(cursor)

    @contextmanager
    def _watched(self, connection: sqlite3.Connection, guard: Guard) -> Iterator[None]:
        """Hold the guard over what is run, and stop it at the time limit."""
        connection.set_authorizer(guard)
        connection.set_progress_handler(self._late, _STEPS_BETWEEN_LOOKS)
        try:
            yield
        except sqlite3.Error as error:
            if guard.refusal is None:
                raise
            raise (WriteRefused if guard.wrote else QueryFailed)(guard.refusal) from error
        finally:
            connection.set_progress_handler(None, 0)
            connection.set_authorizer(None)

    def _late(self) -> bool:
        return time.monotonic() > self._deadline

    def _rows(self, cursor: sqlite3.Cursor) -> Done:
        """Send the rows, as many as the limits let through."""
        columns = distinct([column[0] for column in cursor.description])
        truncated, batches = False, _Batches(columns, self._send)
        for number, row in enumerate(cursor):
            size_bytes = _json_bytes(columns, row)
            if size_bytes > self._limits.max_bytes:
                raise QueryFailed(
                    f"A row of the answer has more than {self._limits.max_bytes} bytes; ask for less of it."
                )
            if number == self._limits.max_rows or batches.total_bytes + size_bytes > self._limits.max_bytes:
                truncated = True
                break
            batches.add(row, size_bytes)
        batches.flush()
        return Done(truncated)


class _Batches:
    """Rows on their way, some at a time."""

    def __init__(self, columns: Sequence[str], send: Send) -> None:
        self._columns = tuple(columns)
        self._send = send
        self._rows: list[tuple[Any, ...]] = []
        self._pending_bytes = 0
        self.total_bytes = 0

    def add(self, row: Sequence[Any], size_bytes: int) -> None:
        self._rows.append(tuple(map(_finite, row)))
        self._pending_bytes += size_bytes
        self.total_bytes += size_bytes
        if self._pending_bytes >= BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        self._send(Batch(self._rows, self._columns))
        self._rows, self._pending_bytes, self._columns = [], 0, ()


def _finite(value: Any) -> Any:
    """Return a value that JSON has: an infinite number is none."""
    return None if isinstance(value, float) and value - value != 0 else value


def _json_bytes(columns: Sequence[str], row: Sequence[Any]) -> int:
    """Return about how many bytes of JSON a row has."""
    return sum(map(len, columns)) + sum(
        len(value) if isinstance(value, str) else len(value) * 4 // 3 if isinstance(value, bytes) else 8
        for value in chain(row)
    )
