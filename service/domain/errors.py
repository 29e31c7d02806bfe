"""Everything that can go wrong and is somebody's business, as one tree.

    AeroliteError
    ├── InvalidRequest              the question itself is wrong
    │   ├── InvalidParameter        … one parameter of it
    │   ├── UnknownColumn           … a column that the client's view has not
    │   ├── InvalidCursor
    │   └── UploadStalled           the body does not come
    ├── VersionError                the API-Version header (or pin) cannot be served
    │   ├── VersionMalformed · VersionAmbiguous · VersionInFuture · VersionBeforeFirst
    │   └── VersionSunset
    ├── Unauthenticated · Forbidden
    │   └── ForeignPage             a page of another site has a browser write
    ├── NotFound
    │   ├── DatasetNotFound · RecordNotFound · KeyNotFound · JobNotFound · PathNotFound
    │   └── JobResultGone           it was there and has expired
    ├── MethodNotAllowed
    ├── Conflict
    │   ├── DuplicateKey            a unique key occurs twice
    │   └── JobFinished             nothing is left to cancel
    ├── PreconditionFailed          If-Match names an older revision
    ├── UnsupportedMedia            media type or content encoding
    ├── NotAcceptable
    ├── TooLarge                    body or inflated body over its limit
    ├── Unprocessable               well-formed request, bad content
    │   ├── InvalidContent          a file or record, with its line or pointer
    │   ├── TypeMismatch            a value does not fit its column
    │   ├── IdempotencyMismatch     the Idempotency-Key was used for another body
    │   ├── InvalidChange           a dataset change that cannot be
    │   └── QueryFailed             the database's own message
    │       └── WriteRefused        a statement that was to read only would write
    ├── Busy                        too much at once; later it goes
    └── StoreError                  the storage, database or queue
        ├── StoreUnavailable        did not answer; nothing was written
        ├── OutcomeUnknown          the connection died during the commit
        ├── OutOfSpace              disk or quota full
        ├── SnapshotLost            what a reader was reading has changed under it
        └── Unsupported             this backend declares that it cannot

No HTTP status stands here: `service.http.problems` maps each class to one.
"""

from __future__ import annotations

from typing import Any, ClassVar


