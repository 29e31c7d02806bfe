"""Where in a statement SQLite found a mistake, which Python's module does not tell.

A message names the token. Where that occurs once, it is the place. Where a syntax error names one that occurs
more often, the parser says which: it reads from left to right, so the statement cut off behind a token has
the same mistake from the wrong one on, and merely no end before.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from service.adapters.sqlite_child.tokens import Token, tokens
from service.domain.errors import QueryFailed

_SYNTAX = re.compile(r'near "(.*)": syntax error', re.DOTALL)
_NAMED = re.compile(r"(?:no such (?:column|table|function)|ambiguous column name): (.*)", re.DOTALL)
_MAX_TRIALS = 100


class Place:
    """Finds places in the statement `sql`, which was `sent` as it was before serial was understood."""

    def __init__(self, sql: str, sent: str) -> None:
        self._sql = sql
        self._sent = sent

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn SQLite's complaints about the statement into `QueryFailed` with the position."""
        try:
            yield
        except sqlite3.OperationalError as error:
            position = self._position(str(error))
            if position is None:
                raise
            raise QueryFailed(str(error), position=position) from error
        except QueryFailed as error:
            position = self._position(error.detail)
            if position is not None:
                error.members.setdefault("position", position)
            raise

    def _position(self, message: str) -> int | None:
        """Return the character, from 1, or None where it is not known."""
        syntax, named = _SYNTAX.fullmatch(message), _NAMED.fullmatch(message)
        if syntax is not None:
            wrong = syntax[1]
            found = [token for token in tokens(self._sql) if token.text == wrong]
            return self._sent_at(self._first_wrong(found, message)) if found else None
        if named is not None:
            wrong = named[1].rpartition(".")[2].lower()
            found = [token for token in tokens(self._sql) if token.name.lower() == wrong]
            return self._sent_at(found[0]) if len(found) == 1 else None
        return None

    def _first_wrong(self, found: Sequence[Token], message: str) -> Token:
        with closing(sqlite3.connect(":memory:")) as connection:
            # Nothing is carried out: what parses to its end is then refused.
            connection.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)
            for token in found[:_MAX_TRIALS]:
                try:
                    connection.execute(self._sql[: token.start + len(token.text)])
                except sqlite3.Error as error:
                    if str(error) == message:
                        return token
        return found[-1]

    def _sent_at(self, token: Token) -> int:
        """Return where a token stands in the statement as it was sent."""
        if self._sql == self._sent:
            return token.start + 1
        pairs = zip(tokens(self._sql), tokens(self._sent), strict=True)
        return next(sent.start for ours, sent in pairs if ours.start == token.start) + 1
