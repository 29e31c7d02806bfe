"""Whatever the driver of Redis raises becomes an error of the port, and tells whether anything was written."""

from __future__ import annotations

import ssl

import pytest
from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,  # noqa: A004 - the driver's
    InvalidResponse,
    MasterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    ResponseError,
    SlotNotCoveredError,
    TimeoutError,  # noqa: A004 - the driver's
    TryAgainError,
)

from service.adapters.redis.failures import Exchange, translated
from service.domain.errors import OutcomeUnknown, OutOfSpace, StoreError, StoreUnavailable

REFUSALS = [
    (AuthenticationError("invalid username-password pair"), "refused the user or the password"),
    (NoPermissionError("this user has no permissions"), "does not allow the user"),
    (BusyLoadingError("Redis is loading the dataset in memory"), "is loading its data"),
    (ClusterDownError("The cluster is down"), "belongs to a cluster that does not serve all slots"),
    (MasterDownError("Link with MASTER is down"), "belongs to a cluster"),
    (TryAgainError("Multiple keys request during rehashing of slot"), "is handing the dataset over"),
    (AskError("12 127.0.0.1:7001"), "is handing the dataset over"),
    (MovedError("12 127.0.0.1:7001"), "must be redis+cluster://"),
    (ReadOnlyError("You can't write against a read only replica."), "is a read-only replica"),
    (
        ResponseError("Error running script: @user_script:1: -READONLY You can't write"),
        "is a read-only replica",
    ),
    (ResponseError("MISCONF Redis is configured to save RDB snapshots"), "cannot write to its disk"),
    (ResponseError("NOREPLICAS Not enough good replicas to write."), "has too few replicas"),
    (ResponseError("BUSY Redis is busy running a script."), "is busy with a script"),
    (ConnectionError("max number of clients reached"), "has no connection left"),
    (ResponseError("DB index is out of range"), "has no database of that number"),
    (RedisClusterException("Cluster mode is not enabled on this node"), "is no node of a cluster"),
]

FULL = [
    OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
    ResponseError("Error running script: @user_script:9: -OOM command not allowed when used memory"),
    ResponseError("MISCONF Errors writing to the AOF file: No space left on device"),
]

SILENCE = [
    ConnectionError("Connection closed by server."),
    TimeoutError("Timeout reading from socket"),
    InvalidResponse("Protocol error"),
    TimeoutError(),
    OSError(104, "Connection reset by peer"),
    SlotNotCoveredError('Slot "12" is not covered by the cluster.'),
]


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize(("error", "words"), REFUSALS)
def test_a_refusal_is_no_outcome(error: Exception, words: str, commits: bool) -> None:
    """A server that says no has done nothing, also where a commit was sent."""
    with pytest.raises(StoreUnavailable) as caught, translated("here", Exchange(commits, sent=True)):
        raise error
    assert words in str(caught.value)
    assert str(caught.value).startswith("Redis at here ")


@pytest.mark.parametrize("error", FULL)
def test_no_room_is_told_as_such(error: Exception) -> None:
    """Memory or disk: there is no room, and nothing was written."""
    with (
        pytest.raises(OutOfSpace, match="nothing was written"),
        translated("here", Exchange(True, sent=True)),
    ):
        raise error


@pytest.mark.parametrize("error", SILENCE, ids=repr)
def test_silence_is_an_outcome_only_where_a_commit_was_sent(error: Exception) -> None:
    """Before it was sent, or where nothing was to be committed, nothing was written."""
    for exchange in (Exchange(True, sent=False), Exchange(False, sent=True)):
        with pytest.raises(StoreUnavailable, match="nothing was written"), translated("here", exchange):
            raise error
    with (
        pytest.raises(OutcomeUnknown, match="whole or not there"),
        translated("here", Exchange(True, sent=True)),
    ):
        raise error


def test_what_the_cluster_client_wraps_is_unwrapped() -> None:
    """Its last node's answer is what counts."""
    with pytest.raises(StoreUnavailable, match="refused the user"), translated("here", Exchange()):
        raise RedisClusterException("cannot be connected") from AuthenticationError("WRONGPASS")


def test_a_failure_of_tls_is_told_as_such() -> None:
    """The reason is that of the handshake, not of the socket."""
    handshake, certificate = ssl.SSLError(), ssl.SSLCertVerificationError()
    handshake.reason, certificate.verify_message = "WRONG_VERSION_NUMBER", "self-signed certificate"

    def connect(cause: ssl.SSLError) -> None:
        try:
            raise cause
        except ssl.SSLError:
            raise ConnectionError("Error 1 connecting to here")  # noqa: B904 - as the driver does

    for cause, words in ((handshake, "TLS: WRONG_VERSION_NUMBER"), (certificate, "TLS: self-signed")):
        with pytest.raises(StoreUnavailable, match=words), translated("here", Exchange()):
            connect(cause)


def test_an_unforeseen_answer_is_an_error_of_the_store() -> None:
    """Nothing of the driver's passes, and what Redis said is told."""
    with pytest.raises(StoreError, match="answered: WRONGTYPE") as caught, translated("here", Exchange()):
        raise ResponseError("WRONGTYPE Operation against a key")
    assert type(caught.value) is StoreError


def test_what_is_not_the_drivers_passes() -> None:
    """A mistake of ours is not dressed up as an outage."""
    with pytest.raises(ZeroDivisionError), translated("here", Exchange()):
        raise ZeroDivisionError
