"""Edits that this process has made are brought into the columns that are kept."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import msgspec
import pytest

from service.adapters.duckdb import DuckdbEngine
from service.adapters.duckdb.edits import MAX_BYTES, MAX_EDITS, Edits
from service.domain.columns import Column, ColumnType
from service.domain.datasets import Dataset, Schema
from service.ports.engine import Filter, Operator, Order, Question
from service.ports.storage import Commit
from tests.waiting import until

from .conftest import MakeEngine, Shelf, found

INTEGER, STRING = ColumnType.INTEGER, ColumnType.STRING
ALL = Question()
TEN = [{"a": at, "s": f"s{at}"} for at in range(10)]


class Editor:
    """Changes records in the store and tells the engine."""

    def __init__(self, engine: DuckdbEngine, shelf: Shelf) -> None:
        self.engine = engine
        self.shelf = shelf

    async def put(
        self, dataset: Dataset, position: int, record: dict[str, Any], **types: ColumnType
    ) -> Dataset:
        """Put another record in a place, perhaps one with new columns, and tell."""
        columns = {column.name: column for column in dataset.schema.columns}
        columns |= {name: Column(name, kind) for name, kind in types.items()}
        body = msgspec.json.encode(record)
        commit = await self.shelf.storage.datasets.put_record(
            dataset.name, position, body, key=None, schema=Schema(columns=tuple(columns.values()))
        )
        self.engine.edited(commit, body)
        return commit.dataset

    async def delete(self, dataset: Dataset, position: int) -> Dataset:
        """Remove a record, and tell."""
        commit = await self.shelf.storage.datasets.delete_record(dataset.name, position)
        self.engine.edited(commit, None)
        return commit.dataset

    async def seen(self, dataset: Dataset, question: Question = ALL) -> list[dict[str, Any]]:
        """Return the records that match, as the engine has them."""
        async with self.engine.snapshot(dataset, self.shelf.source(dataset.name)) as snapshot:
            return await found(snapshot, question)


@pytest.fixture
def editor(engine: DuckdbEngine, shelf: Shelf) -> Editor:
    """Give what changes records."""
    return Editor(engine, shelf)


async def test_a_changed_record_needs_no_building(editor: Editor, shelf: Shelf) -> None:
    """It is found by its new values only, and stands where it stood."""
    dataset = await shelf.load("some", TEN, a=INTEGER, s=STRING)
    await editor.seen(dataset)
    dataset = await editor.put(dataset, 4, {"a": 44, "s": "new"})
    assert await editor.seen(dataset) == [*TEN[:4], {"a": 44, "s": "new"}, *TEN[5:]]
    assert await editor.seen(dataset, Question((Filter("a", Operator.EQ, (4,)),))) == []
    assert await editor.seen(dataset, Question((Filter("s", Operator.EQ, ("new",)),))) == [
        {"a": 44, "s": "new"}
    ]
    assert (await editor.seen(dataset, Question(order=(Order("a", descending=True),))))[0]["a"] == 44
    assert editor.engine.builds == 1


async def test_a_removed_record_needs_no_building(editor: Editor, shelf: Shelf) -> None:
    """It is gone, and what is appended later has its own place."""
    dataset = await shelf.load("some", TEN, a=INTEGER, s=STRING)
    await editor.seen(dataset)
    dataset = await editor.delete(dataset, 0)
    dataset = await shelf.append(dataset, {"a": 10, "s": "s10"})
    dataset = await editor.delete(dataset, 10)
    dataset = await shelf.append(dataset, {"a": 11, "s": "s11"})
    assert [record["a"] for record in await editor.seen(dataset)] == [*range(1, 10), 11]
    assert editor.engine.builds == 1


async def test_an_edit_may_bring_a_column(editor: Editor, shelf: Shelf) -> None:
    """A column that is new has values in the changed record only."""
    dataset = await shelf.load("some", TEN, a=INTEGER, s=STRING)
    await editor.seen(dataset)
    dataset = await editor.put(dataset, 2, {"a": 2, "n": 7}, n=INTEGER)
    assert await editor.seen(dataset, Question((Filter("n", Operator.EQ, (7,)),))) == [{"a": 2, "n": 7}]
    assert editor.engine.builds == 1


async def test_an_integer_that_64_bits_cannot_hold_makes_the_columns_anew(
    editor: Editor, shelf: Shelf
) -> None:
    """It is exact afterwards."""
    dataset = await shelf.load("some", TEN, a=INTEGER, s=STRING)
    await editor.seen(dataset)
    dataset = await editor.put(dataset, 2, {"a": 1 << 80})
    assert (await editor.seen(dataset, Question(order=(Order("a", descending=True),))))[0]["a"] == 1 << 80
    assert editor.engine.builds == 2


async def test_an_edit_that_nobody_told_makes_the_columns_anew(editor: Editor, shelf: Shelf) -> None:
    """Another process may have made it; those told before and after are no help."""
    dataset = await shelf.load("some", TEN, a=INTEGER, s=STRING)
    await editor.seen(dataset)
    await editor.put(dataset, 1, {"a": 11})
    await shelf.storage.datasets.delete_record("some", 2)
    dataset = await editor.put(dataset, 3, {"a": 33})
    assert [record["a"] for record in await editor.seen(dataset)] == [0, 11, 33, *range(4, 10)]
    assert editor.engine.builds == 2


async def test_who_holds_a_revision_goes_on_seeing_it(editor: Editor, shelf: Shelf) -> None:
    """A change waits for readers, and for those who stay the columns are built anew beside theirs."""
    dataset = await shelf.load("some", TEN, a=INTEGER, s=STRING)
    async with editor.engine.snapshot(dataset, shelf.source("some")) as held:
        changed = await editor.put(dataset, 4, {"a": 44})
        waiting = asyncio.create_task(editor.seen(changed))
        await asyncio.wait({waiting}, timeout=0.1)
        assert await found(held, ALL) == TEN
        assert (await waiting)[4] == {"a": 44}
        assert await found(held, ALL) == TEN
    assert editor.engine.builds == 2


async def test_a_change_waits_for_readers_that_are_about_to_end(
    make_engine: MakeEngine, shelf: Shelf
) -> None:
    """Then nothing is built."""
    dataset = await shelf.load("some", TEN, a=INTEGER, s=STRING)
    async with make_engine(idle_s=3600) as engine:
        editor = Editor(engine, shelf)
        async with engine.snapshot(dataset, shelf.source("some")) as held:
            changed = await editor.put(dataset, 4, {"a": 44})
            waiting = asyncio.create_task(editor.seen(changed))
            await until(lambda: engine._tables[0].closed)
            late = asyncio.create_task(editor.seen(dataset))  # wants the old revision, and gets the new one
            await asyncio.wait({waiting, late}, timeout=0.1)
            assert await found(held, ALL) == TEN
        assert (await waiting)[4] == (await late)[4] == {"a": 44}
        assert engine.builds == 1


async def test_any_changes_leave_what_the_store_has(editor: Editor, shelf: Shelf) -> None:
    """Records changed, removed and appended at random, between questions or in a row: the engine has the same."""
    chosen = random.Random(5)
    dataset = await shelf.load("some", TEN, a=INTEGER, s=STRING)
    stored = dict(enumerate(TEN))
    for at in range(120):
        if chosen.random() < 0.4:
            stored[dataset.next_position] = {"a": 1000 + at, "s": "x"}
            dataset = await shelf.append(dataset, stored[dataset.next_position])
        elif chosen.random() < 0.7:
            position = chosen.choice(sorted(stored))
            stored[position] = {"a": at, "s": f"changed{at}"}
            dataset = await editor.put(dataset, position, stored[position])
        else:
            position = chosen.choice(sorted(stored))
            del stored[position]
            dataset = await editor.delete(dataset, position)
        if chosen.random() < 0.5:
            assert await editor.seen(dataset) == [stored[position] for position in sorted(stored)]
    matching = await editor.seen(dataset, Question((Filter("s", Operator.LIKE, ("changed%",)),)))
    assert matching == [record for _, record in sorted(stored.items()) if record["s"].startswith("changed")]
    assert editor.engine.builds == 1


def _edit(number: int, *, generation: int = 1, position: int = 0) -> Commit:
    return Commit(Dataset("d", generation=generation, edits=number), replaced=1, first_position=position)


def test_edits_are_known_in_any_order_and_without_a_gap() -> None:
    """The last that happened to a position counts."""
    edits = Edits()
    edits.note(_edit(3), b"third")
    edits.note(_edit(2), b"second")
    assert edits.between("d", 1, 1, 3) == {0: b"third"}
    assert edits.between("d", 1, 0, 3) is None
    assert edits.between("d", 2, 1, 3) is None
    assert edits.between("e", 1, 1, 3) is None
    assert edits.between("e", 1, 4, 4) == {}
    edits.note(_edit(1, generation=2), b"of the next generation")
    edits.note(_edit(4), b"of the last")
    assert edits.between("d", 2, 0, 1) == {0: b"of the next generation"}
    edits.note(Commit(Dataset("d", generation=2, edits=2), added=1, replaced=3, first_position=9), b"many")
    assert edits.between("d", 2, 0, 2) is None
    edits.forget("d")
    assert edits.between("d", 2, 0, 1) is None


def test_so_many_edits_are_known_and_no_more() -> None:
    """By number and by bytes, the oldest are forgotten."""
    edits = Edits()
    for number in range(1, MAX_EDITS + 2):
        edits.note(_edit(number, position=number), b"x")
    assert edits.between("d", 1, 0, 2) is None
    assert len(edits.between("d", 1, 1, MAX_EDITS + 1) or {}) == MAX_EDITS
    for number in range(MAX_EDITS + 2, MAX_EDITS + 5):
        edits.note(_edit(number), b"x" * (MAX_BYTES // 2))
    assert edits.between("d", 1, MAX_EDITS + 1, MAX_EDITS + 4) is None
    assert edits.between("d", 1, MAX_EDITS + 2, MAX_EDITS + 4) is not None
