"""Errors as RFC 9457 problem documents; the one table that gives an error its HTTP status."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from service.domain import errors

PROBLEM = "application/problem+json"
RETRY_AFTER_S = "1"

STATUSES: dict[type[errors.AeroliteError], int] = {
    errors.InvalidRequest: 400,
    errors.UploadStalled: 408,
    errors.VersionError: 400,
    errors.VersionSunset: 410,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.JobResultGone: 410,
    errors.MethodNotAllowed: 405,
    errors.NotAcceptable: 406,
    errors.Conflict: 409,
    errors.PreconditionFailed: 412,
    errors.TooLarge: 413,
    errors.UnsupportedMedia: 415,
    errors.Unprocessable: 422,
    errors.Busy: 503,
    errors.StoreError: 503,
    errors.OutOfSpace: 507,
    errors.Unsupported: 501,
    errors.AeroliteError: 500,
}


def status_of(error: errors.AeroliteError) -> int:
    """Return the status of an error: that of its nearest ancestor in the table."""
    return next(STATUSES[cls] for cls in type(error).__mro__ if cls in STATUSES)


def document(error: errors.AeroliteError, request_id: str) -> dict[str, Any]:
    """Return an error's problem document."""
    body: dict[str, Any] = {
        "type": error.slug,
        "title": error.title,
        "status": status_of(error),
        "detail": error.detail,
        "instance": request_id,
    }
    if error.pointer is not None:
        body["pointer"] = error.pointer
    if error.line is not None:
        body["line"] = error.line
    return {**body, **error.members}


def response(error: errors.AeroliteError, request_id: str) -> web.Response:
    """Return the response to an error."""
    body = document(error, request_id)
    status: int = body["status"]
    answer = web.Response(body=msgspec.json.encode(body), status=status, headers={"Content-Type": PROBLEM})
    if status == 503:
        answer.headers["Retry-After"] = RETRY_AFTER_S
    if status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    if status == 405:
        answer.headers["Allow"] = ", ".join(error.members.get("allow", ()))
    if isinstance(error, errors.UnsupportedMedia) and "accept_encoding" in error.members:
        answer.headers["Accept-Encoding"] = error.members["accept_encoding"]
    return answer


def unexpected(request_id: str) -> errors.AeroliteError:
    """Return what a client is told of a mistake of ours: where to look for it, and nothing else."""
    return errors.AeroliteError(f"The service made a mistake; its log tells more under {request_id}.")
