"""The progress bar of a load: there where a person watches, absent elsewhere."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from service.cli.files import InputFile
from service.cli.progress import LoadProgress


def watch(*, terminal: bool, content_encoding: str | None = None) -> str:
    """Return what a load of a file of 1000 bytes writes."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=120, color_system=None)
    file = InputFile(Path("a.csv"), "landings", None, content_encoding, 1000)
    with LoadProgress(file, console) as progress:
        progress.read(1000)
        progress.stored(1_234, 500)
    return out.getvalue()


def test_a_terminal_sees_the_bar() -> None:
    """On a terminal the bar shows the dataset, the bytes of all and the records stored so far."""
    shown = watch(terminal=True)
    assert "landings" in shown
    assert "1,234 records" in shown
    assert "0.5/1.0 kB" in shown


def test_a_packed_file_has_no_end() -> None:
    """What is stored of a compressed file is not measured against its packed size."""
    shown = watch(terminal=True, content_encoding="gzip")
    assert "1,234 records" in shown
    assert "500/? bytes" in shown


def test_a_pipe_sees_nothing() -> None:
    """In a log or a pipe there is no bar."""
    assert watch(terminal=False) == ""
