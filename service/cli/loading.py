"""What there is to load, for whoever does it: this process or a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

from service.cli.files import InputFile
from service.domain.columns import ColumnType

WRITTEN_ON = date(2026, 11, 20)
"""The day whose contract and columns a load speaks, here as there; every server goes on speaking them."""


@dataclass(frozen=True, slots=True)
class LoadJob:
    """A file and how to read it; None leaves it to the service."""

    file: InputFile
    key: str | None = None
    delimiter: str | None = None
    skip_errors: bool = False
    types: Mapping[str, ColumnType] = field(default_factory=dict)


class Watcher(Protocol):
    """Is told how a load gets on."""

    def read(self, added_bytes: int) -> None:
        """So many more bytes of the file were taken."""
        ...

    def stored(self, records: int, parsed_bytes: int) -> None:
        """So many records in all are stored, which were that many bytes, inflated."""
        ...


class Loader(Protocol):
    """Loads one file."""

    async def load(self, job: LoadJob, watcher: Watcher) -> dict[str, Any]:
        """Make the file a dataset and return the receipt; raises `CommandError` or `AeroliteError`."""
        ...
