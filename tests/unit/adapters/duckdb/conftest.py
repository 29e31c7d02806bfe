"""An engine over datasets in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.adapters.clock import SystemClock
from service.adapters.duckdb import DuckdbEngine
from service.adapters.memory import MemoryStorage
from service.domain.columns import Column, ColumnType
from service.domain.datasets import Dataset, Schema
from service.domain.records import Batch
from service.ports.engine import EngineSnapshot, Question, Window
from service.ports.storage import Snapshot

Records = Sequence[dict[str, Any]]


class Shelf:
    """Datasets in a store, and how often their records were read from it."""

    def __init__(self, storage: MemoryStorage) -> None:
        self.storage = storage
        self.opened = 0

    async def load(self, name: str, records: Records, **types: ColumnType) -> Dataset:
        """Replace a dataset by records whose columns have these types."""
        schema = Schema(columns=tuple(Column(column, kind) for column, kind in types.items()))
        async with self.storage.datasets.replace(name) as writer:
            await writer.add(Batch([msgspec.json.encode(record) for record in records]))
            return (await writer.commit(schema)).dataset

    async def append(self, dataset: Dataset, *records: dict[str, Any], **types: ColumnType) -> Dataset:
        """Add records, with columns that are new or have other types now."""
        columns = {column.name: column for column in dataset.schema.columns}
        columns |= {name: Column(name, kind) for name, kind in types.items()}
        async with self.storage.datasets.append(dataset.name) as writer:
            await writer.add(Batch([msgspec.json.encode(record) for record in records]))
            return (await writer.commit(Schema(columns=tuple(columns.values())))).dataset

    def source(self, name: str) -> Callable[[], AbstractAsyncContextManager[Snapshot]]:
        """Return what opens the records of a dataset, and counts."""

        def open_() -> AbstractAsyncContextManager[Snapshot]:
            self.opened += 1
            return self.storage.datasets.snapshot(name)

        return open_


@pytest.fixture
async def shelf() -> AsyncIterator[Shelf]:
    """Give an empty store."""
    async with MemoryStorage(clock=SystemClock()) as storage:
        yield Shelf(storage)


MakeEngine = Callable[..., DuckdbEngine]


@pytest.fixture
def make_engine(tmp_path: Path) -> MakeEngine:
    """Give a function that makes an engine, with limits of one's own."""
    return partial(DuckdbEngine, tmp_path, memory_bytes=64 << 20, spill_bytes=256 << 20, timeout_s=600.0)


@pytest.fixture
async def engine(make_engine: MakeEngine) -> AsyncIterator[DuckdbEngine]:
    """Give an open engine."""
    async with make_engine() as engine:
        yield engine


async def found(snapshot: EngineSnapshot, question: Question, **window: Any) -> list[dict[str, Any]]:
    """Return the records that match, decoded."""
    matched = await snapshot.match(question, Window(limit=1000, **window))
    return [msgspec.json.decode(record) for record in matched.records]
