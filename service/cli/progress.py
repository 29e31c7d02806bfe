"""Progress bars, where a person is watching."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TransferSpeedColumn,
)

from service.cli.files import InputFile


class Bars:
    """Bars that are shown for as long as they are entered; what they say is their owner's."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bars.stop()


class LoadProgress(Bars):
    """Watches the load of one file on a terminal; elsewhere (a log, a pipe) it is silent.

    The first pass takes the bytes, the second, in this process only, reads and stores the records. What was
    packed has another size when it is read, so its second pass has no end that could be shown.
    """

    def __init__(self, file: InputFile, console: Console) -> None:
        inflated_bytes = file.size_bytes if file.content_encoding is None else None
        bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TextColumn("{task.fields[records]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        super().__init__(bars)
        self._taking = bars.add_task(file.name, total=file.size_bytes, records="")
        self._storing = bars.add_task(file.name, total=inflated_bytes, visible=False, records="")

    def read(self, added_bytes: int) -> None:
        """Move the first bar."""
        self._bars.advance(self._taking, added_bytes)

    def stored(self, records: int, parsed_bytes: int) -> None:
        """Put the second bar where it is."""
        self._bars.update(self._taking, visible=False)
        self._bars.update(self._storing, visible=True, completed=parsed_bytes, records=f"{records:,} records")
