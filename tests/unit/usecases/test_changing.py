"""Declaring changes and writing through them while others do, on a store in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.adapters.memory import MemoryStorage
from service.adapters.spool import DiskSpool
from service.domain.errors import Busy, InvalidChange
from service.lenses.change import read_change
from service.ports.storage import OnConflict
from service.usecases.changes import MAX_CHANGES, Changing, planned
from service.usecases.editing import Editing
from service.usecases.loading import Limits, Loading, LoadOptions, Source
from service.usecases.reading import Reading
from service.usecases.views import Views, shown
from tests.clocks import FakeClock

START = datetime(2026, 12, 1, tzinfo=UTC)
DAY = START.date()

HIDE = {"op": "hide", "column": "b"}


class Raced:
    """The datasets of a store, to whom somebody else writes just before a write of ours."""

    def __init__(self, datasets: Any, rival: Callable[[], Awaitable[Any]]) -> None:
        self._datasets = datasets
        self._rival = rival

    def __getattr__(self, name: str) -> Any:
        return getattr(self._datasets, name)

    async def put_schema(self, *args: Any, **kwargs: Any) -> Any:
        """Let the other one write first."""
        await self._rival()
        return await self._datasets.put_schema(*args, **kwargs)

    async def record(self, *args: Any, **kwargs: Any) -> Any:
        """Let the other one write behind our look."""
        found = await self._datasets.record(*args, **kwargs)
        await self._rival()
        return found


def document(operation: dict[str, Any], day: str = "2026-12-01") -> dict[str, Any]:
    """Return a change of one operation."""
    return {"date": day, "description": "x", "operations": [operation]}


async def chunks(body: bytes) -> AsyncIterator[bytes]:
    """Yield a body."""
    yield body


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[MemoryStorage]:
    """Give a store with a dataset `d` of one record, with the key `k`."""
    async with MemoryStorage(clock=FakeClock(START)) as storage:
        loading = Loading(storage.datasets, DiskSpool(tmp_path), Limits(), Views())
        await loading.replace("d", Source(chunks(b"k,a,b\n1,x,y\n")), LoadOptions(key="k"))
        yield storage


def once(action: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
    """Return what does a thing the first time only."""
    left = [action]

    async def act() -> None:
        if left:
            await left.pop()()

    return act


async def test_who_comes_second_sees_the_first(storage: MemoryStorage) -> None:
    """A change that was thought of before another one was declared is thought of again."""
    first = Changing(storage.datasets, FakeClock(START))
    rival = once(lambda: first.declare("d", document({"op": "rename", "from": "a", "to": "c"})))
    second = Changing(Raced(storage.datasets, rival), FakeClock(START))
    dataset, _ = await second.declare("d", document(HIDE))
    assert [change["operations"][0]["op"] for change in dataset.schema.changes] == ["rename", "hide"]
    rival = once(lambda: first.declare("d", document({"op": "hide", "column": "c"})))
    third = Changing(Raced(storage.datasets, rival), FakeClock(START))
    with pytest.raises(InvalidChange, match="no column"):
        await third.declare("d", document({"op": "hide", "column": "c"}))


async def test_somebody_who_never_gets_a_turn_is_told_so(storage: MemoryStorage) -> None:
    """After sixteen attempts it is `Busy`."""
    editing = Editing(storage.datasets, Reading(storage.datasets), Views())
    titles = iter(range(100))
    changing = Changing(
        Raced(storage.datasets, lambda: editing.retitle("d", str(next(titles)))), FakeClock(START)
    )
    with pytest.raises(Busy):
        await changing.declare("d", document(HIDE))


async def test_there_are_so_many_changes_and_no_more(storage: MemoryStorage) -> None:
    """A dataset's thousand and first change is refused."""
    dataset = await storage.datasets.dataset("d")
    assert dataset is not None
    change = read_change(document({"op": "cast", "column": "a", "to": "string"}))
    schema = dataset.schema
    for _ in range(3):
        schema, _at, _conditions = planned(schema, change)
    full = schema.from_document(
        {**schema.as_document(), "changes": list(schema.changes) * (MAX_CHANGES // 3 + 1)}, 1
    )
    with pytest.raises(InvalidChange, match="1000 changes at most"):
        planned(full, change)


async def test_a_replacing_append_is_over_what_is_there_at_its_commit(
    storage: MemoryStorage, tmp_path: Path
) -> None:
    """A record that changes between the look at it and the commit is looked at again: nothing hidden is lost."""
    await Changing(storage.datasets, FakeClock(START)).declare("d", document(HIDE))
    editing = Editing(storage.datasets, Reading(storage.datasets), Views())
    rival = once(lambda: editing.patch("d", "1", b'{"b": "z"}'))
    loading = Loading(Raced(storage.datasets, rival), DiskSpool(tmp_path), Limits(), Views())
    options = LoadOptions(day=DAY, on_conflict=OnConflict.REPLACE)
    receipt = await loading.append("d", Source(chunks(b"k,a\n1,w\n2,v\n")), options)
    assert (receipt.commit.replaced, receipt.commit.added) == (1, 1)
    records = (await storage.datasets.slice("d", limit=9)).records
    assert list(records) == [b'{"k":"1","a":"w","b":"z"}', b'{"k":"2","a":"v"}']


async def test_a_put_keeps_what_was_hidden_when_it_was_written(storage: MemoryStorage) -> None:
    """A hidden value that changes under a PUT is not put back to what it was."""
    await Changing(storage.datasets, FakeClock(START)).declare("d", document(HIDE))
    views = Views()
    plain = Editing(storage.datasets, Reading(storage.datasets), views)
    rival = once(lambda: plain.patch("d", "1", b'{"b": "z"}'))
    raced: Any = Raced(storage.datasets, rival)
    edited = await Editing(raced, Reading(raced), views).put("d", "1", b'{"k": "1", "a": "w"}', day=DAY)
    assert edited.record == b'{"k":"1","a":"w","b":"z"}'
    assert shown(views.of(edited.dataset, DAY), edited.record) == b'{"k":"1","a":"w"}'


async def test_a_put_may_widen_by_a_new_column(storage: MemoryStorage) -> None:
    """A name that no client knows is a new column for all; one that old clients know is refused."""
    await Changing(storage.datasets, FakeClock(START)).declare("d", document(HIDE))
    editing = Editing(storage.datasets, Reading(storage.datasets), Views())
    edited = await editing.put("d", "1", b'{"k": "1", "n": 5}', day=DAY, widen=True)
    assert edited.record == b'{"k":"1","b":"y","n":5}'
    with pytest.raises(Exception, match="means another column"):
        await editing.put("d", "1", b'{"k": "1", "b": "5"}', day=DAY, widen=True)


async def test_views_are_compiled_once_and_forgotten_in_time(storage: MemoryStorage) -> None:
    """The same revision and day give the same view until too many others were asked for."""
    dataset = await storage.datasets.dataset("d")
    assert dataset is not None
    views = Views(max_views=2)
    first = views.of(dataset, DAY)
    assert views.of(dataset, None) is first
    for version in (7, 8):
        views.of(
            dataset.with_schema(dataset.schema.from_document(dataset.schema.as_document(), version)), DAY
        )
    assert views.of(dataset, DAY) is not first
