"""`aerolite query`: an SQL statement, on the database itself or over HTTP, and its rows."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from service.cli.api import ApiClient
from service.cli.asking import Answer, Asker, LocalAsker, RemoteAsker
from service.cli.options import StorageUrl, Url, key_for, one_place
from service.cli.session import Session, printable, run
from service.usecases.queries import READER, Order

STANDARD_INPUT = "-"


class Format(StrEnum):
    """How rows are written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


class Named(StrEnum):
    """The databases that have a name."""

    DATASETS = READER


def query(  # noqa: PLR0913 - Typer reads the options from the arguments
    context: typer.Context,
    statement: Annotated[str, typer.Argument(help="One SQL statement; - reads it from standard input.")],
    *,
    param: Annotated[
        list[str] | None,
        typer.Option(help="A parameter, in order: a JSON value, or else a text. May come again."),
    ] = None,
    format: Annotated[Format, typer.Option(help="How to write rows.")] = Format.TABLE,
    database: Annotated[
        Named | None, typer.Option(help="Ask the reader of datasets, not the configured database.")
    ] = None,
    url: Url = None,
    storage_url: StorageUrl = None,
    api_key: Annotated[
        str | None, typer.Option(help="The key for that server; without it, AEROLITE_API_KEY.")
    ] = None,
) -> None:
    """Run an SQL statement and print its rows, or OK where it has none.

    Without --url it asks the database of the settings itself, and may write.
    """
    session: Session = context.obj
    one_place(url, storage_url)
    order = Order(_statement(statement), [_value(text) for text in param or ()], database)

    async def main() -> None:
        opening = _local(session, storage_url) if url is None else _remote(url, key_for(session, api_key))
        async with opening as asker:
            _write(await asker.ask(order, csv=format is Format.CSV), format)

    run(main())


@asynccontextmanager
async def _local(session: Session, storage_url: str | None) -> AsyncIterator[Asker]:
    async with session.stored(storage_url) as services, services.engine(), services.queries() as queries:
        yield LocalAsker(queries)


@asynccontextmanager
async def _remote(url: str, api_key: str | None) -> AsyncIterator[Asker]:
    async with ApiClient(url, api_key) as client:
        yield RemoteAsker(client)


def _statement(text: str) -> str:
    if text != STANDARD_INPUT:
        return text
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise typer.BadParameter("standard input is not UTF-8.") from None


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if not isinstance(value, float) or value - value == 0 else text


def _write(answer: Answer, form: Format) -> None:
    if answer.body is None:
        typer.echo("OK")
    elif form is Format.TABLE:
        _show(answer.body)
    else:
        # Bytes as they are: CSV has line ends of its own.
        sys.stdout.buffer.write(answer.body)
        if form is Format.JSON:
            sys.stdout.buffer.write(b"\n")
        sys.stdout.flush()
    if answer.truncated:
        typer.echo("aerolite: there are more rows than SQL_MAX_ROWS and SQL_MAX_BYTES let through.", err=True)


def _show(body: bytes) -> None:
    rows: Sequence[dict[str, Any]] = json.loads(body, parse_float=Decimal)
    if not rows:
        typer.echo("No rows.")
        return
    table = Table(*map(printable, rows[0]), box=None)
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    Console(markup=False, highlight=False).print(table)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return printable(value)
    return "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
