"""The one place where the driver's exceptions end.

Messages name the setting and the server's host and port. They never hold the URL, which carries the password.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)

from service.domain.errors import OutcomeUnknown, OutOfSpace, StoreError, StoreUnavailable


class Redirected(StoreUnavailable):
    """Another node serves the slot; nothing was done."""


@dataclass(slots=True)
class Exchange:
    """What is asked of a server: whether it ends a write, and whether the server may have heard it."""

    commits: bool = False
    sent: bool = False


@contextmanager
def translated(server: str, exchange: Exchange) -> Iterator[None]:
    """Raise `StoreUnavailable`, `OutcomeUnknown` or `OutOfSpace` for whatever the driver raises inside."""
    try:
        yield
    except RedisClusterException as error:
        # The cluster client wraps what its last node said.
        raise translation(error.__cause__ or error, server, exchange) from error
    except (RedisError, OSError, TimeoutError) as error:
        raise translation(error, server, exchange) from error


_REFUSED: tuple[tuple[type[BaseException], str], ...] = (
    (AuthenticationError, "refused the user or the password"),
    (NoPermissionError, "does not allow the user what Aerolite needs"),
    (BusyLoadingError, "is loading its data from disk"),
    (ClusterDownError, "belongs to a cluster that does not serve all slots now"),
    (TryAgainError, "is handing the dataset over to another node of the cluster"),
    (AskError, "is handing the dataset over to another node of the cluster"),
)
"""Answers that are refusals by their class: the server did nothing."""

_REFUSED_TEXTS = (
    ("READONLY", "is a read-only replica: the URL must name the primary"),
    ("You can't write against a read only", "is a read-only replica: the URL must name the primary"),
    ("DB index is out of range", "has no database of that number"),
    ("invalid DB index", "has no database of that number"),
    ("SELECT is not allowed in cluster mode", "is a node of a cluster: the URL must be redis+cluster://"),
    ("cluster support disabled", "is no node of a cluster: the URL must be redis://"),
    ("Cluster mode is not enabled", "is no node of a cluster: the URL must be redis://"),
    ("MISCONF", "cannot write to its disk"),
    ("NOREPLICAS", "has too few replicas to accept writes"),
    ("BUSY", "is busy with a script of somebody else's"),
    ("max number of clients", "has no connection left for this client"),
)


_NO_ROOM = (
    ("OOM command not allowed", "has no memory left (maxmemory)"),
    ("used memory > 'maxmemory'", "has no memory left (maxmemory)"),
    ("No space left on device", "has no room left on its disk"),
)


def translation(error: BaseException, server: str, exchange: Exchange) -> StoreError:
    """Return what one of the driver's exceptions means."""
    text = str(error)
    for words, meaning in _NO_ROOM:
        if words in text:
            return OutOfSpace(f"Redis at {server} {meaning}; nothing was written.")
    if isinstance(error, MovedError):
        return Redirected(clustered(server))
    refusal = _refusal(error, text)
    if refusal is not None:
        return StoreUnavailable(f"Redis at {server} {refusal}.")
    if isinstance(error, ResponseError):
        return StoreError(f"Redis at {server} answered: {text}")
    if exchange.commits and exchange.sent:
        return OutcomeUnknown(
            f"The connection to Redis at {server} died during the commit: the write is whole or not there."
        )
    return StoreUnavailable(f"Redis at {server} does not answer ({_reason(error)}); nothing was written.")


def clustered(server: str) -> str:
    """Say that a server must not be used alone."""
    return f"Redis at {server} is a node of a cluster: the URL must be redis+cluster://."


def _refusal(error: BaseException, text: str) -> str | None:
    """Return what an answer says for which the server did nothing."""
    kinds = (meaning for kind, meaning in _REFUSED if isinstance(error, kind))
    texts = (meaning for words, meaning in _REFUSED_TEXTS if words in text)
    return next(kinds, None) or next(texts, None)


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError) or not str(error):
        return "it was silent for too long"
    cause = error.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"TLS: {cause.verify_message}"
    if isinstance(cause, (FileNotFoundError, PermissionError)):
        return f"TLS: a file that the URL names cannot be read: {cause.strerror}"
    if isinstance(cause, ssl.SSLError):
        return f"TLS: {cause.reason}"
    return str(error).removesuffix(".")
