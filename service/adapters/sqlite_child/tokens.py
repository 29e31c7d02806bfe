"""SQL as tokens, by SQLite's own rules (https://sqlite.org/lang_keywords.html, its `tokenize.c`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
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
