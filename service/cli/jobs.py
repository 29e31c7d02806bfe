"""`aerolite jobs`: list, start, watch and cancel the jobs of a server."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any
from urllib.parse import urlencode

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from service.cli.api import ApiClient
from service.cli.options import ApiKey, AsJson, key_for
from service.cli.session import CommandError, Session, printable, run

POLL_S = 0.3

jobs = typer.Typer(
    help="List, start, watch and cancel jobs.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

Url = Annotated[str, typer.Option("--url", help="The server to speak to, over HTTP.")]
Id = Annotated[str, typer.Argument(help="The job's id.")]
_HERE = "http://127.0.0.1:8080"


@jobs.command("list")
def list_jobs(
    context: typer.Context,
    url: Url = _HERE,
    state: Annotated[str | None, typer.Option(help="Only jobs in this state.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Only jobs of this type.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 20,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List jobs, the newest first."""
    given = {"state": state, "type": type_, "limit": limit}
    query = urlencode({name: value for name, value in given.items() if value is not None})

    async def main() -> None:
        async with _client(context, url, api_key) as client:
            found = (await client.ask("GET", f"/jobs?{query}"))["jobs"]
        if as_json:
            typer.echo(json.dumps(found, indent=2))
        else:
            _show(found)

    run(main())


@jobs.command("run")
def run_job(
    context: typer.Context,
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="fibonacci, export, …")],
    parameters: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=VALUE", help="Its parameters; JSON or text.")
    ] = None,
    url: Url = _HERE,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Watch it to its end.")] = True,
    api_key: ApiKey = None,
) -> None:
    """Start a job, and watch it."""
    body = {"type": type_, "params": dict(map(_parameter, parameters or []))}

    async def main() -> None:
        async with _client(context, url, api_key) as client:
            job = await client.ask("POST", "/jobs", body)
            typer.echo(job["id"], err=wait)
            if wait:
                await _watch(client, job["id"])

    run(main())


@jobs.command()
def watch(context: typer.Context, id: Id, url: Url = _HERE, api_key: ApiKey = None) -> None:
    """Watch a job to its end, and write its result to standard output as JSON."""

    async def main() -> None:
        async with _client(context, url, api_key) as client:
            await _watch(client, _checked(id))

    run(main())


@jobs.command()
def cancel(context: typer.Context, id: Id, url: Url = _HERE, api_key: ApiKey = None) -> None:
    """Cancel a job."""

    async def main() -> None:
        async with _client(context, url, api_key) as client:
            job = await client.ask("DELETE", f"/jobs/{_checked(id)}")
        typer.echo(f"{id}: {'cancelled' if job['state'] == 'cancelled' else 'its worker has been told'}")

    run(main())


async def _watch(client: ApiClient, id: str) -> None:
    """Show a bar where a person is watching. Raises `CommandError` where the job does not succeed."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(id, total=1.0)
        while (job := await client.ask("GET", f"/jobs/{id}"))["finished"] is None:
            bar.update(
                task, completed=job["progress"], description=f"{printable(job['type'])} {job['state']}"
            )
            await asyncio.sleep(POLL_S)
    if job["state"] == "succeeded":
        typer.echo(json.dumps(job["result"], indent=2))
    elif job["state"] == "cancelled":
        raise CommandError("The job was cancelled.")
    else:
        raise CommandError(f"The job failed: {(job['error'] or {}).get('detail', 'nobody knows why')}")


def _client(context: typer.Context, url: str, api_key: str | None) -> ApiClient:
    session: Session = context.obj
    return ApiClient(url, key_for(session, api_key))


def _parameter(text: str) -> tuple[str, Any]:
    """Return a parameter; what is no JSON is text. Raises `typer.BadParameter`."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _checked(id: str) -> str:
    """Return an id that can stand in a path. Raises `CommandError`."""
    if not (id.isascii() and id.replace("-", "").isalnum()):
        raise CommandError(f"{id!r} is no id of a job; `aerolite jobs list` shows them.")
    return id


def _show(found: list[dict[str, Any]]) -> None:
    table = Table("id", "type", "state", "progress", "created", "error", box=None)
    for job in found:
        error = printable((job["error"] or {}).get("detail", ""))[:60]
        progress, created = f"{job['progress']:.0%}", job["created"][:19]
        table.add_row(job["id"], printable(job["type"]), job["state"], progress, created, error)
    Console(markup=False, highlight=False).print(table)
