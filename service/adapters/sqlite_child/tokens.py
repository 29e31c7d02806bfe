"""SQL as tokens, by SQLite's own rules (https://sqlite.org/lang_keywords.html, its `tokenize.c`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple


class TokenKind(StrEnum):
    """What a token is; `NAME` is a quoted identifier, `WORD` a bare one or a keyword."""

    WORD = "word"
    NAME = "name"
    TEXT = "text"
    OTHER = "other"


class Token(NamedTuple):
    """A token and where it begins, from 0."""

    kind: TokenKind
    text: str
    start: int

    @property
    def word(self) -> str:
        """The bare word in lower case; empty where it is none."""
        return self.text.lower() if self.kind is TokenKind.WORD else ""

    @property
    def name(self) -> str:
        """What it names where it stands for a table or column; SQLite takes texts for names, too."""
        if self.kind is TokenKind.WORD:
            return self.text
        if self.kind is TokenKind.OTHER:
            return ""
        quote = self.text[-1]
        inner = self.text[1:-1]
        return inner if quote == "]" else inner.replace(quote * 2, quote)


# What is not closed runs to the end, as in SQLite, which then refuses it (but for a comment). Nothing is
# scanned twice: a statement may have a mebibyte of brackets that are not closed.
_TOKENS = re.compile(
    r"""
      (?P<skip>   [ \t\n\f\r]+ | --[^\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<blob>   [xX]'[0-9a-fA-F]*' )
    | (?P<text>   '(?:[^']|'')*+(?:'|\Z) )
    | (?P<name>   "(?:[^"]|"")*+(?:"|\Z) | `(?:[^`]|``)*+(?:`|\Z) | \[[^\]]*+(?:\]|\Z) )
    | (?P<number> (?:[0-9]|\.[0-9])[0-9A-Za-z_.\x80-\U0010ffff]* )
    | (?P<bound>  [?@:$#][0-9A-Za-z_$:\x80-\U0010ffff]* )
    | (?P<word>   [A-Za-z_\x80-\U0010ffff][0-9A-Za-z_$\x80-\U0010ffff]* )
    | (?P<other>  . )
    """,
    re.VERBOSE | re.DOTALL,
)

_KINDS = {"word": TokenKind.WORD, "name": TokenKind.NAME, "text": TokenKind.TEXT}


def tokens(sql: str) -> Iterator[Token]:
    """Yield the tokens, without blanks and comments."""
    for match in _TOKENS.finditer(sql):
        group = match.lastgroup or ""
        if group != "skip":
            yield Token(_KINDS.get(group, TokenKind.OTHER), match.group(), match.start())


def altered(found: Sequence[Token]) -> list[Token]:
    """Return the names of tables in an ALTER TABLE: the old one, and the new one where it is renamed."""
    old = found[4:5] if [token.text for token in found[3:4]] == ["."] else found[2:3]
    words = [token.word for token in found]
    new = [
        found[place + 2] for place in range(len(found) - 2) if words[place : place + 2] == ["rename", "to"]
    ]
    return [*old, *new]


def made_view(found: Sequence[Token]) -> str | None:
    """Return the name of the view that a CREATE VIEW makes; None for any other statement."""
    words = [token.word for token in found]
    if words[:2] != ["create", "view"]:
        return None
    place = 5 if words[2:5] == ["if", "not", "exists"] else 2
    if [token.text for token in found[place + 1 : place + 2]] == ["."]:
        place += 2
    return next((token.name for token in found[place : place + 1]), None)


def strictly(sql: str, found: Sequence[Token]) -> str | None:
    """Return the statement with its names in double quotes in others; None where it has none of them.

    SQLite takes a name in double quotes that is no column for a text, and so a misspelt one
    (https://sqlite.org/quirks.html#dblquote).
    """
    pieces, end = [], 0
    for token in found:
        if token.text[0] == '"':
            pieces += [sql[end : token.start], "`", token.name.replace("`", "``"), "`"]
            end = token.start + len(token.text)
    return "".join([*pieces, sql[end:]]) if pieces else None
