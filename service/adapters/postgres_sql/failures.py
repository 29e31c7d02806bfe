"""What a server answers to a client's statement, as errors of the port."""

from __future__ import annotations

import re
from typing import Any

from service.adapters.postgres.errors import NO_ROOM, Place
from service.adapters.postgres_sql.wire import Refused
from service.domain.errors import (
    AeroliteError,
    Busy,
    OutOfSpace,
    QueryFailed,
    StoreUnavailable,
    WriteRefused,
)

_MAX_CHARS = 4000

# https://www.postgresql.org/docs/current/errcodes-appendix.html: what is wrong with the server or the way
# to it, where it has hung up: class 08, shutting down, crashed, starting, terminated.
_AWAY = re.compile(r"08...|57P0[1235]|25P03")

# A function of a client may raise any error; the routine that has raised it tells.
_RAISED = "exec_stmt_raise"


def failure_of(refused: Refused, place: Place, *, writing: bool, timeout_s: float) -> AeroliteError:
    """Return what an answer of the server to a client's statement comes to."""
    fields = refused.fields
    message = place.redacted(fields.get("M", ""))[:_MAX_CHARS]
    if refused.ends_session and _AWAY.fullmatch(refused.code):
        return StoreUnavailable(f"{place.text} has ended the session ({message}).")
    found: AeroliteError = _refusal(fields)
    code = refused.code
    if any(reason in message for reason in NO_ROOM):
        code = "53100"
    match "" if fields.get("R") == _RAISED else code:
        case "25006" if not writing:
            found = WriteRefused(message, sqlstate=refused.code)
        case "40001" | "40P01" | "55P03":
            found = Busy(f"{place.text}: {message}. Try again.")
        case "53100":
            found = OutOfSpace(f"{place.text} has no disk space left ({message}).")
        case "57014":
            found = too_slow(timeout_s)
    return found


def too_slow(timeout_s: float) -> QueryFailed:
    """Return the error of a statement that took too long."""
    return QueryFailed(f"The statement was stopped: it took longer than {timeout_s:g} s.", sqlstate="57014")


def too_large(max_bytes: int, *, of_row: bool) -> QueryFailed:
    """Return the error of a statement that answers more than anybody can take in."""
    what = "A row of the answer has" if of_row else "The answer, or what is said beside it, has far"
    return QueryFailed(f"{what} more than {max_bytes} bytes; ask for less of it. Nothing was written.")


def _refusal(fields: dict[str, str]) -> QueryFailed:
    """Return the database's own words, and where in the statement it means."""
    members: dict[str, Any] = {"sqlstate": fields.get("C", "")}
    if fields.get("P", "").isdigit():
        members["position"] = int(fields["P"])
    if "H" in fields:
        members["hint"] = fields["H"][:_MAX_CHARS]
    message = fields.get("M", "") + (f" ({fields['D']})" if "D" in fields else "")
    return QueryFailed(message[:_MAX_CHARS], **members)
