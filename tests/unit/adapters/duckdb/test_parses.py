"""What a load has parsed becomes its columns: the store is not asked for the records again."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.duckdb import DuckdbEngine
from service.adapters.duckdb.parses import MAX_LINE_BYTES, Parse, Parses
from service.adapters.duckdb.rows import read_from
from service.domain.columns import Column, ColumnType
from service.domain.datasets import Dataset, Schema
from service.domain.errors import InvalidContent
from service.domain.records import Batch
from service.ports.engine import Filter, Operator, Order, Question, Window
from service.ports.storage import Commit
from tests.descriptors import opened
from tests.waiting import until

from .conftest import MakeEngine, Shelf

INTEGER, STRING, NUMBER = ColumnType.INTEGER, ColumnType.STRING, ColumnType.NUMBER
ALL = Question()
PARTS = 7


class Loader:
    """Loads into the store, while the engine takes it down."""

    def __init__(self, engine: DuckdbEngine, shelf: Shelf) -> None:
        self.engine = engine
        self.shelf = shelf

    async def load(self, name: str, records: Sequence[bytes], **types: ColumnType) -> Dataset:
        """Replace a dataset by records, in several batches."""
        schema = Schema(columns=tuple(Column(column, kind) for column, kind in types.items()))
        size = len(records) // PARTS + 1
        batches = [Batch(records[at : at + size]) for at in range(0, len(records), size)]
        async with self.engine.recording() as recording, self.shelf.storage.datasets.replace(name) as writer:
            for batch in recording.of(batches):
                await writer.add(batch)
            commit = await writer.commit(schema)
            recording.keep(commit)
            return commit.dataset

    async def records(self, dataset: Dataset, question: Question = ALL) -> list[bytes]:
        """Return the records that match, as the engine has them."""
        async with self.engine.snapshot(dataset, self.shelf.source(dataset.name)) as snapshot:
            return list((await snapshot.match(question, Window(limit=100_000))).records)


@pytest.fixture
def loader(engine: DuckdbEngine, shelf: Shelf) -> Loader:
    """Give what loads into an open engine."""
    return Loader(engine, shelf)


class Lines:
    """Writes parses into files, and reads those as the engine does."""

    def __init__(self, directory: Path, connection: duckdb.DuckDBPyConnection) -> None:
        self._stems = (directory / f"parse{number}" for number in count())
        self._connection = connection

    def written(self, batches: Iterable[Batch], **options: int) -> Parse:
        """Return what was taken down of batches."""
        parse = Parse(next(self._stems), lambda: 1 << 30, **options)
        assert sum(len(batch.records) for batch in parse.of(batches)) > 0
        parse.write()
        return parse

    def read(self, parse: Parse) -> list[tuple[int, bytes]]:
        """Return positions and records."""
        found: list[tuple[int, str]] = []
        for part in parse.parts:
            rows = read_from(part)
            found += self._connection.execute(rows.sql, dict(rows.parameters)).fetchall()
        return [(position, record.encode()) for position, record in found]


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lines]:
    """Give what writes and reads."""
    with duckdb.connect() as connection:
        yield Lines(tmp_path_factory.mktemp("lines"), connection)


def opened_under(directory: Path) -> list[str]:
    """Return the parses that this process has open."""
    return [path for path in opened() if path.startswith(f"{directory}/") and "/parse" in path]


def numbered(number: int) -> list[bytes]:
    """Return records that differ."""
    return [b'{"a":%d,"s":"s%d"}' % (at, at) for at in range(number)]


async def test_columns_come_from_what_was_parsed(loader: Loader, tmp_path: Path) -> None:
    """The first question about a load is answered without the store, and then the files are gone."""
    records = numbered(10_000)
    dataset = await loader.load("some", records, a=INTEGER, s=STRING)
    assert await loader.records(dataset) == records
    assert await loader.records(dataset, Question((Filter("a", Operator.EQ, (4711,)),))) == [records[4711]]
    assert (loader.shelf.opened, loader.engine.builds) == (0, 1)
    assert list(tmp_path.glob("*/parse*")) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
STYLES = st.fixed_dictionaries(
    {"ensure_ascii": st.booleans(), "indent": st.sampled_from([None, 1, "\t", "\r\n", "\r"])}
)


@given(st.lists(st.tuples(st.dictionaries(st.text(), JSON, max_size=4), STYLES), min_size=1, max_size=20))
def test_every_record_keeps_its_bytes(
    lines: Lines, cases: list[tuple[dict[str, object], dict[str, Any]]]
) -> None:
    """Quotes, commas, backslashes, line ends between tokens: what JSON may have comes back as it was."""
    records = [json.dumps(value, **style).encode("utf-8", "replace") for value, style in cases]
    half = len(records) // 2
    parse = lines.written([Batch(records[:half]), Batch(records[half:])])
    assert lines.read(parse) == list(enumerate(records))


def test_files_of_many_parts_are_one_dataset(lines: Lines) -> None:
    """Positions go on from one file to the next."""
    records = numbered(50)
    parse = lines.written((Batch(records[at : at + 3]) for at in range(0, 50, 3)), part_bytes=100)
    assert len(parse.parts) > 5
    assert lines.read(parse) == list(enumerate(records))


async def test_appends_and_edits_since_are_in_the_columns(loader: Loader) -> None:
    """What came after the load is added to what was parsed, without another building."""
    records = numbered(500)
    dataset = await loader.load("some", records, a=INTEGER, s=STRING)
    commit = await loader.shelf.storage.datasets.put_record(
        "some", 3, b'{"a":-3}', key=None, schema=dataset.schema
    )
    loader.engine.edited(commit, b'{"a":-3}')
    dataset = await loader.shelf.append(commit.dataset, {"a": 500, "s": "s500"})
    expected = [*records, b'{"a":500,"s":"s500"}']
    expected[3] = b'{"a":-3}'
    assert await loader.records(dataset) == expected
    assert loader.engine.builds == 1


@pytest.mark.parametrize("change", ["an edit elsewhere", "another type", "replaced elsewhere", "deleted"])
async def test_what_is_no_more_the_dataset_is_not_used(loader: Loader, change: str) -> None:
    """Where others have changed the dataset since, its columns come from the store."""
    datasets = loader.shelf.storage.datasets
    dataset = await loader.load("some", numbered(5), a=INTEGER, s=STRING)
    expected = numbered(5)
    match change:
        case "an edit elsewhere":
            dataset = (await datasets.delete_record("some", 0)).dataset
            expected = expected[1:]
        case "another type":
            dataset = await loader.shelf.append(dataset, {"a": 1.5}, a=NUMBER)
            expected = [*expected, b'{"a":1.5}']
        case "replaced elsewhere":
            dataset = await loader.shelf.load("some", [{"a": 9}], a=INTEGER)
            expected = [b'{"a":9}']
        case "deleted":
            await datasets.delete("some")
            dataset = await loader.shelf.load("some", [{"a": 7}], a=INTEGER)
            expected = [b'{"a":7}']
    assert await loader.records(dataset) == expected
    assert (loader.shelf.opened, loader.engine.builds) == (1, 1)


async def test_who_holds_an_older_revision_is_given_the_newer_one(loader: Loader) -> None:
    """A question that began before the load is answered from what it has parsed, as by the store."""
    old = await loader.load("some", numbered(3), a=INTEGER)
    await loader.load("some", numbered(5), a=INTEGER)
    assert await loader.records(old) == numbered(5)
    assert loader.engine.builds == 1


async def test_the_last_of_several_loads_is_kept(loader: Loader) -> None:
    """Each load takes the place of the one before."""
    for number in (3, 4, 5):
        dataset = await loader.load("some", numbered(number), a=INTEGER)
    assert await loader.records(dataset) == numbered(5)
    assert loader.shelf.opened == 0


async def test_integers_beyond_64_bits_are_exact(loader: Loader) -> None:
    """They make the columns come from the store, wide."""
    records = [b'{"a":%d}' % value for value in (5, 10**30, -(10**30))]
    dataset = await loader.load("some", records, a=INTEGER)
    sorted_ = await loader.records(dataset, Question(order=(Order("a"),)))
    assert sorted_ == [records[2], records[0], records[1]]
    assert (loader.shelf.opened, loader.engine.builds) == (1, 1)


async def test_a_load_that_fails_leaves_nothing(loader: Loader, tmp_path: Path) -> None:
    """What was taken down of it goes with it."""

    def broken() -> Iterator[Batch]:
        yield Batch(numbered(1000))
        raise InvalidContent("line 1001")

    with pytest.raises(InvalidContent):
        async with loader.engine.recording() as recording:
            list(recording.of(broken()))
    assert list(tmp_path.glob("*/parse*")) == []


async def test_large_records_come_from_the_store(loader: Loader) -> None:
    """One of over a MiB gives up what was taken down."""
    records = [*numbered(10), b'{"s":"%b"}' % (b"x" * MAX_LINE_BYTES), *numbered(10)]
    dataset = await loader.load("some", records, a=INTEGER, s=STRING)
    assert await loader.records(dataset) == records
    assert loader.shelf.opened == 1


async def test_what_was_parsed_makes_room_for_columns(
    make_engine: MakeEngine, shelf: Shelf, tmp_path: Path
) -> None:
    """All files together keep within their bound, and every question is answered."""
    room_bytes = 4_500_000
    async with make_engine(spill_bytes=room_bytes // 3 * 4) as engine:  # a quarter is for sorts
        loader = Loader(engine, shelf)
        names = ["first", "second", "third", "fourth", "fifth"]
        loaded = {name: await loader.load(name, numbered(30_000), a=INTEGER, s=STRING) for name in names}
        for name in names:
            assert len(await loader.records(loaded[name])) == 30_000
            assert sum(file.stat().st_size for file in tmp_path.glob("*/*")) <= room_bytes
        assert 0 < len(engine.kept) < len(names)


@pytest.mark.parametrize("held_bytes", [0, 10_000, 1 << 20])
def test_no_more_than_there_is_room_for_is_written(tmp_path: Path, held_bytes: int) -> None:
    """What would be too much is given up, the files with it, while the load goes on or after it."""
    parse = Parse(tmp_path / "parse", lambda: 50_000, held_bytes=held_bytes, part_bytes=10_000)
    batches = [Batch(numbered(5000)), Batch(numbered(1))]
    assert list(parse.of(batches)) == batches
    parse.write()
    assert list(tmp_path.iterdir()) == []
    assert (parse.dataset, parse.size_bytes, parse.held_bytes) == (None, 0, 0)


def test_a_disk_that_takes_no_more_fails_no_load(tmp_path: Path) -> None:
    """Where the lines cannot be written to their end, they are removed and the load goes on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # of one file, in bytes
    try:
        parse = Parse(tmp_path / "parse", lambda: 1 << 30, held_bytes=50_000)
        assert len(list(parse.of([Batch(numbered(5000)), Batch(numbered(5000))]))) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_small_records_count_for_what_they_take_in_memory(tmp_path: Path) -> None:
    """A hundred thousand of two bytes are no 200 kB."""
    parse = Parse(tmp_path / "parse", lambda: 1 << 30, held_bytes=1 << 20)
    assert len(list(parse.of([Batch([b"{}"] * 100_000)]))) == 1
    assert (parse.held_bytes, parse.size_bytes) == (0, 300_000)
    parse.discard()


