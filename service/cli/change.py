"""`aerolite change`: declare how a dataset's columns are seen from a day on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import date
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Protocol
from urllib.parse import quote

import typer
import yaml
from rich.console import Console
from rich.table import Table

from service.cli.api import ApiClient
from service.cli.options import ApiKey, StorageUrl, Url, key_for, one_place
from service.cli.session import CommandError, Session, printable, reason, run
from service.domain.errors import AeroliteError
from service.usecases.changes import Changing


class Declarer(Protocol):
    """Takes changes; what it returns is what the API answers. Raises `AeroliteError`, `CommandError`."""

    async def declare(self, name: str, document: object) -> Mapping[str, Any]:
        """Declare a change."""
        ...

    async def rehearse(self, name: str, document: object) -> Mapping[str, Any]:
        """Return what it would do."""
        ...


class StoredChanges:
    """Changes straight in the storage."""

    def __init__(self, changing: Changing) -> None:
        self._changing = changing

    async def declare(self, name: str, document: object) -> Mapping[str, Any]:
        """Declare a change."""
        dataset, change = await self._changing.declare(name, document)
        return {"dataset": name, "revision": dataset.revision, **change.as_document()}

    async def rehearse(self, name: str, document: object) -> Mapping[str, Any]:
        """Return what it would do."""
        rehearsal = (await self._changing.rehearse(name, document)).as_document()
        rows = [{side: json.loads(bytes(raw)) for side, raw in row.items()} for row in rehearsal["rows"]]
        return {**rehearsal, "rows": rows}


class ServedChanges:
    """Changes at a server that runs elsewhere."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def declare(self, name: str, document: object) -> Mapping[str, Any]:
        """Declare a change."""
        return await self._client.ask("POST", _path(name), document)

    async def rehearse(self, name: str, document: object) -> Mapping[str, Any]:
        """Return what it would do."""
        return await self._client.ask("POST", _path(name) + "?dry_run=1", document)


def change(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The dataset.")],
    file: Annotated[
        Path, typer.Argument(help="YAML or JSON with a date, a description and a list of operations.")
    ],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show old and new side by side, and change nothing.")
    ] = False,
    url: Url = None,
    storage_url: StorageUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Change a dataset's columns from a day on.

    Whoever asks for an earlier day goes on seeing the columns of that day.
    """
    one_place(url, storage_url)
    session: Session = context.obj

    async def work() -> None:
        document = await asyncio.to_thread(read_document, file)
        opening = _stored(session, storage_url) if url is None else _served(url, key_for(session, api_key))
        try:
            async with opening as changes:
                if dry_run:
                    _show(await changes.rehearse(name, document))
                else:
                    _tell(await changes.declare(name, document))
        except AeroliteError as error:
            place = f"{error.pointer}: " if error.pointer else ""
            raise CommandError(f"{file}: {place}{error}") from error

    run(work())


def read_document(file: Path) -> object:
    """Return what a file says: YAML, of which JSON is a part. Raises `CommandError`."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = reason(error) if isinstance(error, OSError) else "it is no UTF-8"
        raise CommandError(f"{file} cannot be read: {why}.") from error
    try:
        return json.loads(text)
    except ValueError as error:
        if file.suffix == ".json":
            raise CommandError(f"{file} is no JSON: {error}.") from error
    except RecursionError as error:
        raise CommandError(f"{file} is nested too deeply.") from error
    try:
        return _as_json(yaml.load(text, _Loader))  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError) as error:
        raise CommandError(f"{file} is no YAML: {error}.") from error
    except RecursionError as error:
        raise CommandError(f"{file} is nested too deeply.") from error


class _Loader(yaml.SafeLoader):
    """Takes no aliases: a few lines of them unfold to gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Return the next node. Raises `yaml.YAMLError` where an alias stands."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has an alias; write out what it stands for")
        return super().compose_node(parent, index)


def _as_json(value: object) -> object:
    """Return what YAML has read as JSON would have it: a day is its text. Raises `ValueError`."""
    if isinstance(value, dict):
        return {_name(name): _as_json(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_as_json(each) for each in value]
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and isfinite(value)):
        return value
    raise ValueError(f"JSON has nothing like {value!r:.80}")


def _name(value: object) -> str:
    """Return the name of a member: in YAML `true` and `2027` are no texts."""
    return value if isinstance(value, str) else json.dumps(_as_json(value)).strip('"')


@asynccontextmanager
async def _stored(session: Session, storage_url: str | None) -> AsyncIterator[Declarer]:
    async with session.stored(storage_url) as services:
        yield StoredChanges(services.changing())


@asynccontextmanager
async def _served(url: str, api_key: str | None) -> AsyncIterator[Declarer]:
    async with ApiClient(url, api_key) as client:
        yield ServedChanges(client)


def _path(name: str) -> str:
    return f"/datasets/{quote(name, safe='')}/changes"


def _tell(receipt: Mapping[str, Any]) -> None:
    typer.echo(f"{receipt['dataset']}: changes on {receipt['date']}, revision {receipt['revision']}")


def _show(rehearsal: Mapping[str, Any]) -> None:
    """Write records before and after, side by side."""
    table = Table("before", f"from {rehearsal['date']} on", show_lines=True)
    for row in rehearsal["rows"]:
        table.add_row(*(_lines(row[side]) for side in ("before", "after")))
    Console(markup=False, highlight=False).print(table)


def _lines(record: Mapping[str, Any]) -> str:
    return "\n".join(
        printable(f"{name}: {json.dumps(value, ensure_ascii=False)}") for name, value in record.items()
    )
