"""Which columns are kept: built once, extended, rebuilt, dropped, and gone in the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from service.adapters.duckdb import DuckdbEngine
from service.domain.columns import ColumnType
from service.domain.datasets import Dataset
from service.domain.errors import Busy, DatasetNotFound, OutOfSpace, SnapshotLost, StoreUnavailable
from service.domain.records import Batch
from service.ports.engine import Filter, Operator, Order, Question, Window
from service.ports.storage import Snapshot

from .conftest import MakeEngine, Shelf, found

INTEGER, STRING, NUMBER = ColumnType.INTEGER, ColumnType.STRING, ColumnType.NUMBER
ALL = Question()


async def test_many_who_ask_at_once_wait_for_one_building(engine: DuckdbEngine, shelf: Shelf) -> None:
    """Twenty concurrent questions read the store once."""
    dataset = await shelf.load("some", [{"a": at} for at in range(5000)], a=INTEGER)

    async def ask() -> int:
        async with engine.snapshot(dataset, shelf.source("some")) as snapshot:
            return (await snapshot.match(ALL, Window(limit=1))).count

    assert await asyncio.gather(*(ask() for _ in range(20))) == [5000] * 20
    assert shelf.opened == 1
    assert engine.builds == 1


async def test_an_append_extends_what_is_there(engine: DuckdbEngine, shelf: Shelf) -> None:
    """After appends the columns are not built anew, and a revision shows its own records only."""
    first = await shelf.load("some", [{"a": 1}], a=INTEGER)
    async with engine.snapshot(first, shelf.source("some")) as held:
        second = await shelf.append(first, {"a": 2}, {"a": 3})
        async with engine.snapshot(second, shelf.source("some")) as snapshot:
            assert await found(snapshot, ALL) == [{"a": 1}, {"a": 2}, {"a": 3}]
        assert await found(held, ALL) == [{"a": 1}]
    async with engine.snapshot(first, shelf.source("some")) as snapshot:
        assert (await snapshot.match(ALL, Window(limit=10))).count == 1
    assert engine.builds == 1


async def test_a_revision_never_shows_what_is_appended_meanwhile(engine: DuckdbEngine, shelf: Shelf) -> None:
    """Questions that run while the columns grow count the records of their own revision."""
    dataset = await shelf.load("some", [{"a": at} for at in range(2000)], a=INTEGER)
    positive = Question((Filter("a", Operator.GTE, (0,)),))
    done = False

    async def ask() -> int:
        asked = 0
        while not done:
            revision = dataset
            async with engine.snapshot(revision, shelf.source("some")) as snapshot:
                counts = {(await snapshot.match(positive, Window(limit=1))).count for _ in range(3)}
                assert counts == {snapshot.dataset.count}
            asked += 1
        return asked

    asking = [asyncio.create_task(ask()) for _ in range(3)]
    for at in range(25):
        dataset = await shelf.append(dataset, {"a": at})
        async with engine.snapshot(dataset, shelf.source("some")) as snapshot:
            assert (await snapshot.match(positive, Window(limit=1))).count == 2001 + at
    done = True
    assert sum(await asyncio.gather(*asking)) > 10
    assert engine.builds == 1


async def test_a_new_column_and_one_that_gets_a_type_need_no_building(
    engine: DuckdbEngine, shelf: Shelf
) -> None:
    """An append that brings a column, or the first value of one, is added to what is there."""
    first = await shelf.load("some", [{"a": 1, "e": None}], a=INTEGER, e=ColumnType.EMPTY)
    async with engine.snapshot(first, shelf.source("some")):
        pass
    second = await shelf.append(first, {"a": 2, "b": "x", "e": 5}, b=STRING, e=INTEGER)
    async with engine.snapshot(second, shelf.source("some")) as snapshot:
        assert await found(snapshot, Question((Filter("b", Operator.EQ, ("x",)),))) == [
            {"a": 2, "b": "x", "e": 5}
        ]
        assert await found(snapshot, Question((Filter("e", Operator.GT, (4,)),))) != []
    async with engine.snapshot(first, shelf.source("some")) as snapshot:
        assert await found(snapshot, Question((Filter("e", Operator.NULL, (True,)),))) == [
            {"a": 1, "e": None}
        ]
        assert await found(snapshot, Question((Filter("e", Operator.EQ, ("5",)),))) == []
    assert engine.builds == 1


@pytest.mark.parametrize("change", ["edit", "delete", "replace", "widen"])
async def test_what_changes_records_makes_the_columns_anew(
    engine: DuckdbEngine, shelf: Shelf, change: str
) -> None:
    """After an edit, a deletion, a replacement or a change of type the columns are those of the revision."""
    first = await shelf.load("some", [{"a": 1}, {"a": 2}], a=INTEGER)
    async with engine.snapshot(first, shelf.source("some")):
        pass
    second, expected = await _changed(shelf, first, change)
    async with engine.snapshot(second, shelf.source("some")) as snapshot:
        assert snapshot.dataset == second
        assert await found(snapshot, Question(order=(Order("a"),))) == expected
    assert engine.builds == 2
    assert engine.kept == ["some"]


async def _changed(shelf: Shelf, dataset: Dataset, change: str) -> tuple[Dataset, list[dict[str, object]]]:
    datasets = shelf.storage.datasets
    if change == "edit":
        commit = await datasets.put_record("some", 0, b'{"a":9}', key=None, schema=dataset.schema)
        return commit.dataset, [{"a": 2}, {"a": 9}]
    if change == "delete":
        return (await datasets.delete_record("some", 0)).dataset, [{"a": 2}]
    if change == "replace":
        return await shelf.load("some", [{"a": 7}], a=INTEGER), [{"a": 7}]
    return await shelf.append(dataset, {"a": 1.5}, a=NUMBER), [{"a": 1}, {"a": 1.5}, {"a": 2}]


async def test_an_integer_beyond_64_bits_is_exact(engine: DuckdbEngine, shelf: Shelf) -> None:
    """Huge integers are compared digit by digit, whether they were loaded or appended later."""
    huge = 10**30
    texts = [b'{"a":%d}' % value for value in (huge, -huge, 5, -0, huge + 1)]
    dataset = await shelf.load("some", [{"a": 1}], a=INTEGER)
    async with engine.snapshot(dataset, shelf.source("some")):
        pass
    async with shelf.storage.datasets.append("some") as writer:
        await writer.add(Batch(texts))
        dataset = (await writer.commit(dataset.schema)).dataset
    async with engine.snapshot(dataset, shelf.source("some")) as snapshot:
        matched = await snapshot.match(Question(order=(Order("a"),)), Window(limit=10))
        assert [int(record[5:-1]) for record in matched.records] == [-huge, 0, 1, 5, huge, huge + 1]
        matched = await snapshot.match(Question((Filter("a", Operator.GT, (huge,)),)), Window(limit=10))
        assert matched.records == [b'{"a":%d}' % (huge + 1)]
    dataset = await shelf.append(dataset, {"a": 6})
    async with engine.snapshot(dataset, shelf.source("some")) as snapshot:
        assert await found(snapshot, Question((Filter("a", Operator.IN, (6, huge * 9)),))) == [{"a": 6}]
    assert engine.builds == 2


async def test_the_least_recently_used_columns_make_room(make_engine: MakeEngine, shelf: Shelf) -> None:
    """Where the files outgrow their bound, the columns that were not used for longest are dropped."""
    async with make_engine(spill_bytes=200_000) as engine:
        names = ["first", "second", "third", "fourth", "fifth", "sixth"]
        for name in names:
            dataset = await shelf.load(name, [{"a": at} for at in range(1000)], a=INTEGER)
            async with engine.snapshot(dataset, shelf.source(name)) as snapshot:
                assert (await snapshot.match(ALL, Window(limit=1))).count == 1000
        assert 0 < len(engine.kept) < len(names)
        assert engine.kept == names[-len(engine.kept) :]


async def test_columns_that_never_fit_are_refused_and_leave_nothing(
    make_engine: MakeEngine, shelf: Shelf, tmp_path: Path
) -> None:
    """A dataset larger than all the room is an error that says which setting gives more."""
    dataset = await shelf.load("some", [{"a": f"{at:0100}"} for at in range(100)], a=STRING)
    async with make_engine(spill_bytes=10_000) as engine:
        with pytest.raises(OutOfSpace, match="ENGINE_SPILL_BYTES"):
            async with engine.snapshot(dataset, shelf.source("some")):
                pass
        assert engine.kept == []
        assert list(tmp_path.glob("*/*.duckdb")) == []


async def test_a_source_that_fails_fails_the_question_and_the_next_one_tries_again(
    engine: DuckdbEngine, shelf: Shelf
) -> None:
    """What the store raises is raised; a store whose records change while they are read is read again."""
    dataset = await shelf.load("some", [{"a": 1}], a=INTEGER)

    @asynccontextmanager
    async def gone() -> AsyncIterator[Snapshot]:
        raise DatasetNotFound("It is gone.")
        yield

    with pytest.raises(DatasetNotFound):
        async with engine.snapshot(dataset, gone):
            pass
    failures = iter([SnapshotLost("It changed."), SnapshotLost("It changed.")])

    @asynccontextmanager
    async def restless() -> AsyncIterator[Snapshot]:
        for failure in failures:
            raise failure
        async with shelf.source("some")() as snapshot:
            yield snapshot

    async with engine.snapshot(dataset, restless) as snapshot:
        assert await found(snapshot, ALL) == [{"a": 1}]


async def test_a_store_that_never_rests_is_told_of(engine: DuckdbEngine, shelf: Shelf) -> None:
    """Records that change every time they are read end in `Busy`."""
    dataset = await shelf.load("some", [{"a": 1}], a=INTEGER)

    @asynccontextmanager
    async def restless() -> AsyncIterator[Snapshot]:
        raise SnapshotLost("It changed.")
        yield

    with pytest.raises(Busy):
        async with engine.snapshot(dataset, restless):
            pass


async def test_a_question_that_nobody_waits_for_lets_the_building_go_on(
    engine: DuckdbEngine, shelf: Shelf
) -> None:
    """A caller that goes away does not spoil the columns for those who come after it."""
    dataset = await shelf.load("some", [{"a": at} for at in range(20_000)], a=INTEGER)

    async def ask() -> None:
        async with engine.snapshot(dataset, shelf.source("some")):
            pass

    task = asyncio.create_task(ask())
    while shelf.opened == 0:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await ask()
    assert shelf.opened == 1


async def test_leaving_removes_the_files(make_engine: MakeEngine, shelf: Shelf, tmp_path: Path) -> None:
    """No file of the engine is left, and nothing can be asked any more."""
    dataset = await shelf.load("some", [{"a": 1}], a=INTEGER)
    engine = make_engine()
    async with engine, engine.snapshot(dataset, shelf.source("some")):
        assert list(tmp_path.glob("aerolite-engine-*/*.duckdb"))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreUnavailable):
        async with engine.snapshot(dataset, shelf.source("some")):
            pass
