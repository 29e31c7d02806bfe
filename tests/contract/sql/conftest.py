"""Fixtures of the suite for databases: each of them, with datasets beside it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from service.adapters.spool import DiskSpool
from service.domain.errors import QueryFailed
from service.ports.database import Bounds, Database, Rows, Statement, Table
from service.ports.storage import Guard
from service.usecases.loading import Limits, Loading, LoadOptions, Source
from service.usecases.views import Views
from tests.clocks import FakeClock
from tests.servers import Servers
from tests.waiting import patience

from .databases import DATABASES, Dialect, Entry, Rig

BOUNDS = Bounds(timeout_s=600.0, max_rows=10_000, max_bytes=4 << 20)
"""Nothing that a test waits for ends by its time."""

Ask = Callable[..., Awaitable[Rows | None]]


@pytest.fixture(params=list(DATABASES))
def entry(request: pytest.FixtureRequest) -> Entry:
    """Give a database's line: each of them."""
    return DATABASES[request.param]


@pytest.fixture
def dialect(entry: Entry) -> Dialect:
    """Tell how it spells things."""
    return entry.dialect


@pytest.fixture
async def rig(entry: Entry, clock: FakeClock, tmp_path: Path, servers: Servers) -> AsyncIterator[Rig]:
    """Give an empty database."""
    async with entry.make(clock, tmp_path, servers) as made:
        yield made


@pytest.fixture
async def database(rig: Rig) -> AsyncIterator[Database]:
    """Give it open."""
    async with rig.open(BOUNDS) as opened:
        yield opened


class Shelf:
    """The datasets beside a database."""

    def __init__(self, rig: Rig, tmp_path: Path) -> None:
        self._datasets = rig.storage.datasets
        limits = Limits(max_upload_bytes=1 << 30, max_json_bytes=1 << 28, quota_bytes=None)
        self._loading = Loading(self._datasets, DiskSpool(tmp_path), limits, Views())
        self.views: dict[str, Any] = {}

    async def csv(self, name: str, text: str) -> None:
        """Replace a dataset by a CSV."""
        await self._loading.replace(name, Source(_chunks(text.encode()), None), LoadOptions(), Guard())

    async def records(self, name: str, records: Sequence[dict[str, Any]]) -> None:
        """Replace a dataset by records."""
        await self.json(name, json.dumps(records))

    async def json(self, name: str, text: str) -> None:
        """Replace a dataset by a JSON document as it stands."""
        await self._loading.replace(name, Source(_chunks(text.encode()), None), LoadOptions(), Guard())

    async def append(self, name: str, record: dict[str, Any]) -> None:
        """Append a record."""
        source = Source(_chunks(json.dumps(record).encode()), None)
        await self._loading.append(name, source, LoadOptions(widen=True), Guard())

    async def delete(self, name: str) -> None:
        """Delete a dataset."""
        await self._datasets.delete(name, Guard())

    async def tables(self) -> Sequence[Table]:
        """Tell the datasets of this moment; `views` holds those that are not seen as they are stored."""
        found = await self._datasets.datasets()
        return [Table(dataset, self.views.get(dataset.name)) for dataset in found]


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    yield body


@pytest.fixture
def shelf(rig: Rig, tmp_path: Path) -> Shelf:
    """Give the datasets."""
    return Shelf(rig, tmp_path)


async def served(database: Database, shelf: Shelf, sql: str) -> Rows | None:
    """Run a quick statement: again where a slow machine let it run into a time limit that is for others."""
    async with patience():
        while True:
            try:
                return await database.run(Statement(sql), shelf.tables)
            except QueryFailed as error:
                if "took" not in error.detail:
                    raise


@pytest.fixture
def ask(database: Database, shelf: Shelf) -> Ask:
    """Give a function that runs a statement, which may write where `writing` says so."""

    async def run(sql: str, parameters: Any = (), *, writing: bool = False) -> Rows | None:
        return await database.run(Statement(sql, parameters, writing), shelf.tables)

    return run
