"""Any sequence of operations, on two replicas in turn, does to a backend what it does to a trivial model."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from service.domain.errors import DatasetNotFound, DuplicateKey, RecordNotFound
from service.domain.records import Batch
from service.ports.storage import OnConflict, Storage
from tests.clocks import FakeClock
from tests.servers import Servers

from .backends import BACKENDS
from .model import Model
from .steps import KEYED, append, load

T = TypeVar("T")

NAMES = st.sampled_from(["d", "e"])
REPLICAS = st.integers(0, 1)
KEYS = st.sampled_from([*"abcdefgh", "", "ä", "\x00"])
RECORDS = st.text(max_size=20).map(lambda text: msgspec.json.encode({"mass (g)": text}))
BATCHES = st.lists(st.tuples(RECORDS, KEYS), max_size=9).map(
    lambda pairs: Batch([one for one, _ in pairs], [key for _, key in pairs])
)
POSITIONS = st.integers(0, 20)


class StorageMachine(RuleBasedStateMachine):
    """Drives two replicas of a backend, and a model of each dataset beside them."""

    def __init__(self, backend_name: str, servers: Servers) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._clock = FakeClock()
        self._replicas: list[Storage] = []
        self._models: dict[str, Model] = {}
        self._directory = tempfile.TemporaryDirectory()
        self.run(self._open(backend_name, servers))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to its end in the loop of this machine."""
        return self._runner.run(work)

    async def _open(self, backend_name: str, servers: Servers) -> None:
        make = BACKENDS[backend_name].make
        path = Path(self._directory.name)
        backend = await self._stack.enter_async_context(make(self._clock, path, servers))
        self._replicas = [await self._stack.enter_async_context(backend.open()) for _ in range(2)]

    def teardown(self) -> None:
        """Close everything."""
        try:
            self.run(self._stack.aclose())
        finally:
            self._runner.close()
            self._directory.cleanup()

    def model(self, name: str) -> Model:
        """Return the model of a dataset."""
        return self._models.setdefault(name, Model())

    @rule(replica=REPLICAS, name=NAMES, batch=BATCHES)
    def replace(self, replica: int, name: str, batch: Batch) -> None:
        """Replace a dataset."""
        twice = self.model(name).replace(batch)
        work = load(self._replicas[replica], batch, name=name, schema=KEYED)
        self._write(work, twice)

    @rule(replica=REPLICAS, name=NAMES, batch=BATCHES, on_conflict=st.sampled_from(OnConflict))
    def append(self, replica: int, name: str, batch: Batch, on_conflict: OnConflict) -> None:
        """Append to a dataset."""
        model = self.model(name)
        work = append(self._replicas[replica], batch, name=name, on_conflict=on_conflict, schema=KEYED)
        if not model.exists:
            with pytest.raises(DatasetNotFound):
                self.run(work)
            return
        self._write(work, model.append(batch, on_conflict))

    def _write(self, work: Coroutine[Any, Any, Any], twice: str | None) -> None:
        if twice is None:
            self.run(work)
            return
        with pytest.raises(DuplicateKey) as caught:
            self.run(work)
        assert caught.value.members["key"] == twice

    @rule(replica=REPLICAS, name=NAMES, position=POSITIONS, record=RECORDS, key=KEYS)
    def put(self, replica: int, name: str, position: int, record: bytes, key: str) -> None:
        """Change a record."""
        model = self.model(name)
        datasets = self._replicas[replica].datasets
        work = datasets.put_record(name, position, record, key=key, schema=KEYED)
        row, other = model.at(position), model.find(key)
        if not model.exists or row is None:
            with pytest.raises(RecordNotFound if model.exists else DatasetNotFound):
                self.run(work)
        elif other is not None and other is not row:
            self._write(work, key)
        else:
            self.run(work)
            model.put(row, record, key)

    @rule(replica=REPLICAS, name=NAMES, position=POSITIONS)
    def remove(self, replica: int, name: str, position: int) -> None:
        """Remove a record."""
        model = self.model(name)
        work = self._replicas[replica].datasets.delete_record(name, position)
        row = model.at(position)
        if not model.exists or row is None:
            with pytest.raises(RecordNotFound if model.exists else DatasetNotFound):
                self.run(work)
        else:
            self.run(work)
            model.remove(row)

    @rule(replica=REPLICAS, name=NAMES)
    def delete(self, replica: int, name: str) -> None:
        """Delete a dataset."""
        model = self.model(name)
        work = self._replicas[replica].datasets.delete(name)
        if model.exists:
            self.run(work)
            model.delete()
        else:
            with pytest.raises(DatasetNotFound):
                self.run(work)

    @rule(replica=REPLICAS, minutes=st.integers(0, 11))
    def sweep(self, replica: int, minutes: int) -> None:
        """Let time pass and sweep."""
        now = self._clock.move(minutes=minutes)
        self.run(self._replicas[replica].sweep(now))

    @rule(replica=REPLICAS, name=NAMES, rank=POSITIONS, limit=st.integers(1, 9))
    def slice(self, replica: int, name: str, rank: int, limit: int) -> None:
        """Read a page by rank and the one behind its last position."""
        model = self.model(name)
        datasets = self._replicas[replica].datasets
        if not model.exists:
            with pytest.raises(DatasetNotFound):
                self.run(datasets.slice(name, rank=rank, limit=limit))
            return
        found = self.run(datasets.slice(name, rank=rank, limit=limit))
        rows = model.rows[rank : rank + limit]
        assert list(found.positions) == [row.position for row in rows]
        assert list(found.records) == [row.record for row in rows]
        assert (found.start, found.more) == (rank, rank + limit < len(model.rows))
        behind = [row for row in model.rows if row.position > rank]
        found = self.run(datasets.slice(name, after=rank, limit=limit))
        assert list(found.records) == [row.record for row in behind[:limit]]
        assert (found.start, found.more) == (len(model.rows) - len(behind), len(behind) > limit)

    @invariant()
    def both_replicas_hold_what_the_model_holds(self) -> None:
        """After every step, metadata and records agree on both replicas."""
        for name, model in self._models.items():
            for replica in self._replicas:
                self.run(self._agrees(replica, name, model))

    async def _agrees(self, replica: Storage, name: str, model: Model) -> None:
        assert await replica.datasets.last_revision(name) == model.revision
        dataset = await replica.datasets.dataset(name)
        if not model.exists:
            assert dataset is None
            return
        assert dataset is not None
        assert (dataset.revision, dataset.generation) == (model.revision, model.generation)
        assert (dataset.count, dataset.next_position) == (len(model.rows), model.next_position)
        assert dataset.edits == model.edits
        assert dataset.size_bytes == sum(len(row.record) for row in model.rows)
        async with replica.datasets.snapshot(name) as snapshot:
            parts = [part async for part in snapshot.scan()]
        assert [one for part in parts for one in part.records] == [row.record for row in model.rows]
        for row in model.rows[:3]:
            found = await replica.datasets.record(name, key=row.key)
            assert (found.position, found.record) == (row.position, row.record)


@pytest.mark.timeout(1800)
def test_a_backend_does_what_the_model_does(backend_name: str, servers: Servers) -> None:
    """Random operations leave every backend in the state that the model says, after each step."""
    run_state_machine_as_test(
        lambda: StorageMachine(backend_name, servers),
        settings=settings(
            max_examples=40,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
