"""Where a process stands between its start and its end; probes and answers look here."""

from __future__ import annotations


class Lifecycle:
    """Starting until the storage has answered once, then ready, then draining until the end."""

    def __init__(self) -> None:
        self.ready = False
        self.draining = False
        self.cause = "The storage has not answered yet."

    def became_ready(self) -> None:
        """Note the first answer of the storage."""
        self.ready = True

    def waits_for(self, cause: str) -> None:
        """Note why it is not ready."""
        self.cause = cause

    def drain(self) -> None:
        """Begin to end: answers close their connections, `/readyz` says 503."""
        self.draining = True
