"""Real servers for the tests: each is started once per session, by the first test that asks for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Self, TypeVar

Server = TypeVar("Server")


class Servers:
    """The servers that run, by the context manager that starts each; leaving stops them all."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._running: dict[Callable[[], AbstractContextManager[Any]], Any] = {}

    def __enter__(self) -> Self:
        """Start none yet."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Stop all, the last first."""
        self._stack.close()

    def get(self, start: Callable[[], AbstractContextManager[Server]]) -> Server:
        """Return the server that `start()` starts, started if this is the first call with that function."""
        if start not in self._running:
            self._running[start] = self._stack.enter_context(start())
        server: Server = self._running[start]
        return server