async def test_a_little_is_held_in_memory_and_the_rest_in_files(shelf: Shelf, tmp_path: Path) -> None:
    """Loads that together are too large for memory are written, the oldest first, and dropped so, too."""
    records = [b'{"s":"%b"}' % (b"x" * 100_000)] * 120
    parses, names, held = Parses(), ["first", "second", "third"], []
    for name in names:
        dataset = await shelf.load(name, [{"s": "x"}] * 120, s=STRING)
        async with parses.begin(tmp_path, lambda: 1 << 30) as parse:
            list(parse.of([Batch(records)]))
            parse.keep(Commit(dataset))
        held.append(parse)
    await until(lambda: held[0].parts)
    assert [parse.held_bytes > 0 for parse in held] == [False, True, True]
    assert parses.size_bytes == held[0].size_bytes > 12_000_000
    assert await parses.drop_oldest()
    assert not await parses.drop_oldest()
    assert [name in parses for name in names] == [False, True, True]
    assert list(tmp_path.iterdir()) == []
    await parses.aclose()
    assert [name in parses for name in names] == [False, False, False]


@pytest.mark.parametrize("ended", [True, False])
async def test_a_closed_engine_leaves_no_file_open(
    make_engine: MakeEngine, shelf: Shelf, tmp_path: Path, *, ended: bool
) -> None:
    """What nobody has asked about is closed with it, also of a load that ends only afterwards."""
    batches = [Batch([b'{"s":"%b"}' % (b"x" * 100_000)] * 200)]
    dataset = await shelf.load("some", [{"s": "x"}] * 200, s=STRING)
    async with AsyncExitStack() as load:
        async with make_engine() as engine:
            recording = await load.enter_async_context(engine.recording())
            list(recording.of(batches))
            assert len(opened_under(tmp_path)) == 1
            if ended:
                recording.keep(Commit(dataset))
                await load.aclose()
        assert opened_under(tmp_path) == []
        list(recording.of(batches))
        recording.keep(Commit(dataset))
    assert opened_under(tmp_path) == []


async def test_an_engine_that_is_not_open_takes_nothing_down(make_engine: MakeEngine, shelf: Shelf) -> None:
    """A process that only loads has no use for it."""
    loader = Loader(make_engine(), shelf)
    assert (await loader.load("some", numbered(3), a=INTEGER)).count == 3
