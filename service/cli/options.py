"""Options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.session import Session, fail

StorageUrl = Annotated[
    str | None, typer.Option("--storage-url", help="The storage itself; without it, STORAGE_URL.")
]
Url = Annotated[str | None, typer.Option("--url", help="Speak to the server there, over HTTP.")]
ApiKey = Annotated[
    str | None,
    typer.Option("--api-key", help="An admin's key for that server; without it, AEROLITE_API_KEY."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")]


def one_place(url: str | None, storage_url: str | None) -> None:
    """End the command where two places were named."""
    if url is not None and storage_url is not None:
        fail("Give --url or --storage-url, not both.", status=2)


def key_for(session: Session, api_key: str | None) -> str | None:
    """Return the key for a server."""
    return api_key or session.environment.get("AEROLITE_API_KEY")
