"""One statement in one session, from its parsing to its commit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from service.adapters.postgres.errors import Place
from service.adapters.postgres_sql import guard, messages
from service.adapters.postgres_sql.failures import failure_of, too_large
from service.adapters.postgres_sql.guard import Closing, Finding, Sight
from service.adapters.postgres_sql.messages import Field
from service.adapters.postgres_sql.parameters import written
from service.adapters.postgres_sql.sessions import Session
from service.adapters.postgres_sql.statements import MAKES, READS
from service.adapters.postgres_sql.values import read_rows
from service.adapters.postgres_sql.wire import Answer, Garbled, Lost, Overflow, Refused
from service.adapters.sql_names import distinct
from service.domain.errors import OutcomeUnknown, QueryFailed, StoreUnavailable
from service.ports.database import Bounds, Rows, Statement

_FIRST_ROWS = 100
"""Rows asked for at once where what lies behind the bounds has to be waited for."""

_INLINE_BYTES = 1 << 16


class Running:
    """A statement of a kind in a session; `bounds` are its."""

    def __init__(
        self, session: Session, statement: Statement, kind: str, bounds: Bounds, place: Place
    ) -> None:
        self._session = session
        self._statement = statement
        self._kind = kind
        self._bounds = bounds
        self._place = place
        self._parsed = Answer()
        self._sight = Sight()
        self._wrote = False

    async def begin(self, sight: Sight) -> frozenset[Finding]:
        """Begin the transaction, parse the statement, and return what is wrong with the session.

        Raises `StoreError`; what is wrong with the statement `rows` says.
        """
        self._sight = sight
        opening = messages.query(
            guard.opening(sight, writing=self._statement.writing, making=self._kind in MAKES)
        )
        parsing = messages.parse(self._statement.sql) + messages.describe_statement() + messages.SYNC
        try:
            opened, self._parsed = await self._session.ask_all(
                (opening, Answer(room_bytes=_INLINE_BYTES)), (parsing, Answer())
            )
            opened.checked()
        except TimeoutError as error:
            raise StoreUnavailable(f"{self._place.text} does not answer.") from error
        except (Lost, Refused, Overflow) as error:
            raise StoreUnavailable(
                f"{self._place.text} does not begin a transaction ({self._place.redacted(error)})."
            ) from error
        return guard.findings(messages.row_values(opened.rows[0]))

    async def run(self) -> Rows | None:
        """Run the statement, and return its answer; `commit` is still to come.

        Raises what `Database.run` raises, and `TimeoutError` where the server does not answer.
        """
        try:
            parsed = self._parsed.checked()
            rows, truncated = await self._fetch(parsed)
            if self._statement.writing:
                await self._close(truncated=truncated)
        except Refused as refused:
            raise self._failure(refused) from None
        except Overflow as overflow:
            raise too_large(self._bounds.max_bytes, of_row=overflow.of_row) from None
        except Garbled:
            raise _garbled() from None
        except Lost as error:
            raise StoreUnavailable(f"{self._place.text} has gone away ({error}).") from error
        if parsed.fields is None:
            return None
        columns = tuple(distinct([field.name for field in parsed.fields]))
        return Rows(columns, await _values(parsed.fields, rows), truncated)

    async def _fetch(self, parsed: Answer) -> tuple[list[bytes], bool]:
        """Return the rows, one after the other, and whether there were more.

        Where the statement may write, it is asked for portions, so that what does not fit is waited for and
        the transaction goes on; else the session is just ended.
        """
        writing, wanted = self._statement.writing, self._bounds.max_rows + 1
        rows: list[bytes] = []
        room_bytes = self._bounds.max_bytes
        request = messages.bind(written(self._statement.parameters, parsed.types))
        while True:
            request += messages.execute(min(wanted - len(rows), _FIRST_ROWS) if writing else wanted)
            answer = await self._session.ask(
                request + messages.SYNC, Answer(room_bytes=room_bytes, hurried=not writing)
            )
            rows += answer.rows
            if answer.cut or len(rows) >= wanted:
                return rows[: wanted - 1], True
            if not answer.more:
                if answer.tag is None:
                    raise QueryFailed("There is no statement.")
                return rows, False
            room_bytes, request = answer.room_bytes, b""

    async def _close(self, *, truncated: bool) -> None:
        """Look at what the transaction has done."""
        looked = await self._session.ask(
            messages.query(guard.closing(self._sight)), Answer(room_bytes=_INLINE_BYTES)
        )
        closing = Closing.of(messages.row_values(looked.rows[0]))
        if closing.changed_roles:
            raise QueryFailed("Roles and their settings are not changed here; nothing was written.")
        if closing.taken:
            raise QueryFailed(f"There is a dataset called {closing.taken}; choose another name.")
        self._wrote = closing.wrote
        if truncated and closing.wrote and self._kind in READS:
            raise QueryFailed(
                f"The statement writes while it answers more than {self._bounds.max_rows} rows or"
                f" {self._bounds.max_bytes} bytes; nothing was written."
            )

    async def commit(self) -> None:
        """Commit, where something was written. Raises `OutcomeUnknown`, and what a commit may find wrong."""
        if not self._wrote:
            return
        try:
            await self._session.ask(messages.query(guard.COMMIT))
        except Refused as refused:
            if not refused.ends_session:
                raise self._failure(refused) from None
            raise self._unknown() from refused
        except (Lost, TimeoutError) as error:
            raise self._unknown() from error

    def _unknown(self) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"{self._place.text} went away during the commit: what was written is there whole or not at all."
        )

    def _failure(self, refused: Refused) -> Exception:
        bounds, writing = self._bounds, self._statement.writing
        return failure_of(refused, self._place, writing=writing, timeout_s=bounds.timeout_s)


async def _values(fields: Sequence[Field], rows: Sequence[bytes]) -> Sequence[tuple[Any, ...]]:
    """Return the values of rows; of many, in a thread. Raises `QueryFailed`."""
    try:
        if sum(map(len, rows)) > _INLINE_BYTES:
            return await asyncio.to_thread(read_rows, fields, rows)
        return read_rows(fields, rows)
    except (ValueError, IndexError):  # what was cut off does not say any more that its encoding has changed
        raise _garbled() from None


def _garbled() -> QueryFailed:
    return QueryFailed("Answers come in UTF-8: leave client_encoding as it is.")
