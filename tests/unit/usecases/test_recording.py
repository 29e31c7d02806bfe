"""What a load has parsed answers the first question, and only what was committed does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from service.adapters.clock import SystemClock
from service.adapters.duckdb import DuckdbEngine
from service.adapters.memory import MemoryStorage
from service.adapters.spool import DiskSpool
from service.domain.datasets import Dataset
from service.domain.errors import AeroliteError, StoreUnavailable
from service.ports.engine import Question, Window
from service.ports.storage import Snapshot
from service.usecases.loading import Limits, Loading, LoadOptions, Source
from service.usecases.views import Views


class Served:
    """A store, what loads into it, and the engine that takes down what is loaded."""

    def __init__(self, storage: MemoryStorage, engine: DuckdbEngine, spool: Path) -> None:
        self._datasets = storage.datasets
        self._engine = engine
        self._loading = Loading(
            storage.datasets, DiskSpool(spool), Limits(), Views(), recording=engine.recording
        )

    async def load(self, body: bytes, key: str | None = None) -> Dataset:
        """Replace the dataset `d` by a CSV."""
        receipt = await self._loading.replace("d", Source(_chunks(body)), LoadOptions(key=key))
        return receipt.commit.dataset

    async def asked(self, dataset: Dataset) -> list[bytes]:
        """Return all records, without the store."""
        async with self._engine.snapshot(dataset, _gone) as snapshot:
            return list((await snapshot.match(Question(), Window(limit=10))).records)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """Give an empty store and an open engine."""
    engine = DuckdbEngine(tmp_path, memory_bytes=64 << 20, spill_bytes=256 << 20, timeout_s=60)
    async with MemoryStorage(clock=SystemClock()) as storage, engine:
        yield Served(storage, engine, tmp_path)


async def test_the_first_question_after_an_upload_needs_no_store(served: Served) -> None:
    """Its columns are made of what the upload's own parse has left."""
    dataset = await served.load(b"a,b\n1,x\n2,\n")
    assert await served.asked(dataset) == [b'{"a":"1","b":"x"}', b'{"a":"2","b":""}']


@pytest.mark.parametrize("body", [b"k\n1\n1\n", b"k\n1\n2,3\n", b'k\n"1\n'])
async def test_an_upload_that_is_refused_changes_no_answer(served: Served, body: bytes) -> None:
    """A key that is there twice, a ragged row, a quote without its end: the load before is what counts."""
    dataset = await served.load(b"k\n7\n")
    with pytest.raises(AeroliteError):
        await served.load(body, key="k")
    assert await served.asked(dataset) == [b'{"k":"7"}']


async def test_an_empty_upload_is_a_dataset_without_records(served: Served) -> None:
    """A header alone leaves columns and nothing in them."""
    assert await served.asked(await served.load(b"a,b\n")) == []


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _gone() -> AbstractAsyncContextManager[Snapshot]:
    raise StoreUnavailable("The store is not to be asked.")
