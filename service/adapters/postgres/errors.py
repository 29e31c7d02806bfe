"""What the driver raises, turned into what the port raises: the one place that knows both.

Codes are SQLSTATEs: https://www.postgresql.org/docs/current/errcodes-appendix.html.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from service.adapters.postgres.driver import asyncpg
from service.domain.errors import (
    AeroliteError,
    Busy,
    OutcomeUnknown,
    OutOfSpace,
    StoreError,
    StoreUnavailable,
)

_DIGEST = re.compile(r"\\x([0-9a-f]{32})\b")

# 08: connection exceptions; 57P01-57P03, 57P05: the server shuts down, has crashed, starts, or ends the
# session; 25P03: the transaction stood idle for too long.
_SEVERED = re.compile(r"08...|57P0[1235]|25P03")

_SENTENCES: dict[str, tuple[type[AeroliteError], str]] = {
    "25006": (StoreUnavailable, "is read-only (a standby?), and the service needs to write"),
    "28000": (StoreUnavailable, "refuses the user of the URL"),
    "28P01": (StoreUnavailable, "refuses the user or the password of the URL"),
    "3D000": (StoreUnavailable, "has no such database"),
    "3F000": (StoreUnavailable, "has lost the service's tables"),
    "42501": (StoreUnavailable, "does not let the URL's user do this"),
    "42P01": (StoreUnavailable, "has lost the service's tables"),
    "53100": (OutOfSpace, "has no disk space left"),
    "53300": (StoreUnavailable, "has no connection left"),
    "40001": (Busy, "gave way to another write"),
    "40P01": (Busy, "gave way to another write"),
    "55P03": (Busy, "is busy with another write to the same dataset"),
}


NO_ROOM = [os.strerror(number) for number in (errno.EDQUOT, errno.EFBIG)]
"""What an operating system says at a quota, for which PostgreSQL has no code."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is, as sentences may show it; `secrets` are what they must not."""

    text: str
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, url: str, setting: str) -> Place:
        """Read it from the URL of a setting: hosts, ports and database, no user, password or parameter.

        Raises `StoreError` where it is no URL.
        """
        try:
            parts = urlsplit(url)
            if "," not in parts.netloc:  # several hosts are the driver's to read
                parts.port  # noqa: B018 - to look at a port is to check it
        except ValueError as error:
            raise StoreError(f"{setting} is no URL of PostgreSQL: {error}.") from None
        raw = parts.netloc.rpartition("@")[0].partition(":")[2]
        passwords = {raw, unquote(raw), *parse_qs(parts.query).get("password", ())}
        hosts = parts.netloc.rpartition("@")[2] or "the default host"
        return cls(f"PostgreSQL at {hosts}{parts.path} ({setting})", tuple(passwords - {""}))

    def redacted(self, message: object) -> str:
        """Return a message on one line, without a full stop at its end and without the password."""
        text = " ".join(str(message).split()).removesuffix(".")
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


class DigestTaken(StoreError):
    """A unique key is there already; the writer knows the key of this digest."""

    slug = "digest-taken"

    def __init__(self, digest: bytes) -> None:
        super().__init__("A unique key is there already.")
        self.digest = digest


@contextmanager
def translated(place: Place, *, committing: bool = False) -> Iterator[None]:
    """Let no exception of the driver out; `committing`: a lost connection leaves a commit in doubt."""
    try:
        yield
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        OSError,
        TimeoutError,
    ) as error:
        raise _translation(error, place, committing=committing) from error


def _translation(error: Exception, place: Place, *, committing: bool) -> AeroliteError:
    code = getattr(error, "sqlstate", None) or ""
    if isinstance(error, asyncpg.UniqueViolationError) and (found := _DIGEST.search(error.detail or "")):
        return DigestTaken(bytes.fromhex(found[1]))
    if isinstance(error, ValueError) and not isinstance(error, OSError):  # the driver's: nothing was sent
        return StoreError(f"{place.text} cannot be asked so: {place.redacted(error)}.")
    if not isinstance(error, asyncpg.PostgresError) or _SEVERED.fullmatch(code):
        if committing:
            return OutcomeUnknown(
                f"{place.text} went away during the commit: the write is there whole or not at all."
                " Look, or send it again with the same Idempotency-Key."
            )
        return StoreUnavailable(f"{place.text} {_severance(error, place)}.")
    kind, sentence = _SENTENCES.get(code, (StoreError, "failed"))
    if any(reason in str(error) for reason in NO_ROOM):
        kind, sentence = _SENTENCES["53100"]
    return kind(f"{place.text} {sentence} ({place.redacted(error)}).")


def _severance(error: Exception, place: Place) -> str:
    match error:
        case TimeoutError():
            return "does not answer"
        case socket.gaierror():
            return "cannot be found: its host name is unknown"
        case ConnectionRefusedError():
            return "does not answer: nothing listens there"
        case FileNotFoundError() | PermissionError():
            return f"cannot be reached: a file that the URL names cannot be read ({error.strerror})"
        case ssl.SSLError():
            return f"cannot be reached by TLS ({getattr(error, 'verify_message', place.redacted(error))})"
        case _:
            return f"cannot be reached ({place.redacted(error)})"
