"""`aerolite versions`: tools of those who write contracts, and of those who end them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from service import contracts
from service.cli.api import ApiClient
from service.cli.options import ApiKey, AsJson, StorageUrl, Url, key_for, one_place
from service.cli.session import Session, fail, printable, run
from service.contracts import authoring, lock, surface
from service.contracts.changes import DeclarationError
from service.contracts.differences import notes
from service.contracts.registry import Registry
from service.domain.dates import parse_version
from service.domain.errors import VersionMalformed
from service.usecases.sunsetting import Standing, Sunsetting

PACKAGE = Path(contracts.__file__).parent

Package = Annotated[
    Path, typer.Option("--package", help="The folder of the lock files.", file_okay=False, exists=True)
]
Root = Annotated[Path, typer.Option("--root", help="The checkout to write to.", file_okay=False, exists=True)]

versions = typer.Typer(
    help="List, scaffold, check and lock contracts, and see who uses them.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


@versions.command("list")
def list_versions() -> None:
    """List the contracts and their changes."""
    registry, now = _registry(), datetime.now(UTC)
    for contract in registry.contracts:
        typer.echo(f"{contract.date}  {registry.state(contract, now)}  {contract.description}")
        for note in notes(registry, contract):
            typer.echo(f"    {'breaking' if note.breaking else 'additive'}  {note.name}: {note.description}")


@versions.command()
def new(
    day: Annotated[str, typer.Argument(metavar="DATE", help="The contract's day, such as 2027-01-15.")],
    description: Annotated[str, typer.Argument(help="What changes, for clients, in a sentence.")],
    root: Root = Path(),
) -> None:
    """Write a contract's module, its golden files and its entry in the changelog."""
    registry = _registry()
    try:
        when = parse_version(day)
        _check_new(registry, when, root)
        _write_new(registry.newest.date, when, description, root)
    except VersionMalformed:
        fail(f"{day!r} is no day: it takes one such as 2027-01-15.", status=2)
    except DeclarationError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}.")
    typer.echo("Say in its `changes` how the past differed; then:")
    typer.echo("  pytest tests/http/test_goldens.py --update   # and read the diff")
    typer.echo("  aerolite versions lock")


@versions.command()
def check(package: Package = PACKAGE) -> None:
    """Hold the contracts against what was locked, and tell breaking from additive."""
    found = _findings(package)
    for remark in found.remarks:
        typer.echo(remark)
    if found.problems:
        fail(*found.problems)
    typer.echo("Every released contract is as it was.")


@versions.command("lock")
def lock_versions(
    *,
    accept_breaking: Annotated[
        bool, typer.Option("--accept-breaking", help="Where no client has ever seen what is broken.")
    ] = False,
    package: Package = PACKAGE,
) -> None:
    """Lock new contracts and additions; what was released is not locked anew."""
    registry = _registry()
    path = package / contracts.LOCK
    locked = lock.load(path.read_text("ascii"))
    found = authoring.check(registry, locked, (package / contracts.SURFACE).read_text("utf-8"))
    broken = [problem for problem in found.problems if "is not locked" not in problem]
    if broken and not accept_breaking:
        fail(*broken)
    path.write_text(lock.dump(registry), "ascii")
    (package / contracts.SURFACE).write_text(surface.dump(registry), "utf-8")
    typer.echo(f"Locked {len(registry.contracts)} contracts, the newest of {registry.newest.date}.")


@versions.command()
def usage(
    context: typer.Context,
    url: Url = None,
    storage_url: StorageUrl = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Tell who uses which contract, and which can be sunset today."""
    session: Session = context.obj
    one_place(url, storage_url)
    opening = _stored(session, storage_url) if url is None else _served(url, key_for(session, api_key))

    async def main() -> None:
        async with opening as told:
            typer.echo(json.dumps(told, indent=2)) if as_json else _show(told)

    run(main())


def _registry() -> Registry:
    try:
        return contracts.registered()
    except DeclarationError as error:
        fail(str(error))


def _findings(package: Path) -> authoring.Findings:
    locked = lock.load((package / contracts.LOCK).read_text("ascii"))
    return authoring.check(_registry(), locked, (package / contracts.SURFACE).read_text("utf-8"))


def _check_new(registry: Registry, day: date, root: Path) -> None:
    if day <= registry.newest.date:
        raise DeclarationError(f"A new contract comes after the newest, which is of {registry.newest.date}.")
    if not (root / "service" / "contracts").is_dir():
        raise DeclarationError(f"{root} is no checkout of Aerolite; name one with --root.")


def _write_new(before: date, day: date, description: str, root: Path) -> None:
    """Write everything, or nothing where one thing cannot be."""
    module = root / "service" / "contracts" / f"{authoring.module_name(day)}.py"
    text = authoring.module_text(day, description)
    changelog = root / "CHANGELOG.md"
    entry = authoring.changelog_text(changelog.read_text("utf-8"), day, description)
    goldens = root / "tests" / "goldens"
    folder = goldens / day.isoformat()
    folder.mkdir()
    with module.open("x", encoding="utf-8") as file:
        file.write(text)
    for golden in sorted((goldens / before.isoformat()).iterdir()):
        (folder / golden.name).write_bytes(authoring.golden_text(golden.read_bytes(), before, day))
    changelog.write_text(entry, "utf-8")
    for path in (module, folder, changelog):
        typer.echo(str(path.relative_to(root)))


@asynccontextmanager
async def _stored(session: Session, storage_url: str | None) -> AsyncIterator[dict[str, Any]]:
    now = datetime.now(UTC)
    async with session.stored(storage_url) as services:
        sunsetting: Sunsetting = services.sunsetting()
        registry: Registry = services.registry()
        yield await sunsetting.tell(
            [Standing(each.date.isoformat(), registry.state(each, now)) for each in registry.contracts]
        )


@asynccontextmanager
async def _served(url: str, api_key: str | None) -> AsyncIterator[dict[str, Any]]:
    async with ApiClient(url, api_key) as client:
        yield await client.ask("GET", "/versions/usage")


def _show(told: dict[str, Any]) -> None:
    console = Console(markup=False, highlight=False, soft_wrap=True)
    console.print(f"Counted since {told['since'] or 'never'}.")
    for version in told["versions"]:
        answer = "yes" if version["can_be_sunset"] else "no"
        console.print(f"\n{version['version']} ({version['state']}), {version['requests']:,} requests")
        console.print(f"can be sunset today: {answer}, because {version['because']}")
        if not version["used"]:
            continue
        table = Table("source", "key", "name", "requests", "first", "last", box=None)
        for used in version["used"]:
            name = printable(used["name"] or "-")
            requests = f"{used['requests']:,}"
            table.add_row(used["source"], used["key"] or "-", name, requests, used["first"], used["last"])
        console.print(table)
