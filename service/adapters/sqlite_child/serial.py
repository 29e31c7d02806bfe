"""`serial`: what other databases count by themselves, understood as SQLite's integer primary key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from service.adapters.sqlite_child.tokens import Token, TokenKind
from service.domain.errors import QueryFailed

SERIALS = frozenset({"serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"})

_CONSTRAINTS = frozenset({"constraint", "primary", "unique", "check", "foreign"})


def understood(sql: str, tokens: Sequence[Token]) -> str:
    """Return the statement with each serial column of a new table as an integer primary key.

    Raises `QueryFailed` where a serial column is not the primary key: SQLite counts nothing else.
    """
    serials = [token for token in _types(tokens) if token.word in SERIALS]
    for token in reversed(serials):
        sql = sql[: token.start] + "integer" + sql[token.start + len(token.text) :]
    return sql


def _types(tokens: Sequence[Token]) -> Iterator[Token]:
    """Yield the tokens that are the type of a column that is being made."""
    words = [token.word for token in tokens]
    if words[:1] == ["create"] and "table" in words[1:3]:
        definitions = list(_definitions(tokens))
        keyed = _key_of(definitions)
        without_rowid = any(pair == ("without", "rowid") for pair in pairwise(words))
        for definition in definitions:
            if _is_column(definition) and len(definition) > 1 and definition[1].word in SERIALS:
                if without_rowid or not _is_key(definition, keyed):
                    raise _uncounted(definition)
                yield definition[1]
    elif words[:2] == ["alter", "table"] and "add" in words:
        added = words.index("add") + 1
        definition = tokens[added + (words[added : added + 1] == ["column"]) :]
        if len(definition) > 1 and definition[1].word in SERIALS:
            raise _uncounted(definition)


def _definitions(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """Yield what stands between the commas of the first parentheses."""
    depth, begin = 0, 0
    for place, token in enumerate(tokens):
        if token.kind is not TokenKind.OTHER:
            continue
        if token.text == "(":
            depth += 1
            if depth == 1:
                begin = place + 1
        elif depth == 1 and token.text in {",", ")"}:
            yield tokens[begin:place]
            begin = place + 1
        if token.text == ")":
            depth -= 1
            if depth == 0:
                return


def _is_column(definition: Sequence[Token]) -> bool:
    return bool(definition) and definition[0].word not in _CONSTRAINTS


def _key_of(definitions: Sequence[Sequence[Token]]) -> str | None:
    """Return the column, in lower case, that a constraint of the table makes its primary key."""
    for definition in definitions:
        words = [token.word for token in definition]
        if not _is_column(definition) and words[-5:-3] == ["primary", "key"]:
            return definition[-2].name.lower()
    return None


def _is_key(definition: Sequence[Token], keyed: str | None) -> bool:
    words = [token.word for token in definition]
    for place, word in enumerate(words):
        if word == "primary" and words[place + 1 : place + 2] == ["key"]:
            return words[place + 2 : place + 3] != ["desc"]  # which counts nothing, by an old mistake
    return definition[0].name.lower() == keyed


def _uncounted(definition: Sequence[Token]) -> QueryFailed:
    name, kind = definition[0].name, definition[1]
    return QueryFailed(
        f"{name[:64]!r} is {kind.word} and not the primary key; SQLite counts by itself only in the one"
        " column that is the primary key of a new table. Make it integer, or the primary key.",
        position=kind.start + 1,
    )
