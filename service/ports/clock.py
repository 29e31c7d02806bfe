"""The one clock: everything that asks what day it is asks this, so tests say what day it is."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the time now, in UTC and aware of it."""
        ...