class AeroliteError(Exception):
    """An error that a client or operator can act on.

    `detail` says what to do, `pointer` is a JSON pointer into what was sent, `line` the physical line of a
    file (first line is 1), `members` further members of the problem document.
    """

    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong"

    def __init__(
        self,
        detail: str,
        *,
        pointer: str | None = None,
        line: int | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer
        self.line = line
        self.members = members


class InvalidRequest(AeroliteError):
    """The request cannot be understood as it stands."""

    slug = "invalid-request"
    title = "The request is not valid"


class InvalidParameter(InvalidRequest):
    """One parameter is unknown, missing or has a value that it cannot have; `parameter` names it."""

    slug = "invalid-parameter"
    title = "A parameter is not valid"

    def __init__(self, parameter: str, detail: str, **members: Any) -> None:
        super().__init__(detail, parameter=parameter, **members)


class UnknownColumn(InvalidParameter):
    """A column that the client's view of the dataset has not; `valid` lists those it has."""

    slug = "unknown-column"
    title = "There is no such column"


class InvalidCursor(InvalidParameter):
    """A cursor that was not given out for this view of this dataset, or no longer fits it."""

    slug = "invalid-cursor"
    title = "The cursor is not valid"


class UploadStalled(InvalidRequest):
    """The client stopped sending its body."""

    slug = "upload-stalled"
    title = "The body did not arrive"


class VersionError(AeroliteError):
    """The contract that was asked for cannot be served."""

    slug = "version"
    title = "The API version cannot be served"


class VersionMalformed(VersionError):
    """The header is not a calendar date."""

    slug = "version-malformed"
    title = "API-Version is not a date"


class VersionAmbiguous(VersionError):
    """The header came twice, with different dates."""

    slug = "version-ambiguous"
    title = "API-Version was sent with different values"


class VersionInFuture(VersionError):
    """The date has not come yet (UTC)."""

    slug = "version-in-future"
    title = "API-Version lies in the future"


class VersionBeforeFirst(VersionError):
    """The date lies before the first contract."""

    slug = "version-before-first"
    title = "API-Version lies before the first contract"


class VersionSunset(VersionError):
    """The contract is past its sunset."""

    slug = "version-sunset"
    title = "This contract is no longer served"


class Unauthenticated(AeroliteError):
    """A key is missing, unknown or revoked."""

    slug = "unauthenticated"
    title = "A valid key is needed"


class Forbidden(AeroliteError):
    """The caller lacks a scope."""

    slug = "forbidden"
    title = "The key does not allow this"


class ForeignPage(Forbidden):
    """A page of another site has a browser write, without a key."""

    slug = "foreign-page"
    title = "A page of another site may not do this"


class NotFound(AeroliteError):
    """What was asked for is not there."""

    slug = "not-found"
    title = "Not found"


class PathNotFound(NotFound):
    """No route has this path."""

    slug = "path-not-found"
    title = "There is nothing at this path"


class DatasetNotFound(NotFound):
    """No dataset has this name."""

    slug = "dataset-not-found"
    title = "There is no such dataset"


class RecordNotFound(NotFound):
    """The dataset has no record with this key or position."""

    slug = "record-not-found"
    title = "There is no such record"


class KeyNotFound(NotFound):
    """No API key has this id."""

    slug = "key-not-found"
    title = "There is no such key"


class JobNotFound(NotFound):
    """No job has this id."""

    slug = "job-not-found"
    title = "There is no such job"


class JobResultGone(NotFound):
    """The job's result was kept for its time and is gone."""

    slug = "job-result-gone"
    title = "The result has expired"


class MethodNotAllowed(AeroliteError):
    """The path is there, the method is not; `allow` lists those that are."""

    slug = "method-not-allowed"
    title = "The method is not allowed here"


class Conflict(AeroliteError):
    """The request contradicts what is stored."""

    slug = "conflict"
    title = "The request conflicts with what is stored"


class DuplicateKey(Conflict):
    """A value of the unique key occurs twice."""

    slug = "duplicate-key"
    title = "A key value occurs twice"


class JobFinished(Conflict):
    """The job has already ended."""

    slug = "job-finished"
    title = "The job has already ended"


class PreconditionFailed(AeroliteError):
    """If-Match (or If-None-Match on a write) does not hold any more."""

    slug = "precondition-failed"
    title = "The resource has changed"


class UnsupportedMedia(AeroliteError):
    """A media type or content encoding that the operation does not take."""

    slug = "unsupported-media-type"
    title = "The media type is not supported"


class NotAcceptable(AeroliteError):
    """No format that the client accepts can be made."""

    slug = "not-acceptable"
    title = "None of the accepted formats can be served"


class TooLarge(AeroliteError):
    """The body, or what it inflates to, is over its limit."""

    slug = "too-large"
    title = "The body is too large"


class Unprocessable(AeroliteError):
    """The request is well-formed, its content cannot be processed."""

    slug = "unprocessable"
    title = "The content cannot be processed"


class InvalidContent(Unprocessable):
    """A file or record that is not what it says it is."""

    slug = "invalid-content"
    title = "The content is not valid"


class TypeMismatch(Unprocessable):
    """A value does not fit the type of its column."""

    slug = "type-mismatch"
    title = "A value does not fit its column"


class IdempotencyMismatch(Unprocessable):
    """The Idempotency-Key was used before, with another body."""

    slug = "idempotency-mismatch"
    title = "The Idempotency-Key belongs to another request"


class InvalidChange(Unprocessable):
    """A dataset change that cannot be applied to this dataset."""

    slug = "invalid-change"
    title = "The change cannot be made"


class QueryFailed(Unprocessable):
    """The database refused the statement; `detail` is its own message."""

    slug = "query-failed"
    title = "The database refused the statement"


class WriteRefused(QueryFailed):
    """The statement would write, and was run to read only."""


class Busy(AeroliteError):
    """Too much is under way; the same request goes later."""

    slug = "busy"
    title = "Too much is under way"


class StoreError(AeroliteError):
    """A store failed; nothing that was acknowledged is lost."""

    slug = "store"
    title = "The store failed"


class StoreUnavailable(StoreError):
    """The store did not answer, and nothing was written."""

    slug = "store-unavailable"
    title = "The store does not answer"


class OutcomeUnknown(StoreError):
    """The connection died during the commit: the write is whole or not there."""

    slug = "outcome-unknown"
    title = "The outcome of the write is not known"


class OutOfSpace(StoreError):
    """The disk, the store's memory or the quota is full; nothing was written."""

    slug = "out-of-space"
    title = "There is no room left"


class SnapshotLost(StoreError):
    """What a reader was reading has changed under it, on a store without snapshots."""

    slug = "snapshot-lost"
    title = "The records changed while they were read"


class Unsupported(StoreError):
    """The backend declares that it cannot do this."""

    slug = "unsupported"
    title = "This backend cannot do this"
