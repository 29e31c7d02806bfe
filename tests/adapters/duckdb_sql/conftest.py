"""The reader of SQL over datasets in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.adapters.clock import SystemClock
from service.adapters.duckdb import DuckdbEngine
from service.adapters.duckdb_sql import DuckdbDatabase
from service.adapters.memory import MemoryStorage
from service.domain.columns import Column, ColumnType
from service.domain.datasets import Dataset, Schema
from service.domain.errors import QueryFailed
from service.domain.records import Batch
from service.ports.database import Bounds, Parameters, Rows, Statement, Table
from service.ports.engine import Derivation
from tests.waiting import patience

View = tuple[Derivation, ...]


class Shop:
    """Datasets, and readers of SQL over them."""

    def __init__(self, storage: MemoryStorage, engine: DuckdbEngine, directory: Path) -> None:
        self.storage = storage
        self.engine = engine
        self.directory = directory
        self.views: dict[str, View] = {}
        self.asked = 0

    async def load(
        self,
        name: str,
        records: Sequence[dict[str, Any]] | Sequence[bytes],
        columns: Mapping[str, ColumnType] | Sequence[Column],
    ) -> Dataset:
        """Replace a dataset by records whose columns have these types."""
        if isinstance(columns, Mapping):
            columns = [Column(name, kind) for name, kind in columns.items()]
        encoded = [record if isinstance(record, bytes) else msgspec.json.encode(record) for record in records]
        async with self.storage.datasets.replace(name) as writer:
            await writer.add(Batch(encoded))
            return (await writer.commit(Schema(columns=tuple(columns)))).dataset

    async def append(self, dataset: Dataset, *records: dict[str, Any]) -> Dataset:
        """Add records."""
        async with self.storage.datasets.append(dataset.name) as writer:
            await writer.add(Batch([msgspec.json.encode(record) for record in records]))
            return (await writer.commit(dataset.schema)).dataset

    async def tables(self) -> list[Table]:
        """Tell the datasets, and count that they were asked for."""
        self.asked += 1
        found = await self.storage.datasets.datasets()
        return [Table(dataset, self.views.get(dataset.name)) for dataset in found]

    def reader(
        self,
        *,
        timeout_s: float = 20.0,
        max_rows: int = 1000,
        max_bytes: int = 1 << 20,
        concurrency: int = 1,
        **options: int,
    ) -> DuckdbDatabase:
        """Return a reader with these bounds, to be entered."""
        bounds = Bounds(timeout_s, max_rows, max_bytes)
        return DuckdbDatabase(
            self.engine, self.storage.datasets, self.directory, bounds, concurrency, **options
        )

    async def ask(self, reader: DuckdbDatabase, sql: str, parameters: Parameters = ()) -> Rows:
        """Run a statement."""
        return await reader.run(Statement(sql, parameters), self.tables)

    async def served(self, reader: DuckdbDatabase, sql: str) -> Rows:
        """Run a quick statement: again where a slow machine let it run into a time limit for others."""
        async with patience():
            while True:
                try:
                    return await self.ask(reader, sql)
                except QueryFailed as error:
                    if "took more than" not in error.detail:
                        raise


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    """Give no datasets yet."""
    engine = DuckdbEngine(tmp_path, memory_bytes=64 << 20, spill_bytes=256 << 20, timeout_s=600.0)
    async with MemoryStorage(clock=SystemClock()) as storage, engine:
        yield Shop(storage, engine, tmp_path)


@pytest.fixture
async def reader(shop: Shop) -> AsyncIterator[DuckdbDatabase]:
    """Give an open reader."""
    async with shop.reader() as reader:
        yield reader


Ask = Callable[..., Any]


@pytest.fixture
def ask(shop: Shop, reader: DuckdbDatabase) -> Ask:
    """Give what runs a statement."""

    async def run(sql: str, parameters: Parameters = ()) -> Rows:
        return await shop.ask(reader, sql, parameters)

    return run
