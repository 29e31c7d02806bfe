"""What a terminal and a pipeline's log show."""

from __future__ import annotations

import io

from rich.console import Console

from service.deploy.diagnose import ContainerLog, Diagnosis
from service.deploy.objects import Ref
from service.deploy.progress import ConsoleProgress
from service.deploy.rollout import RolloutState

SERVICE = Ref("apps/v1", "Deployment", "aerolite", "aerolite")


def written(*, terminal: bool) -> tuple[ConsoleProgress, io.StringIO]:
    """Return a progress and where it writes."""
    text = io.StringIO()
    return ConsoleProgress(Console(file=text, force_terminal=terminal, width=40)), text


def test_lines_are_not_broken_and_not_read_as_markup() -> None:
    """Sentences of the cluster may be long and may hold brackets."""
    progress, text = written(terminal=False)
    sentence = "[bold]" + "word " * 30

    progress.step("[red]Apply")
    progress.note(sentence)

    assert text.getvalue() == f"[red]Apply\n  {sentence}\n"


def test_a_log_does_not_drive_the_terminal() -> None:
    """Control characters of a hostile container become spaces."""
    progress, text = written(terminal=False)

    progress.note("\x1b[2Jall is well\r\x07")

    assert text.getvalue() == "   [2Jall is well  \n"


def test_a_rollout_has_a_bar() -> None:
    """The bar fills with the replicas, and is full where none are wanted."""
    progress, text = written(terminal=False)

    progress.rollout(SERVICE, RolloutState(1, 4, "1 of 4 replicas are updated"))
    progress.rollout(SERVICE, RolloutState(0, 0, "rolled out", done=True))

    quarter, full = text.getvalue().splitlines()
    assert quarter == "  █████░░░░░░░░░░░░░░░ 1/4 Deployment/aerolite: 1 of 4 replicas are updated"
    assert full == "  ████████████████████ 0/0 Deployment/aerolite: rolled out"


def test_a_rollout_has_a_colour_in_a_terminal() -> None:
    """Green is done, red has failed, yellow goes on."""
    progress, text = written(terminal=True)

    for state in (
        RolloutState(1, 1, "", done=True),
        RolloutState(1, 1, "", failed=True),
        RolloutState(1, 1, ""),
    ):
        progress.rollout(SERVICE, state)

    assert [line[2:7] for line in text.getvalue().splitlines()] == ["\x1b[32m", "\x1b[31m", "\x1b[33m"]


def test_a_diff_is_plain_in_a_log_and_coloured_in_a_terminal() -> None:
    """A log gets the lines as they are, so that a person can apply them."""
    diff = "--- live/x\n+++ next/x\n-a: 1\n+a: [2]\n"
    plain, log = written(terminal=False)
    coloured, terminal = written(terminal=True)

    plain.diff(diff)
    coloured.diff(diff)

    assert log.getvalue() == diff
    assert "\x1b[" in terminal.getvalue()


def test_a_diagnosis_has_three_parts() -> None:
    """Reasons, events, and the log of the container that crashed."""
    progress, text = written(terminal=False)

    progress.diagnosis(
        Diagnosis(
            SERVICE,
            ["exit code 3"],
            ["Warning BackOff Pod/p: does not start"],
            [ContainerLog("p", "c", previous=True, text="one\ntwo\n"), ContainerLog("p", "d", False, "x")],
        )
    )
    progress.diagnosis(Diagnosis(SERVICE))

    assert text.getvalue() == (
        "  exit code 3\n"
        "Events of Deployment/aerolite\n"
        "  Warning BackOff Pod/p: does not start\n"
        "Log of the container c that crashed in p\n"
        "  one\n"
        "  two\n"
        "Log of the container d in p\n"
        "  x\n"
    )
