"""`aerolite keys`: API keys, straight in the storage or over HTTP with an admin's key."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import Annotated, Any, Protocol

import typer
from rich.console import Console
from rich.table import Table

from service.cli.api import ApiClient
from service.cli.options import ApiKey, AsJson, StorageUrl, Url, key_for, one_place
from service.cli.session import CommandError, Session, fail, printable, run
from service.domain.access import Scope
from service.domain.dates import parse_version
from service.domain.errors import InvalidContent, VersionMalformed
from service.usecases.access import MAX_NAME_CHARS, Access, Key

PAGE = 1000

keys = typer.Typer(
    help="Make, list and revoke API keys, and set their pins.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


class Keys(Protocol):
    """Where keys are kept; each method returns them as the API's JSON has them."""

    async def create(self, name: str, scopes: Sequence[Scope]) -> dict[str, Any]:
        """Make a key; the member `key` is the secret."""
        ...

    async def list(self) -> list[dict[str, Any]]:
        """Return all keys."""
        ...

    async def revoke(self, id: str) -> None:
        """End a key."""
        ...

    async def pin(self, id: str, day: date) -> dict[str, Any]:
        """Set a key's pin."""
        ...


class StoredKeys:
    """Keys in the storage."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def create(self, name: str, scopes: Sequence[Scope]) -> dict[str, Any]:
        """Make a key. Raises `InvalidContent`."""
        if not 0 < len(name) <= MAX_NAME_CHARS:
            raise InvalidContent(f"A name has 1 to {MAX_NAME_CHARS} characters.")
        key, secret = await self._access.create(name, frozenset(scopes))
        return {**_described(key), "key": secret}

    async def list(self) -> list[dict[str, Any]]:
        """Return all keys."""
        found: list[dict[str, Any]] = []
        behind: str | None = ""
        while behind is not None:
            page, behind = await self._access.list(behind, PAGE)
            found += map(_described, page)
        return found

    async def revoke(self, id: str) -> None:
        """End a key. Raises `KeyNotFound`, `Conflict`."""
        await self._access.revoke(id)

    async def pin(self, id: str, day: date) -> dict[str, Any]:
        """Set a key's pin. Raises `KeyNotFound`, `InvalidContent`."""
        return _described(await self._access.set_pin(id, day))


class ServedKeys:
    """Keys of a server that runs elsewhere."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def create(self, name: str, scopes: Sequence[Scope]) -> dict[str, Any]:
        """Make a key."""
        return await self._client.ask("POST", "/keys", {"name": name, "scopes": list(scopes)})

    async def list(self) -> list[dict[str, Any]]:
        """Return all keys."""
        found: list[dict[str, Any]] = []
        query: str | None = f"?limit={PAGE}"
        while query is not None:
            page = await self._client.ask("GET", f"/keys{query}")
            found += page["keys"]
            query = None if page["next"] is None else "?" + page["next"].partition("?")[2]
        return found

    async def revoke(self, id: str) -> None:
        """End a key."""
        await self._client.ask("DELETE", f"/keys/{id}")

    async def pin(self, id: str, day: date) -> dict[str, Any]:
        """Set a key's pin."""
        return await self._client.ask("POST", f"/keys/{id}/pin", {"date": day.isoformat()})


@keys.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose key it is, for people.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may do; once for each.")],
    url: Url = None,
    storage_url: StorageUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Make a key and write it to standard output, this once; its id goes to standard error."""

    async def work(kept: Keys) -> None:
        made = await kept.create(name, scope)
        typer.echo(f"{made['id']}: {', '.join(made['scopes'])}", err=True)
        typer.echo(made["key"])

    _with_keys(context.obj, url, storage_url, api_key, work)


@keys.command("list")
def list_keys(
    context: typer.Context,
    url: Url = None,
    storage_url: StorageUrl = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List the keys: never their secrets, which are not kept."""

    async def work(kept: Keys) -> None:
        found = await kept.list()
        if as_json:
            typer.echo(json.dumps(found, indent=2))
        else:
            _show(found)

    _with_keys(context.obj, url, storage_url, api_key, work)


@keys.command()
def revoke(
    context: typer.Context,
    id: Annotated[str, typer.Argument(help="The key's id.")],
    url: Url = None,
    storage_url: StorageUrl = None,
    api_key: ApiKey = None,
) -> None:
    """End a key, at once and everywhere."""

    async def work(kept: Keys) -> None:
        await kept.revoke(_checked(id))
        typer.echo(f"{id}: revoked")

    _with_keys(context.obj, url, storage_url, api_key, work)


@keys.command()
def pin(
    context: typer.Context,
    id: Annotated[str, typer.Argument(help="The key's id.")],
    day: Annotated[str, typer.Argument(metavar="DATE", help="Any day from the first contract to today.")],
    url: Url = None,
    storage_url: StorageUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Set the day that a key is pinned to, in whichever direction."""
    try:
        wanted = parse_version(day)
    except VersionMalformed:
        fail(f"{day!r} is no day: it takes one such as 2026-11-20.", status=2)

    async def work(kept: Keys) -> None:
        changed = await kept.pin(_checked(id), wanted)
        typer.echo(f"{id}: pinned to {changed['pin']}")

    _with_keys(context.obj, url, storage_url, api_key, work)


def _with_keys(
    session: Session,
    url: str | None,
    storage_url: str | None,
    api_key: str | None,
    work: Callable[[Keys], Awaitable[None]],
) -> None:
    one_place(url, storage_url)

    async def main() -> None:
        opening = _stored(session, storage_url) if url is None else _served(url, key_for(session, api_key))
        async with opening as kept:
            await work(kept)

    run(main())


@asynccontextmanager
async def _stored(session: Session, storage_url: str | None) -> AsyncIterator[Keys]:
    async with session.stored(storage_url) as services:
        yield StoredKeys(services.access())


@asynccontextmanager
async def _served(url: str, api_key: str | None) -> AsyncIterator[Keys]:
    async with ApiClient(url, api_key) as client:
        yield ServedKeys(client)


def _checked(id: str) -> str:
    """Return an id that can stand in a path. Raises `CommandError`."""
    if not (id.isascii() and id.isalnum()):
        raise CommandError(f"{id!r} is no id of a key; `aerolite keys list` shows them.")
    return id


def _described(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "created": key.created.isoformat(),
        "pin": None if key.pin is None else key.pin.isoformat(),
    }


def _show(found: Sequence[dict[str, Any]]) -> None:
    table = Table("id", "name", "scopes", "created", "pin", box=None)
    for key in found:
        scopes = ", ".join(key["scopes"])
        table.add_row(key["id"], printable(key["name"]), scopes, key["created"][:10], key["pin"] or "-")
    Console(markup=False, highlight=False).print(table)
