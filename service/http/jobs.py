"""`/jobs`: start work that outlives the request, look at it, call it off, fetch what it made."""

from __future__ import annotations

from typing import Any

import msgspec

from service.contracts.messages import Document, Query, Reply
from service.domain.errors import InvalidContent, InvalidParameter
from service.domain.jobs import Job, JobState
from service.http.answers import Answer, Ask
from service.http.moments import moment
from service.http.pages import next_link
from service.http.uploads import Uploads
from service.usecases.jobs.desk import Desk
from service.usecases.jobs.kinds import JobTypes

MAX_LIMIT = 1000
DEFAULT_LIMIT = 100
MAX_TIMEOUT_S = 7 * 24 * 3600
_MEMBERS = ("type", "params", "timeout")


class JobsResource:
    """Jobs of every type."""

    def __init__(self, desk: Desk, uploads: Uploads) -> None:
        self._desk = desk
        self._uploads = uploads

    async def list(self, ask: Ask) -> Answer:
        """List jobs, the newest first."""
        parameters = ask.query.parameters
        listing = await self._desk.store.list(
            state=_state(parameters.get("state")),
            type=_type(parameters.get("type"), self._desk.types),
            after=parameters.get("after", ""),
            limit=_limit(ask.query),
        )
        following = None if listing.after is None else next_link(ask, "after", listing.after)
        jobs = [described(job, self._desk.types) for job in listing.jobs]
        headers = {} if following is None else {"Link": f'<{following}>; rel="next"'}
        return Answer(Reply(200, Document({"jobs": jobs, "next": following}), headers))

    async def create(self, ask: Ask) -> Answer:
        """Start a job."""
        order = json_object(await self._uploads.small_json(ask))
        for name in order:
            if name not in _MEMBERS:
                raise InvalidContent(
                    f"A job has no {name[:64]!r}.", pointer=f"/{name[:64]}", valid=list(_MEMBERS)
                )
        kind = self._desk.types.startable(order.get("type"))
        ask.caller.require(kind.scope)
        params = order.get("params", {})
        if not isinstance(params, dict):
            raise InvalidContent("`params` is an object.", pointer="/params")
        timeout_s = _timeout_s(order.get("timeout"))
        try:
            checked = kind.check(params)
        except InvalidContent as error:
            error.pointer = f"/params{error.pointer or ''}"
            raise
        job = await self._desk.post(kind, checked, day=ask.day, timeout_s=timeout_s)
        return accepted(ask, job, self._desk.types)

    async def read(self, ask: Ask) -> Answer:
        """Tell of one job."""
        job = await self._desk.store.get(ask.path("id"))
        return Answer(Reply(200, Document(described(job, self._desk.types))))

    async def cancel(self, ask: Ask) -> Answer:
        """Call a job off: 200 where it has ended by that, 202 where its worker has yet to hear of it."""
        job = await self._desk.cancel(ask.path("id"))
        status = 200 if job.state.finished else 202
        return Answer(Reply(status, Document(described(job, self._desk.types))))


def described(job: Job, types: JobTypes) -> dict[str, Any]:
    """Return what the API tells of a job."""
    kind = types.find(job.type)
    return {
        "id": job.id,
        "type": job.type,
        "state": job.state.value,
        "progress": round(job.progress, 4),
        "created": moment(job.created),
        "started": moment(job.started),
        "finished": moment(job.finished),
        "result": job.result if kind is None or job.result is None else kind.told(job.result),
        "error": job.error,
        "attempt": job.attempt,
        "params": {} if kind is None else kind.shown(job.params),
    }


def accepted(ask: Ask, job: Job, types: JobTypes) -> Answer:
    """Return the answer to a job that was accepted; it is the same under every contract."""
    located = {"Location": f"{ask.link_base}/jobs/{job.id}"}
    return Answer(Reply(202, Document(described(job, types)), located), timeless=True)


def json_object(body: bytes) -> dict[str, Any]:
    """Return a body that is a JSON object. Raises `InvalidContent`."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidContent(f"The body is no JSON: {error}.") from None
    if not isinstance(value, dict):
        raise InvalidContent("The body is a JSON object.")
    return value


def _timeout_s(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= MAX_TIMEOUT_S:
        raise InvalidContent(
            f"`timeout` is a number of seconds from 1 to {MAX_TIMEOUT_S}.", pointer="/timeout"
        )
    return float(value)


def _state(text: str | None) -> JobState | None:
    if text is None:
        return None
    if text not in set(JobState):
        raise InvalidParameter("state", f"There is no state {text[:40]!r}.", valid=list(JobState))
    return JobState(text)


def _type(text: str | None, types: JobTypes) -> str | None:
    if text is not None and types.find(text) is None:
        raise InvalidParameter("type", f"There is no type of job {text[:40]!r}.", valid=types.names)
    return text


def _limit(query: Query) -> int:
    text = query.parameters.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_LIMIT):
        raise InvalidParameter(
            "limit", f"`limit` is a whole number from 1 to {MAX_LIMIT}, not {text[:40]!r}."
        )
    return int(text)
