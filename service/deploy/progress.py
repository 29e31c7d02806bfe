"""What a deploy tells while it runs, and how a terminal shows it."""

from __future__ import annotations

from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax

from service.deploy.diagnose import Diagnosis
from service.deploy.objects import Ref
from service.deploy.rollout import RolloutState

_BAR_WIDTH = 20


class Progress(Protocol):
    """Is told what happens; each call is one thing for a person to see."""

    def step(self, sentence: str) -> None:
        """Begin a part of the work."""

    def note(self, sentence: str) -> None:
        """Tell something within the part."""

    def diff(self, text: str) -> None:
        """Show a unified diff."""

    def rollout(self, workload: Ref, state: RolloutState) -> None:
        """Show how far a rollout is; called on each change."""

    def diagnosis(self, diagnosis: Diagnosis) -> None:
        """Show why a rollout failed."""


class ConsoleProgress:
    """Writes lines that read the same in a terminal and in a pipeline's log."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def step(self, sentence: str) -> None:
        """Write a heading."""
        self._console.print(f"[bold]{_shown(sentence)}[/bold]", soft_wrap=True, highlight=False)

    def note(self, sentence: str) -> None:
        """Write an indented line."""
        self._console.print(f"  {_shown(sentence)}", soft_wrap=True, highlight=False)

    def diff(self, text: str) -> None:
        """Write a diff, in colour where there is colour."""
        if self._console.is_terminal:
            self._console.print(Syntax(text, "diff", theme="ansi_dark", background_color="default"))
        else:
            self._console.out(text, end="", highlight=False)

    def rollout(self, workload: Ref, state: RolloutState) -> None:
        """Write a bar and a sentence."""
        colour = "red" if state.failed else "green" if state.done else "yellow"
        filled = round(_BAR_WIDTH * state.ready / state.wanted) if state.wanted else _BAR_WIDTH
        bar = "█" * filled + "░" * (_BAR_WIDTH - filled)
        self._console.print(
            f"  [{colour}]{bar}[/{colour}] {state.ready}/{state.wanted}"
            f" {_shown(str(workload))}: {_shown(state.message)}",
            soft_wrap=True,
            highlight=False,
        )

    def diagnosis(self, diagnosis: Diagnosis) -> None:
        """Write reasons, events and logs under headings."""
        for reason in diagnosis.reasons:
            self.note(reason)
        if diagnosis.events:
            self.step(f"Events of {diagnosis.workload}")
        for event in diagnosis.events:
            self.note(event)
        for log in diagnosis.logs:
            crashed = " that crashed" if log.previous else ""
            self.step(f"Log of the container {log.container}{crashed} in {log.pod}")
            for line in log.text.splitlines():
                self.note(line)


def _shown(text: str) -> str:
    """Return text as it is to be read: a container's log may hold markup, or drive a terminal."""
    return escape("".join(one if one.isprintable() else " " for one in text))
