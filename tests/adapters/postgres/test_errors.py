"""What the driver raises, and what becomes of it."""

from __future__ import annotations

import ssl

import asyncpg
import pytest

from service.adapters.postgres.errors import DigestTaken, Place, translated
from service.domain.errors import (
    AeroliteError,
    Busy,
    OutcomeUnknown,
    OutOfSpace,
    StoreError,
    StoreUnavailable,
)

PLACE = Place.of("postgresql://u:s3cret@db.example:5432/d", "STORAGE_URL")


def answer(error: Exception, *, committing: bool = False) -> AeroliteError:
    """Return what comes out where this is raised."""
    with pytest.raises(AeroliteError) as caught, translated(PLACE, committing=committing):
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionResetError(104, "reset"), StoreUnavailable),
        (TimeoutError(), StoreUnavailable),
        (ssl.SSLCertVerificationError("self-signed"), StoreUnavailable),
        (asyncpg.InterfaceError("connection is closed"), StoreUnavailable),
        (asyncpg.ConnectionDoesNotExistError("closed in the middle"), StoreUnavailable),
        (asyncpg.AdminShutdownError("terminating"), StoreUnavailable),
        (asyncpg.CannotConnectNowError("starting up"), StoreUnavailable),
        (asyncpg.TooManyConnectionsError("too many clients"), StoreUnavailable),
        (asyncpg.UndefinedTableError("relation"), StoreUnavailable),
        (asyncpg.InsufficientPrivilegeError("denied"), StoreUnavailable),
        (asyncpg.ReadOnlySQLTransactionError("read-only"), StoreUnavailable),
        (asyncpg.DiskFullError("No space left"), OutOfSpace),
        (asyncpg.InternalServerError("could not extend file: Disk quota exceeded"), OutOfSpace),
        (asyncpg.LockNotAvailableError("lock timeout"), Busy),
        (asyncpg.DeadlockDetectedError("deadlock"), Busy),
        (asyncpg.DivisionByZeroError("whatever else"), StoreError),
        (asyncpg.exceptions._base.DataError("value out of int64 range"), StoreError),
    ],
)
def test_each_error_of_the_driver_becomes_one_of_the_port(error: Exception, kind: type[StoreError]) -> None:
    """A lost connection, a full disk, a lock: each is told as what it means, and where."""
    told = answer(error)
    assert type(told) is kind
    assert told.detail.startswith("PostgreSQL at db.example:5432/d (STORAGE_URL) ")
    assert told.__cause__ is error


def test_a_connection_lost_in_a_commit_leaves_it_in_doubt() -> None:
    """Only there the outcome is unknown; an answer of the server is an outcome."""
    assert type(answer(ConnectionResetError(), committing=True)) is OutcomeUnknown
    assert type(answer(asyncpg.AdminShutdownError("x"), committing=True)) is OutcomeUnknown
    assert type(answer(asyncpg.DiskFullError("x"), committing=True)) is OutOfSpace


def test_a_unique_key_tells_its_digest() -> None:
    """The digest of the key that is there already is read whatever the server's language is."""
    error = asyncpg.UniqueViolationError("doppelt")
    error.detail = r"Schlüssel (lot, key)=(7, \x000102030405060708090a0b0c0d0e0f) existiert bereits."
    told = answer(error)
    assert isinstance(told, DigestTaken)
    assert told.digest == bytes(range(16))


def test_a_message_never_shows_the_password() -> None:
    """Whatever the driver says, the password is taken out, and it stays on one line."""
    assert PLACE.redacted("bad\n  s3cret here") == "bad *** here"
    assert "s3cret" not in repr(PLACE)
    assert "s3cret" not in answer(ssl.SSLError("s3cret")).detail
    quoted = Place.of("postgresql://u:p%40ss@h/d", "STORAGE_URL")
    assert quoted.redacted("p@ss and p%40ss") == "*** and ***"


def test_a_place_is_known_without_a_host() -> None:
    """A URL that leaves the host to the environment has a place, too."""
    assert Place.of("postgresql:///d", "QUEUE_URL").text == "PostgreSQL at the default host/d (QUEUE_URL)"
    assert Place.of("postgresql://u@a:1,b:2/d", "QUEUE_URL").text == "PostgreSQL at a:1,b:2/d (QUEUE_URL)"


def test_what_is_not_of_the_driver_passes() -> None:
    """A mistake of ours is not told as one of the store's."""
    with pytest.raises(ZeroDivisionError), translated(PLACE):
        raise ZeroDivisionError
