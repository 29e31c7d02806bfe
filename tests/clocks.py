"""A clock that tests move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Stands still until it is moved.

    It starts at the real time, so that a store that lets a server expire things by the server's own clock
    agrees with it.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime.now(UTC)

    def now(self) -> datetime:
        """Return the time it was moved to."""
        return self._now

    def move(self, **distance: float) -> datetime:
        """Move forward by so many `seconds=`, `minutes=`, `hours=`, … and return the new time."""
        self._now += timedelta(**distance)
        return self._now
