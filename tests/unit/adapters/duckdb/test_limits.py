"""The engine is locked down, bounded in time and number, and survives whoever goes away."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import duckdb
import pytest

from service.adapters.duckdb import DuckdbEngine
from service.adapters.duckdb.connections import MAX_QUESTIONS, MAX_STREAMS, MAX_WAITING, Database
from service.domain.columns import ColumnType
from service.domain.errors import Busy, OutOfSpace, StoreUnavailable
from service.ports.engine import Question, Window
from tests.waiting import patience

from .conftest import MakeEngine, Shelf

_ENDLESS = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b"


@pytest.fixture
async def database(tmp_path: Path) -> Database:
    """Give a database."""
    database = Database(memory_bytes=64 << 20, temp_bytes=1 << 20, timeout_s=3600)
    await database.open(tmp_path)
    return database


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "COPY (SELECT 1) TO '/tmp/aerolite-escaped.csv'",
        "ATTACH '/tmp/aerolite-escaped.duckdb' AS escaped",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET threads = 8",
        "SET allowed_directories = ['/']",
    ],
)
async def test_the_database_is_locked_down(database: Database, statement: str) -> None:
    """Even SQL of our own reaches no file but those of the engine, no extension and no setting."""
    with pytest.raises(duckdb.Error):
        await database.run(lambda cursor: cursor.execute(statement).fetchall())
    assert not list(Path(tempfile.gettempdir()).glob("aerolite-escaped*"))
    await database.close()


async def test_a_question_is_interrupted_when_its_time_is_over(tmp_path: Path) -> None:
    """A question without an end is `Busy`, also between two statements, and a quick one is answered."""
    database = Database(memory_bytes=64 << 20, temp_bytes=1 << 20, timeout_s=0.1)
    await database.open(tmp_path)

    def twice(cursor: duckdb.DuckDBPyConnection) -> None:
        for _ in range(2):
            try:
                cursor.execute(_ENDLESS)
            except duckdb.InterruptException:
                continue
        raise duckdb.InterruptException("both were interrupted")

    for work in (lambda cursor: cursor.execute(_ENDLESS), twice):
        with pytest.raises(Busy, match=r"0\.1 s"):
            await database.run(work)
    async with patience():
        while await _outcome(database) != 1:  # on a slow machine its time may be over, too
            pass
    await database.close()


async def test_a_caller_that_goes_away_stops_its_question(database: Database) -> None:
    """Cancelling the task interrupts the work, so its place is free again long before the time limit."""
    started = [asyncio.Event() for _ in range(8)]
    loop = asyncio.get_running_loop()

    async def ask(event: asyncio.Event) -> None:
        def work(cursor: duckdb.DuckDBPyConnection) -> None:
            loop.call_soon_threadsafe(event.set)
            cursor.execute(_ENDLESS)

        await database.run(work)

    for event in started:
        task = asyncio.create_task(ask(event))
        await event.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await database.run(lambda cursor: cursor.execute("SELECT 1").fetchall()) == [(1,)]
    await database.close()


async def test_closing_tells_who_waits_for_a_place(database: Database) -> None:
    """Who runs is interrupted, and who waits for a place is told that the engine is not running."""
    asked = [
        asyncio.create_task(database.run(lambda cursor: cursor.execute(_ENDLESS)))
        for _ in range(MAX_QUESTIONS + 3)
    ]
    await asyncio.sleep(0)
    await database.close()
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    told = [Busy] * MAX_QUESTIONS + [StoreUnavailable] * 3
    assert [type(outcome) for outcome in outcomes] == told


async def test_an_engine_that_cannot_be_opened_leaves_no_directory(
    make_engine: MakeEngine, tmp_path: Path
) -> None:
    """Where DuckDB refuses the limit of memory, the directory that was made before is gone."""
    with pytest.raises(duckdb.Error):
        async with make_engine(memory_bytes=1 << 64):
            pytest.fail("entering should have raised")
    assert list(tmp_path.iterdir()) == []


async def test_a_stream_that_goes_away_is_stopped(database: Database) -> None:
    """Cancelling a stream interrupts it, and its connection is closed only after."""
    begun, loop = asyncio.Event(), asyncio.get_running_loop()

    async def stream() -> None:
        async with database.stream() as lease:

            def work(cursor: duckdb.DuckDBPyConnection) -> None:
                loop.call_soon_threadsafe(begun.set)
                cursor.execute(_ENDLESS)

            await lease.run(work)

    task = asyncio.create_task(stream())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await database.close()


async def test_too_many_at_once_are_told_to_come_back(database: Database) -> None:
    """Beyond those that run and wait, a question is `Busy` at once; so is one export too many."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_outcome(database)) for _ in range(MAX_WAITING + 20)]
    outcomes = [task.result() for task in tasks]
    assert outcomes.count("busy") > 0
    assert outcomes.count(1) >= MAX_WAITING
    leases = [database.stream() for _ in range(MAX_STREAMS)]
    for lease in leases:
        await lease.__aenter__()
    with pytest.raises(Busy, match="exports"):
        async with database.stream():
            pass
    for lease in leases:
        await lease.__aexit__(None, None, None)
    await database.close()


async def _outcome(database: Database) -> object:
    try:
        rows: list[tuple[int]] = await database.run(lambda cursor: cursor.execute("SELECT 1").fetchall())
    except Busy:
        return "busy"
    return rows[0][0]


async def test_what_needs_more_room_than_there_is_says_so(tmp_path: Path) -> None:
    """A sort that neither memory nor disk can hold names the settings that give more."""
    wide = (
        "SELECT * FROM (SELECT hash(range)::VARCHAR || repeat('x', 500) AS x FROM range(2000000)) ORDER BY x"
    )
    database = Database(memory_bytes=32 << 20, temp_bytes=1 << 20, timeout_s=3600)
    await database.open(tmp_path)
    with pytest.raises(OutOfSpace, match="ENGINE_MEMORY_BYTES"):
        await database.run(lambda cursor: cursor.execute(wide).fetchone())
    await database.close()


async def test_an_export_that_is_left_half_way_leaves_no_file(
    make_engine: MakeEngine, shelf: Shelf, tmp_path: Path
) -> None:
    """A Parquet file is removed whether it was read to its end or not."""
    dataset = await shelf.load("some", [{"a": at} for at in range(1000)], a=ColumnType.INTEGER)
    async with make_engine() as engine, engine.snapshot(dataset, shelf.source("some")) as snapshot:
        file = snapshot.parquet(Question(), Window(), ("a",), typed=True)
        assert (await anext(file))[:4] == b"PAR1"
        await file.aclose()
        assert list(tmp_path.glob("*/*.parquet")) == []


async def test_an_engine_without_a_directory_to_write_fails_at_its_start(tmp_path: Path) -> None:
    """A spool directory that is not there stops the start with its name."""
    engine = DuckdbEngine(tmp_path / "nothing", memory_bytes=64 << 20, spill_bytes=1 << 20, timeout_s=1)
    with pytest.raises(FileNotFoundError, match="nothing"):
        async with engine:
            pass
