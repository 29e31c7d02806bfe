"""Database files of datasets: made once, kept while they are of use, bounded."""

from __future__ import annotations

import asyncio

import pytest

from service.domain.columns import Column, ColumnType
from service.domain.errors import Busy, OutOfSpace, QueryFailed
from service.ports.database import Statement, Table
from service.ports.engine import Derivation

from .conftest import Shop

NUMBERS = {"n": ColumnType.INTEGER}


def files(shop: Shop) -> int:
    """Count the files."""
    return len(list(shop.directory.glob("aerolite-sql-*/*")))


async def test_many_who_ask_wait_for_one_file(shop: Shop) -> None:
    """A file is written once, and used by all who come later, too."""
    await shop.load("data", [{"n": 1}], NUMBERS)
    async with shop.reader(concurrency=4) as reader:
        await asyncio.gather(*(shop.ask(reader, "select n from data") for _ in range(8)))
        await shop.ask(reader, "select n from data")
        assert files(shop) == 1


async def test_a_newer_revision_takes_the_place_of_the_older(shop: Shop) -> None:
    """After an append there is one file, with what was appended."""
    dataset = await shop.load("data", [{"n": 1}], NUMBERS)
    async with shop.reader() as reader:
        for at in range(2, 5):
            assert len((await shop.ask(reader, "select n from data")).rows) == at - 1
            dataset = await shop.append(dataset, {"n": at})
        assert files(shop) == 1


async def test_what_is_appended_is_a_file_of_its_own_until_it_is_much(shop: Shop) -> None:
    """The first file stays while little comes behind it; rows stand in order all the same."""
    dataset = await shop.load("data", [{"n": at} for at in range(80)], NUMBERS)
    async with shop.reader() as reader:
        kept: set[str] = set()
        for at in range(80, 110):
            rows = (await shop.ask(reader, "select n from data")).rows
            assert rows == [(number,) for number in range(at)]
            paths = {path.name for path in shop.directory.glob("aerolite-sql-*/*")}
            assert len(paths) <= 2
            if 80 < at <= 90:
                assert kept & paths
            kept = paths
            dataset = await shop.append(dataset, {"n": at})
        await shop.storage.datasets.delete_record("data", 0)
        assert len((await shop.ask(reader, "select n from data")).rows) == 109
        assert files(shop) == 1


async def test_each_view_has_its_own_file(shop: Shop) -> None:
    """Clients of different days do not see each other's columns."""
    await shop.load("data", [{"n": 1}], NUMBERS)
    async with shop.reader() as reader:
        await shop.ask(reader, "select n from data")
        shop.views["data"] = (Derivation(Column("m", ColumnType.INTEGER), "n", (("map", {"1": "2"}),)),)
        assert (await shop.ask(reader, "select * from data")).columns == ("m",)
        assert files(shop) == 2


async def test_files_give_way_least_recently_used_first(shop: Shop) -> None:
    """Their bytes stay within the bound."""
    for name in ("a", "b", "c"):
        await shop.load(name, [{"n": at} for at in range(50_000)], NUMBERS)
    async with shop.reader(disk_bytes=2 << 20) as reader:
        for name in ("a", "b", "c", "a", "c"):
            assert (await shop.ask(reader, f"select count(*) from {name}")).rows == [(50_000,)]
            held = sum(path.stat().st_size for path in shop.directory.glob("aerolite-sql-*/*"))
            assert held <= 2 << 20


async def test_a_dataset_beyond_the_bound_is_told(shop: Shop) -> None:
    """It cannot be asked by SQL; nothing is left of the attempt."""
    await shop.load("data", [{"n": 1}], NUMBERS)
    async with shop.reader(disk_bytes=1000) as reader:
        with pytest.raises(OutOfSpace):
            await shop.ask(reader, "select n from data")
        assert files(shop) == 0


async def test_only_named_datasets_are_made(shop: Shop) -> None:
    """Of many datasets those that a statement names become files, whatever else it says."""
    for at in range(20):
        await shop.load(f"d{at}", [{"n": at}], NUMBERS)
    async with shop.reader() as reader:
        found = await shop.ask(reader, "with d3 as (select 5 as n) select d1.n, d3.n from D1, d3")
        assert found.rows == [(1, 5)]
        assert files(shop) <= 2


async def test_a_statement_names_so_many_datasets_and_no_more(shop: Shop) -> None:
    """Each is an open file of the child."""
    names = [f"d{at}" for at in range(33)]
    for name in names:
        await shop.load(name, [{"n": 1}], NUMBERS)
    async with shop.reader() as reader:
        assert (await shop.ask(reader, f"select count(*) from {', '.join(names[:32])}")).rows == [(1,)]
        with pytest.raises(QueryFailed, match="32 datasets"):
            await shop.ask(reader, f"select count(*) from {', '.join(names)}")


async def test_columns_that_change_meanwhile_are_asked_for_anew(shop: Shop) -> None:
    """A statement sees a dataset with the columns that it has when its file is made."""
    old = await shop.load("data", [{"n": 1}], NUMBERS)
    await shop.load("data", [{"m": 2}], {"m": ColumnType.INTEGER})
    answers = [[Table(old)], await shop.tables()]

    async def tables() -> list[Table]:
        return answers.pop(0)

    async with shop.reader() as reader:
        assert (await reader.run(Statement("select m from data"), tables)).rows == [(2,)]
        assert not answers


async def test_columns_that_never_stand_still_are_told(shop: Shop) -> None:
    """After some attempts the client is to come back."""
    old = await shop.load("data", [{"n": 1}], NUMBERS)
    await shop.load("data", [{"m": 2}], {"m": ColumnType.INTEGER})

    async def tables() -> list[Table]:
        return [Table(old)]

    async with shop.reader() as reader:
        with pytest.raises(Busy, match="columns change"):
            await reader.run(Statement("select m from data"), tables)


async def test_names_that_differ_by_case_mean_what_is_written(shop: Shop) -> None:
    """A dataset's own name wins; one that may be either, or both in a statement, is refused with the names."""
    await shop.load("Data", [{"n": 1}], NUMBERS)
    await shop.load("data", [{"n": 2}], NUMBERS)
    async with shop.reader() as reader:
        assert (await shop.ask(reader, "select n from Data")).rows == [(1,)]
        assert (await shop.ask(reader, "select n from data")).rows == [(2,)]
        assert (await shop.ask(reader, "select a.n, b.n from Data a, data_2 b")).rows == [(1, 2)]
        assert (await shop.ask(reader, "select a.n, b.n from data a, data_2 b")).rows == [(2, 2)]
        for sql in ("select n from DATA", "select a.n from Data a, data b"):
            with pytest.raises(QueryFailed, match="Data, data, data_2"):
                await shop.ask(reader, sql)
        assert await reader.aliases(shop.tables) == {"": {"data_2": "data"}}
