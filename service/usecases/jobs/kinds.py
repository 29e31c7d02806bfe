"""What a type of job is, and what it is given while it runs; a new type is a small module with one class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from datetime import date
from typing import Any

from service.domain.errors import InvalidContent
from service.domain.jobs import Job


class LeaseLost(Exception):
    """Another worker has taken the job, or it was called off: no effect of this attempt may follow."""


class Attempt:
    """One attempt at a job, as its type sees it: tells progress, and asks before each effect."""

    def __init__(self, job: Job, confirm: Callable[[], Awaitable[None]]) -> None:
        self.job = job
        self.done = 0.0
        self.fence = confirm
        """Return if the job is still this attempt's; call it before each effect. Raises `LeaseLost`."""

    def progress(self, done: float) -> None:
        """Note how much is done, from 0 to 1; it is stored with the next beat."""
        self.done = min(max(done, self.done), 1.0)


class JobType(ABC):
    """A type of job.

    `startable`: clients start it by `POST /jobs`. `timeout_s`: a job is to be ended so long after it was
    posted. `scope`: what posting one needs beyond `write`.
    """

    name: str
    startable: bool = True
    timeout_s: float = 24 * 3600.0
    scope: str | None = None

    @abstractmethod
    def check(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters as they are to be kept.

        Raises `InvalidContent` with a pointer into them.
        """

    async def accept(self, params: dict[str, Any], day: date | None) -> None:  # noqa: B027 - few need it
        """Do what a client must see once its job is accepted, or refuse it; may be repeated.

        `day` is that whose columns the client sees.
        """

    @abstractmethod
    async def run(self, attempt: Attempt) -> dict[str, Any] | None:
        """Do the work and return its result.

        It may be run again after it was cut off anywhere, and while an earlier attempt that has lost its
        lease still goes on: its effects must come out the same. What it raises of `StoreError`, `Busy` or no
        `AeroliteError` at all is tried again; any other `AeroliteError` fails the job.
        """

    def exclusive(self, params: dict[str, Any]) -> str | None:
        """Return the key of which one job runs at a time, or None."""
        del params
        return None

    async def finished(self, job: Job) -> None:  # noqa: B027 - most types leave nothing
        """Clear away what a job that has ended (in whatever way) leaves behind."""

    def told(self, result: dict[str, Any]) -> dict[str, Any]:
        """Return a result as clients see it."""
        return result

    def shown(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters as clients see them."""
        return params


class JobTypes:
    """The types that there are, by name."""

    def __init__(self, types: Iterable[JobType]) -> None:
        self._types = {each.name: each for each in types}

    def find(self, name: str) -> JobType | None:
        """Return a type, or None where there is none: a job of a newer release, perhaps."""
        return self._types.get(name)

    @property
    def names(self) -> list[str]:
        """The names of all types, sorted."""
        return sorted(self._types)

    def startable(self, name: object) -> JobType:
        """Return a type that clients may start. Raises `InvalidContent`."""
        found = self._types.get(name) if isinstance(name, str) else None
        if found is None or not found.startable:
            valid = sorted(each.name for each in self._types.values() if each.startable)
            raise InvalidContent(
                f"There is no type of job {str(name)[:64]!r} to be started here.",
                pointer="/type",
                valid=valid,
            )
        return found


def no_more_than(params: dict[str, Any], *names: str) -> None:
    """Refuse parameters of other names. Raises `InvalidContent`."""
    for name in params:
        if name not in names:
            raise InvalidContent(
                f"There is no parameter {name[:64]!r}.", pointer=f"/{name[:64]}", valid=list(names)
            )
