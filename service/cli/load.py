"""`aerolite load`: files become datasets, in the storage itself or over HTTP."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from service.cli.files import describe
from service.cli.loading import Loader, LoadJob
from service.cli.progress import LoadProgress
from service.cli.session import CommandError, Session, explain, fail, printable, run
from service.domain.columns import ColumnType
from service.domain.errors import AeroliteError
from service.formats.options import InputFormat

_TYPES = [str(kind) for kind in ColumnType if kind is not ColumnType.EMPTY]


class OnError(StrEnum):
    """What becomes of a file with records that are no good."""

    FAIL = "fail"
    SKIP = "skip"


def load(  # noqa: PLR0913 - Typer reads the options from the arguments
    context: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(help="CSV, JSON or NDJSON, also .gz or .zst; - is standard input.")
    ],
    *,
    name: Annotated[str | None, typer.Option(help="The dataset's name; without it, the file's.")] = None,
    key: Annotated[str | None, typer.Option(help="The column whose values are unique.")] = None,
    format: Annotated[
        InputFormat | None, typer.Option(help="Without it, as the file's name or content tells.")
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="Of a CSV: a character, or `tab`.")] = None,
    type_: Annotated[
        list[str] | None, typer.Option("--type", metavar="COLUMN=TYPE", help=f"One of {', '.join(_TYPES)}.")
    ] = None,
    on_error: Annotated[
        OnError, typer.Option(help="Refuse a file with bad records, or skip them.")
    ] = OnError.FAIL,
    storage_url: Annotated[
        str | None, typer.Option(help="The storage to load into; without it, STORAGE_URL.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Load over HTTP, into the server there.")] = None,
    api_key: Annotated[
        str | None, typer.Option(help="The key for that server; without it, AEROLITE_API_KEY.")
    ] = None,
) -> None:
    """Make datasets of files.

    Each file is loaded whole or not at all, and replaces the dataset that had its name.
    """
    session: Session = context.obj
    if url is not None and storage_url is not None:
        fail("Give --url or --storage-url, not both.", status=2)
    try:
        types = _types(type_ or [])
        sources = [describe(path, name, format) for path in files]
        _check_names([file.name for file in sources])
        loader = _local(session, storage_url) if url is None else _remote(session, url, api_key)
    except CommandError as error:
        fail(str(error))
    separator = "\t" if delimiter == "tab" else delimiter
    jobs = [LoadJob(file, key, separator, on_error == OnError.SKIP, types) for file in sources]
    run(_load_all(loader, jobs))


def _local(session: Session, storage_url: str | None) -> AbstractAsyncContextManager[Loader]:
    """Return what loads into the storage, which is that of the settings unless another is named."""
    # Here and below: imported when needed, so that neither way waits for the other's libraries.
    from service.cli.local import LocalLoader  # noqa: PLC0415

    overrides = {} if storage_url is None else {"STORAGE_URL": storage_url}
    services = session.build(session.settings(overrides))
    return LocalLoader(services.storage(), services.loading())


def _remote(session: Session, url: str, api_key: str | None) -> AbstractAsyncContextManager[Loader]:
    """Return what loads into a server."""
    from service.cli.remote import RemoteLoader  # noqa: PLC0415

    return RemoteLoader(url, api_key or session.environment.get("AEROLITE_API_KEY"))


async def _load_all(opening: AbstractAsyncContextManager[Loader], jobs: Sequence[LoadJob]) -> None:
    """Load one file after the other; the first that fails ends it, those before it are loaded."""
    console = Console(stderr=True)
    async with opening as loader:
        for job in jobs:
            try:
                with LoadProgress(job.file, console) as progress:
                    receipt = await loader.load(job, progress)
            except (AeroliteError, CommandError) as error:
                raise CommandError(f"{job.file.path}: {explain(error)}") from error
            for line in _describe(receipt):
                typer.echo(printable(line))


def _describe(receipt: Mapping[str, Any]) -> Iterator[str]:
    """Say what a receipt says, what was rejected line by line."""
    yield f"{receipt['dataset']}: {receipt['loaded']:,} records loaded, revision {receipt['revision']}"
    if "encoding" in receipt:
        yield f"  its text was read as {receipt['encoding']}"
    if receipt.get("rejected"):
        yield f"  {receipt['rejected']:,} records were skipped"
    for reject in receipt.get("rejects", ()):
        yield f"    line {reject['line']}: {reject['reason']}"


def _types(texts: Sequence[str]) -> dict[str, ColumnType]:
    types = {}
    for text in texts:
        column, equals, kind = text.rpartition("=")
        if not equals or kind not in _TYPES:
            raise CommandError(
                f"--type cannot be {text!r}: it takes COLUMN=TYPE, with one of {', '.join(_TYPES)}."
            )
        types[column] = ColumnType(kind)
    return types


def _check_names(names: Sequence[str]) -> None:
    """Refuse files that would replace each other."""
    for name, times in Counter(names).items():
        if times > 1:
            raise CommandError(f"{times} files would all become the dataset {name!r}: load them one by one.")
