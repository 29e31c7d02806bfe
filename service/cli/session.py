"""What every command has at hand: the environment, and the one way to build the service."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import typer

from service.domain.errors import AeroliteError
from service.settings import SettingError, Settings

T = TypeVar("T")


class CommandError(Exception):
    """Why a command cannot go on, in a sentence for whoever called it."""


@dataclass(frozen=True, slots=True)
class Session:
    """The world outside of a command.

    `environment` holds the environment variables. `build` makes the container of the service, which only
    `service.__main__` may import.
    """

    environment: Mapping[str, str]
    build: Callable[[Settings], Any]

    def settings(self, overrides: Mapping[str, str] | None = None) -> Settings:
        """Read the settings, of which those given on the command line win (by name of the variable).

        Exits with 2, as for any wrong usage, and a sentence for each that is wrong.
        """
        overrides = overrides or {}
        beaten = {variable for name in overrides for variable in (name, f"{name}_FILE")}
        rest = {name: text for name, text in self.environment.items() if name not in beaten}
        try:
            return Settings.from_env({**rest, **overrides})
        except SettingError as error:
            fail(*error.problems, status=2)

    @asynccontextmanager
    async def stored(self, storage_url: str | None) -> AsyncIterator[Any]:
        """Build the service over a storage (None: that of the settings), and hold that open.

        Raises `StoreError` where it does not answer.
        """
        services = self.build(self.settings({} if storage_url is None else {"STORAGE_URL": storage_url}))
        async with services.storage() as storage:
            await storage.ping()
            yield services


def fail(*problems: str, status: int = 1) -> NoReturn:
    """End the command with a sentence for each problem."""
    for problem in problems:
        typer.echo(f"aerolite: {printable(problem)}", err=True)
    raise typer.Exit(status)


def printable(text: str) -> str:
    """Escape what a file or a server could use to write elsewhere on the terminal."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on an event loop of its own, the fastest there is.

    What goes wrong and has a sentence for the caller ends the command with that sentence.
    """
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(main)
    except (AeroliteError, CommandError) as error:
        fail(explain(error))


def explain(error: AeroliteError | CommandError) -> str:
    """Return what an error says, with the line of the file or the character of the statement, if known."""
    if isinstance(error, AeroliteError) and "position" in error.members:
        return f"{error} (at character {error.members['position']})"
    line = error.line if isinstance(error, AeroliteError) else None
    said = line is None or f"line {line}" in str(error).lower()
    return str(error) if said else f"{error} (line {line})"


def reason(error: OSError) -> str:
    """Return why the system refused, in the system's words."""
    # asyncio and socket put words of their own into `strerror`; an unknown host has a number of its own.
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return str(error.strerror or error)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":  # pragma: no cover - uvloop is not made for Windows
        return None
    import uvloop  # noqa: PLC0415 - commands without a loop need not wait for it

    return uvloop.new_event_loop
