"""Commands that are imported when they are called, so that `--help` need not import the service."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class LazyCommand(TyperCommand):
    """A name and a sentence that stand for a command until it is called.

    `target` is `module:attribute`, a function with Typer's annotations or a `typer.Typer` with commands of
    its own.
    """

    def __init__(self, name: str, target: str, summary: str) -> None:
        super().__init__(name, help=summary)
        self.target = target

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Begin the call of the command itself, whose arguments this one does not know."""
        return self.load().make_context(*args, **kwargs)

    def load(self) -> Any:
        """Import the command."""
        module, _, attribute = self.target.partition(":")
        target = getattr(import_module(module), attribute)
        if isinstance(target, typer.Typer):
            return typer.main.get_group(target)
        command = typer.Typer(add_completion=False, rich_markup_mode="markdown")
        command.command(self.name)(target)
        return typer.main.get_command(command)


class LazyGroup(TyperGroup):
    """A group whose commands are lazy; a subclass lists them."""

    lazy_commands: tuple[LazyCommand, ...] = ()

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for command in self.lazy_commands:
            self.commands[str(command.name)] = command
