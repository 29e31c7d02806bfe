"""Answers statements, one after the other, each as a few messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import duckdb
import msgspec

from service.adapters.duckdb_child.failures import Missing, Refused, failure, missing_table
from service.adapters.duckdb_child.messages import Answer, Columns, Done, Failed, Needs, Run, Some, encode_row
from service.adapters.duckdb_child.parsing import parse
from service.adapters.duckdb_child.sandbox import Sandbox
from service.adapters.duckdb_child.values import as_json
from service.adapters.sql_names import distinct

_FETCH_ROWS = 64
_MESSAGE_BYTES = 128 << 10
_ERRORS = (duckdb.Error, MemoryError, RecursionError, UnicodeError, ValueError, TypeError, OverflowError)
"""What DuckDB's client raises, some of it for parameters and values that it cannot turn into the other's."""


class Reader:
    """Runs statements, each in `memory_bytes`; the last one's tables stay open for the next."""

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        self._parser = Sandbox(memory_bytes, {})
        self._sandbox = self._parser

    def answer(self, run: Run) -> Iterator[Answer]:
        """Yield what is to be said to a statement."""
        try:
            yield from self._answer(run)
        except Missing as missing:
            yield Needs((missing.name,))
        except Refused as refused:
            yield Failed(refused.message, refused.position, refused.writes)
        except _ERRORS as error:
            yield failure(error, run.sql, self._memory_bytes)

    def _answer(self, run: Run) -> Iterator[Answer]:
        with closing(self._parser.connect()) as connection:
            parsed = parse(connection, run.sql)
        asked = tuple(name for name in parsed.names if name.lower() not in run.considered)
        if asked or (parsed.listing and run.listed is None):
            yield Needs(asked, parsed.listing)
            return
        try:
            rows = self._opened(run).run(run.sql, json.loads(run.parameters))
        except duckdb.CatalogException as error:
            # What the parser did not show, such as `query_table('a')`.
            name = missing_table(error)
            if name is None or name.lower() in run.considered:
                raise
            raise Missing(name) from None
        with closing(rows):
            yield Columns(tuple(distinct([column[0] for column in rows.description or ()])))
            yield from _rows(rows, run.max_rows, run.max_bytes)

    def _opened(self, run: Run) -> Sandbox:
        if self._sandbox.contents != (run.tables, listed := run.listed or ()):
            opened, self._sandbox = self._sandbox, self._parser
            if opened is not self._parser:
                opened.close()
            self._sandbox = Sandbox(self._memory_bytes, run.tables, listed)
        return self._sandbox


def _rows(rows: duckdb.DuckDBPyConnection, max_rows: int, max_bytes: int) -> Iterator[Answer]:
    """Yield rows as far as they may go. Raises `Refused` for one that is too large by itself."""
    left_rows, left_bytes = max_rows, max_bytes
    pending: list[msgspec.Raw] = []
    pending_bytes = 0
    while found := rows.fetchmany(_FETCH_ROWS):
        for row in found:
            encoded = encode_row(as_json(row))
            if len(encoded) > max_bytes:
                raise Refused(f"A row of the answer has more than {max_bytes} bytes.")
            if not left_rows or len(encoded) > left_bytes:
                yield Some(pending)
                yield Done(truncated=True)
                return
            left_rows -= 1
            left_bytes -= len(encoded)
            pending.append(msgspec.Raw(encoded))
            pending_bytes += len(encoded)
            if pending_bytes > _MESSAGE_BYTES:
                yield Some(pending)
                pending, pending_bytes = [], 0
    yield Some(pending)
    yield Done(truncated=False)
