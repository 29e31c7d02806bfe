"""What kind a statement is of, by its first word: PostgreSQL's own parser sees to everything else.

A statement of PostgreSQL begins with an unquoted keyword, which tells its kind. Those that would steer the
session or the transaction are refused before they are sent.
"""

from __future__ import annotations

import re

from service.domain.errors import QueryFailed

READS = frozenset({"SELECT", "VALUES", "TABLE", "WITH"})
"""Statements that answer while they run; all others have done their work before their first row."""

MAKES = frozenset({"CREATE", "DO", "CALL"})
"""Statements whose names without a schema may be those of something new."""

_RUN = READS | {
    *("INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE"),
    *("CREATE", "ALTER", "DROP", "COMMENT", "GRANT", "REVOKE", "REFRESH", "REINDEX", "CLUSTER"),
    *("EXPLAIN", "SHOW", "ANALYZE", "ANALYSE", "DO", "CALL"),
}

UNSENDABLE = re.compile("[\\0\ud800-\udfff]")
"""What is no text to PostgreSQL."""

_OWN_TRANSACTION = frozenset({"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE"})

# https://www.postgresql.org/docs/current/sql-syntax-lexical.html: comments with -- end with the line,
# others nest. An empty statement is none, so a semicolon may come first.
_SKIPPED = re.compile(r"[\s(;]+|--[^\n\r]*")
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_WORD = re.compile(r"[A-Za-z_\x80-\U0010ffff][\w$]*")


def kind_of(sql: str) -> str:
    """Return the first word of a statement, in capitals, or nothing where it begins with none.

    Raises `QueryFailed` where statements of the kind are not run.
    """
    if stray := UNSENDABLE.search(sql):
        raise QueryFailed("A statement holds no such character.", position=stray.start() + 1)
    start = _start(sql)
    word = _WORD.match(sql, start)
    if word is None:
        return ""
    kind = word[0].upper()
    if kind not in _RUN:
        raise QueryFailed(f"{kind[:64]} is not run here{_reason(kind)}.", position=start + 1)
    return kind


def _reason(kind: str) -> str:
    if kind in _OWN_TRANSACTION:
        return ": each statement is a transaction of its own"
    if kind in {"SET", "RESET", "DISCARD", "PREPARE", "EXECUTE", "DEALLOCATE", "LISTEN", "DECLARE", "FETCH"}:
        return ": nothing of a session outlives its statement"
    if kind == "COPY":
        return ": rows come by SELECT and go by INSERT"
    return ""


def _start(sql: str) -> int:
    """Return where the first word begins, behind blanks, comments and parentheses."""
    at = 0
    while True:
        if skipped := _SKIPPED.match(sql, at):
            at = skipped.end()
        elif sql.startswith("/*", at):
            at = _end_of_comment(sql, at)
        else:
            return at


def _end_of_comment(sql: str, start: int) -> int:
    depth = 0
    for edge in _COMMENT_EDGE.finditer(sql, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(sql)  # it never ends, which PostgreSQL says better
