"""`aerolite copy`: everything from one storage to another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from service.cli.progress import Bars
from service.cli.session import CommandError, Session, fail, printable, reason, run
from service.configuration.urls import Unfit, redact
from service.ports.clock import Clock
from service.ports.storage import Storage
from service.settings import StorageUrl
from service.usecases.copying import CopiedDataset, Copying, CopyReport, Step


def copy(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(help="The URL of the storage to copy from, or @FILE that holds it.")
    ],
    target: Annotated[str, typer.Argument(help="The URL of the storage to copy to, or @FILE that holds it.")],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Let what the target has under the same names give way.")
    ] = False,
) -> None:
    """Copy everything from one storage to another.

    Datasets keep their revisions, positions and changes, keys their pins; each dataset is read back and
    verified by its digest. Stop whoever writes to either storage first. Cut off, call it again: it goes on
    with the first dataset that is not there yet. A URL on the command line is seen by others on the machine;
    one with a password better stands in a file.
    """
    session: Session = context.obj
    try:
        urls = [_url(source), _url(target)]
        _check_source(urls[0])
    except CommandError as error:
        fail(str(error), status=2)
    if urls[0].text == urls[1].text:
        fail("Both are the same storage.", status=2)
    # No jobs are announced, so a cluster's missing queue does not matter.
    overrides = [{"STORAGE_URL": url.text, "QUEUE_URL": "memory://"} for url in urls]
    services = [session.build(session.settings(each)) for each in overrides]
    stores = (services[0].storage(), services[1].storage())
    run(_copy(stores, services[0].clock(), replaces=replace))


def _url(text: str) -> StorageUrl:
    """Read a URL, from a file where one is named."""
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = reason(error) if isinstance(error, OSError) else "it is no text"
            raise CommandError(f"{text[1:]} cannot be read: {why}.") from None
    try:
        url = StorageUrl.parse(text)
    except Unfit as unfit:
        raise CommandError(f"{redact(text)} is no URL of a storage: {unfit}.") from None
    except ValueError:
        raise CommandError(
            "A storage is named by a URL, such as sqlite:///var/aerolite.db or redis://host:6379."
        ) from None
    if url.scheme in {"memory", "duckdb"}:
        raise CommandError(f"{url.scheme}:// is no storage that another process could have.")
    return url


def _check_source(url: StorageUrl) -> None:
    """Refuse a file that is not there, which would be made, and copied as empty."""
    if url.path is not None and not url.path.is_file():
        raise CommandError(f"There is no file {url.path}.")


async def _copy(stores: tuple[Storage, Storage], clock: Clock, *, replaces: bool) -> None:
    async with AsyncExitStack() as stack:
        for storage in stores:
            await stack.enter_async_context(storage)
            await storage.ping()
        with CopyProgress(Console(stderr=True)) as progress:
            report = await Copying(*stores, clock, replaces=replaces, watch=progress.watch).run()
    for line in _describe(report):
        typer.echo(printable(line))


def _describe(report: CopyReport) -> Iterator[str]:
    for dataset in report.datasets:
        yield _line(dataset)
    yield f"{report.documents:,} documents (keys, jobs, usage) are the same in both"


def _line(dataset: CopiedDataset) -> str:
    done = "copied" if dataset.copied else "were there already"
    return (
        f"{dataset.name}: {dataset.count:,} records {done}, revision {dataset.revision},"
        f" sha256 {dataset.digest}"
    )


class CopyProgress(Bars):
    """A bar for each dataset on a terminal; elsewhere it is silent."""

    def __init__(self, console: Console) -> None:
        super().__init__(
            Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("records"),
                TimeRemainingColumn(),
                console=console,
                disable=not console.is_terminal,
            )
        )
        self._tasks: dict[str, TaskID] = {}

    def watch(self, step: Step) -> None:
        """Put the dataset's bar where it is."""
        if step.name not in self._tasks:
            self._tasks[step.name] = self._bars.add_task("", total=step.total)
        self._bars.update(
            self._tasks[step.name],
            description=f"{step.name}: {step.phase}",
            completed=step.done,
            total=step.total,
        )
