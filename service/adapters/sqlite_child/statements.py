"""One statement, from its text to its end."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.adapters.sqlite_child.guards import Guard
from service.adapters.sqlite_child.messages import Batch, Done, Mentions, Run, Setup, TableSpec
from service.adapters.sqlite_child.opening import confine, open_one
from service.adapters.sqlite_child.positions import Place
from service.adapters.sqlite_child.rows import send_rows
from service.adapters.sqlite_child.serial import understood
from service.adapters.sqlite_child.tokens import Token, TokenKind, altered, made_view, strictly, tokens
from service.adapters.sqlite_child.views import attach, hidden, quoted, show
from service.adapters.sqlite_file import connect_gate, writing
from service.domain.errors import QueryFailed, WriteRefused

_STEPS_BETWEEN_LOOKS = 1000
_READS = frozenset({"select", "values", "with", "explain"})
_STRICT = frozenset({"select", "values", "with", "insert", "replace", "update", "delete"})

Ask = Callable[[Mentions], Sequence[TableSpec]]
Send = Callable[[Batch], None]
Leave = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement as SQLite gets it, the datasets that it may mean, and the `view` that it makes.

    `strict` is the same with its names so that SQLite takes them for nothing else; None where there is none.
    """

    sql: str
    parameters: Any
    tables: Sequence[TableSpec]
    altering: bool = False
    view: str | None = None
    strict: str | None = None


class Session:
    """Runs one statement. `ask` tells the datasets of names, `send` takes rows, `commit` waits for leave."""

    def __init__(self, setup: Setup, modules: frozenset[str], *, ask: Ask, send: Send, commit: Leave) -> None:
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
        found = [token for token in tokens(order.sql) if token.text != ";"]
        if not found:
            raise QueryFailed("There is no statement.")
        statement = self._prepared(order, found)
        with Place(statement.sql, order.sql).told():
            if order.writing and found[0].word not in _READS:
                return self._write(statement)
            try:
                return self._read(statement)
            except WriteRefused:
                if not order.writing:
                    raise
                return self._write(statement)

    def _prepared(self, order: Run, found: Sequence[Token]) -> Prepared:
        sql = understood(order.sql, found)
        if found[0].word == "alter":
            # SQLite rewrites views whose tables it renames, so there must be none of ours.
            for table in self._tables(altered(found)):
                raise QueryFailed(f"{table.alias} is the name of a dataset, which SQL only reads.")
            return Prepared(sql, order.parameters, (), altering=True)
        strict = strictly(sql, found) if sql is order.sql and found[0].word in _STRICT else None
        return Prepared(sql, order.parameters, self._tables(found), view=made_view(found), strict=strict)

    def _tables(self, found: Sequence[Token]) -> Sequence[TableSpec]:
        names = {token.name.lower() for token in found if token.kind is not TokenKind.OTHER}
        # Also where there is no storage: a word tells the service that the statement has been taken up.
        return self._ask(Mentions(tuple(sorted(names))))

    def _read(self, statement: Prepared) -> Done:
        with closing(open_one(self._path, self._limits, writing=False)) as connection:
            schema = self._attached(connection, statement)
            connection.execute("BEGIN")
            return self._guarded(connection, statement, schema, writing=False)

    def _write(self, statement: Prepared) -> Done:
        with (
            closing(open_one(self._path, self._limits, writing=True)) as connection,
            closing(connect_gate(self._path)) as gate,
        ):
            schema = self._attached(connection, statement)

            def change(connection: sqlite3.Connection) -> Done:
                done = self._guarded(connection, statement, schema, writing=True)
                if statement.view is not None:
                    _check(connection, statement.view)
                self._commit()
                return done

            return writing(change, gate, self._deadline)(connection)

    def _attached(self, connection: sqlite3.Connection, statement: Prepared) -> str | None:
        if self._storage is None or not statement.tables:
            return None
        return attach(connection, self._storage)

    def _guarded(
        self, connection: sqlite3.Connection, statement: Prepared, schema: str | None, *, writing: bool
    ) -> Done:
        """Run the statement within a transaction, and send its rows."""
        guard = Guard(writing, statement.altering, modules=self._modules)
        if schema is not None:
            guard.shown = frozenset(table.alias.lower() for table in statement.tables)
            guard.inner = show(connection, schema, statement.tables)
            guard.hidden = hidden(connection, schema, guard.shown)
        confine(connection)
        # The cursor is closed before the guard is lifted: what is left of the statement goes with it.
        parameters = _bindable(statement.parameters)
        with self._watched(connection, guard):
            if statement.strict is not None:
                connection.execute(f"EXPLAIN {statement.strict}", parameters).close()
            cursor = connection.execute(statement.sql, parameters)
            with closing(cursor):
                return Done() if cursor.description is None else send_rows(cursor, self._limits, self._send)

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


def _bindable(parameters: Any) -> Any:
    """Return parameters as SQLite's: arrays and objects as JSON, which is what it has for them."""
    if isinstance(parameters, dict):
        return dict(zip(parameters, _bindable(list(parameters.values())), strict=True))
    return [json.dumps(value) if isinstance(value, list | dict) else value for value in parameters]


def _check(connection: sqlite3.Connection, view: str) -> None:
    """Refuse a view that cannot be read: SQLite would take it, and then refuse to rename any table."""
    try:
        connection.execute(f"EXPLAIN SELECT * FROM main.{quoted(view)}")  # noqa: S608 - quoted
    except sqlite3.OperationalError as error:
        raise QueryFailed(
            f"{error} (a client's view reads tables of its own database, not datasets)"
        ) from error
