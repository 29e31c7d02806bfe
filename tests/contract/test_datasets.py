"""Datasets: their metadata, revisions, schemas, and what guards a commit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.domain.columns import Column, ColumnType
from service.domain.datasets import Dataset, Schema
from service.domain.errors import DatasetNotFound, PreconditionFailed
from service.ports.storage import Guard, SchemaChanged, Storage
from tests.clocks import FakeClock

from .steps import KEYED, SCHEMA, append, everything, keyed, load, record, records


async def test_a_name_never_used_has_nothing(storage: Storage) -> None:
    """A name that was never used has no dataset, no revision and no records."""
    assert await storage.datasets.dataset("d") is None
    assert await storage.datasets.datasets() == []
    assert await storage.datasets.last_revision("d") == 0
    with pytest.raises(DatasetNotFound):
        await storage.datasets.slice("d", limit=1)


async def test_a_replace_tells_what_it_did(storage: Storage, clock: FakeClock) -> None:
    """The commit of a replace carries the new revision, whole, as a read then finds it."""
    loaded = records(range(3))
    commit = await load(storage, loaded)
    assert commit.dataset == Dataset(
        name="d",
        revision=1,
        generation=1,
        count=3,
        next_position=3,
        edits=0,
        size_bytes=sum(map(len, loaded)),
        created=clock.now(),
        updated=clock.now(),
        schema=replace(SCHEMA, version=1),
    )
    assert (commit.added, commit.replaced, commit.ignored, commit.removed) == (3, 0, 0, 0)
    assert commit.first_position == 0
    assert await storage.datasets.dataset("d") == commit.dataset


async def test_a_replace_begins_a_generation(storage: Storage, clock: FakeClock) -> None:
    """Replacing keeps the day of creation and begins positions, edits and generation anew."""
    first = await load(storage, records(range(5)))
    await storage.datasets.delete_record("d", 1)
    clock.move(hours=1)
    second = await load(storage, records(range(2)))
    assert second.dataset.created == first.dataset.created
    assert second.dataset.updated == clock.now()
    assert (second.dataset.revision, second.dataset.generation) == (3, 3)
    assert (second.dataset.count, second.dataset.next_position) == (2, 2)
    assert second.dataset.edits == 0
    assert await everything(storage) == records(range(2))


async def test_an_empty_dataset_is_a_dataset(storage: Storage) -> None:
    """A dataset can be loaded with no records, and grows from there."""
    commit = await load(storage, [])
    assert (commit.added, commit.first_position, commit.dataset.count) == (0, None, 0)
    assert await everything(storage) == []
    assert (await append(storage, records([7]))).first_position == 0
    assert await everything(storage) == records([7])


async def test_a_replace_without_a_batch_commits(storage: Storage) -> None:
    """A replace to which nothing was added makes an empty dataset."""
    async with storage.datasets.replace("d") as writer:
        commit = await writer.commit(SCHEMA)
    assert commit.dataset.count == 0
    assert await storage.datasets.dataset("d") == commit.dataset


async def test_every_commit_counts_the_revision_by_one(storage: Storage) -> None:
    """Replace, append, edit, removal, schema and deletion each count the revision up by one."""
    dataset = (await load(storage, records(range(3)))).dataset
    made = [
        dataset,
        (await append(storage, records([3]))).dataset,
        (await storage.datasets.put_record("d", 0, b"{}", key=None, schema=SCHEMA)).dataset,
        (await storage.datasets.delete_record("d", 1)).dataset,
        (await storage.datasets.put_schema("d", replace(SCHEMA, title="Stones"))).dataset,
        (await append(storage, [])).dataset,
        (await storage.datasets.delete("d")).dataset,
    ]
    assert [one.revision for one in made] == [1, 2, 3, 4, 5, 6, 7]
    assert [one.generation for one in made[:-1]] == [1] * 6
    assert [one.edits for one in made[:-1]] == [0, 0, 1, 2, 2, 2]
    assert [one.count for one in made[:-1]] == [3, 4, 4, 3, 3, 3]
    assert [one.next_position for one in made[:-1]] == [3, 4, 4, 4, 4, 4]


async def test_a_deleted_dataset_is_gone_and_its_revisions_are_not(
    storage: Storage, clock: FakeClock
) -> None:
    """After a deletion the name has no dataset, and a new one goes on counting revision and schema."""
    await load(storage, records(range(3)))
    commit = await storage.datasets.delete("d")
    assert commit.dataset == Dataset("d", revision=2)
    assert commit.removed == 3
    assert commit.first_position is None
    assert await storage.datasets.dataset("d") is None
    assert await storage.datasets.datasets() == []
    assert await storage.datasets.last_revision("d") == 2
    with pytest.raises(DatasetNotFound):
        await storage.datasets.delete("d")
    clock.move(days=1)
    again = (await load(storage, records([1]))).dataset
    assert (again.revision, again.generation, again.schema.version) == (3, 3, 2)
    assert again.created == clock.now()


async def test_datasets_are_listed_by_name(storage: Storage) -> None:
    """The list is sorted by code point and as fresh as each dataset."""
    names = ["b", "B", "a.1", "a-1", "a_1", "a", "Z9", "0"]
    made = {name: (await load(storage, records([1]), name=name)).dataset for name in names}
    assert await storage.datasets.datasets() == [made[name] for name in sorted(names)]
    await storage.datasets.delete("a")
    listed = await storage.datasets.datasets()
    assert [one.name for one in listed] == sorted(set(names) - {"a"})


async def test_datasets_do_not_mix(storage: Storage) -> None:
    """Whatever is done to one dataset leaves the others alone, also where a name begins with another."""
    await load(storage, records(range(3)), name="d")
    await load(storage, records(range(10, 14)), name="d.2")
    await append(storage, records([20]), name="d")
    await storage.datasets.delete_record("d.2", 0)
    await load(storage, records([30]), name="d-")
    await storage.datasets.delete("d-")
    assert await everything(storage, "d") == records([0, 1, 2, 20])
    assert await everything(storage, "d.2") == records([11, 12, 13])


async def test_the_longest_name_works(storage: Storage) -> None:
    """A name of 128 characters is a name."""
    name = "A" * 127 + "-"
    await load(storage, records([1]), name=name)
    assert await everything(storage, name) == records([1])


async def test_the_schema_is_kept_as_it_was_given(storage: Storage) -> None:
    """Columns in order, key, title and changes come back as they were, whatever their names."""
    schema = Schema(
        columns=tuple(
            Column(name, kind, textual)
            for name, kind, textual in [
                ("mass (g)", ColumnType.NUMBER, True),
                ("", ColumnType.EMPTY, False),
                ("ä\U0001f600\u2028\"'\\", ColumnType.JSON, False),
                ("a", ColumnType.STRING, True),
                ("A", ColumnType.DATE, False),
                ("x" * 10_000, ColumnType.TIMESTAMP, True),
            ]
        ),
        key="a",
        title='Stones, "thrown"\n',
        changes=({"date": "2026-11-20", "z": 1, "operations": [{"value": 1.0}, {"b": None}]},),
    )
    commit = await load(storage, [], schema=schema)
    assert commit.dataset.schema == replace(schema, version=1)
    stored = await storage.datasets.dataset("d")
    assert stored is not None
    assert stored.schema == replace(schema, version=1)
    assert list(stored.schema.changes[0]) == ["date", "z", "operations"]
    assert type(stored.schema.changes[0]["operations"][0]["value"]) is float


async def test_a_schema_of_two_thousand_columns_is_kept(storage: Storage) -> None:
    """The widest table there may be is a schema like any other."""
    wide = Schema(columns=tuple(Column(f"column {n}", ColumnType.NUMBER) for n in range(2000)))
    await load(storage, [], schema=wide)
    stored = await storage.datasets.dataset("d")
    assert stored is not None
    assert stored.schema.columns == wide.columns


async def test_the_schema_version_counts_changes_only(storage: Storage) -> None:
    """Its version grows where its document differs, however small the difference, and only there."""

    def of(value: object) -> Schema:
        return replace(SCHEMA, changes=({"value": value},))

    seen = [(await load(storage, [], schema=of(1))).dataset.schema.version]
    for value in (1, True, 1.0, "1", 1):
        commit = await storage.datasets.put_schema("d", of(value))
        seen.append(commit.dataset.schema.version)
    seen.append((await load(storage, [], schema=of(1))).dataset.schema.version)
    seen.append((await append(storage, [], schema=of(2))).dataset.schema.version)
    assert seen == [1, 1, 2, 3, 4, 5, 5, 6]


async def test_put_schema_leaves_the_records(storage: Storage) -> None:
    """Another schema changes neither records nor positions."""
    await load(storage, keyed(range(3)))
    commit = await storage.datasets.put_schema("d", replace(KEYED, title="T"))
    assert (commit.added, commit.replaced, commit.removed, commit.first_position) == (0, 0, 0, None)
    assert commit.dataset.schema.title == "T"
    assert await everything(storage) == records(range(3))
    assert (await storage.datasets.record("d", key="2")).record == record(2)
    with pytest.raises(DatasetNotFound):
        await storage.datasets.put_schema("absent", KEYED)


@pytest.mark.parametrize("revision", [0, 1, 3, 10**12])
async def test_a_guarded_revision_must_be_the_present_one(storage: Storage, revision: int) -> None:
    """Every kind of commit is refused where the guard names another revision, and changes nothing."""
    await load(storage, records(range(3)))
    dataset = (await append(storage, records([3]))).dataset
    guard = Guard(revision=revision)
    for attempt in (
        lambda: load(storage, records([9]), guard=guard),
        lambda: append(storage, records([9]), guard=guard),
        lambda: storage.datasets.put_record("d", 0, b"{}", key=None, schema=SCHEMA, guard=guard),
        lambda: storage.datasets.delete_record("d", 0, guard),
        lambda: storage.datasets.put_schema("d", replace(SCHEMA, title="T"), guard),
        lambda: storage.datasets.delete("d", guard),
    ):
        with pytest.raises(PreconditionFailed):
            await attempt()
    assert await storage.datasets.dataset("d") == dataset
    assert await everything(storage) == records(range(4))


async def test_a_guarded_revision_lets_the_present_one_pass(storage: Storage) -> None:
    """Every kind of commit goes through where the guard names the present revision."""
    assert (await load(storage, records([1]), guard=Guard(revision=0))).dataset.revision == 1
    await load(storage, records([1]), guard=Guard(revision=1, exists=True))
    await append(storage, records([2]), guard=Guard(revision=2, exists=True))
    at = Guard(revision=3, exists=True)
    await storage.datasets.put_record("d", 0, b"{}", key=None, schema=SCHEMA, guard=at)
    await storage.datasets.delete_record("d", 0, Guard(revision=4))
    await storage.datasets.put_schema("d", SCHEMA, Guard(revision=5))
    assert (await storage.datasets.delete("d", Guard(revision=6))).dataset.revision == 7
    assert (await load(storage, [], guard=Guard(revision=0))).dataset.revision == 8


async def test_a_replace_can_demand_a_dataset(storage: Storage) -> None:
    """`exists` refuses to create, and a revision that was deleted is no revision."""
    with pytest.raises(PreconditionFailed):
        await load(storage, records([1]), guard=Guard(exists=True))
    await load(storage, records([1]))
    await storage.datasets.delete("d")
    for guard in (Guard(exists=True), Guard(revision=1), Guard(revision=2)):
        with pytest.raises(PreconditionFailed):
            await load(storage, records([1]), guard=guard)
    assert await storage.datasets.dataset("d") is None


async def test_a_guarded_schema_must_be_the_present_one(storage: Storage) -> None:
    """A commit that was made for another schema is refused; 0 is the schema of no dataset."""
    with pytest.raises(SchemaChanged):
        await load(storage, [], guard=Guard(schema_version=1))
    await load(storage, [], guard=Guard(schema_version=0))
    await append(storage, records([1]), guard=Guard(schema_version=1))
    for version in (0, 2):
        with pytest.raises(SchemaChanged):
            await append(storage, records([9]), guard=Guard(schema_version=version))
    await storage.datasets.put_schema("d", replace(SCHEMA, title="T"), Guard(schema_version=1))
    with pytest.raises(SchemaChanged):
        await storage.datasets.put_record(
            "d", 0, b"{}", key=None, schema=SCHEMA, guard=Guard(schema_version=1)
        )
    with pytest.raises(SchemaChanged):
        await storage.datasets.delete("d", Guard(schema_version=1))
    assert await everything(storage) == records([1])


async def test_what_is_not_there_comes_before_what_guards_it(storage: Storage) -> None:
    """A dataset that is not there is not found, whatever the guard says of it."""
    for guard in (Guard(revision=4), Guard(exists=True), Guard(schema_version=3)):
        with pytest.raises(DatasetNotFound):
            await storage.datasets.delete("d", guard)
        with pytest.raises(DatasetNotFound):
            await storage.datasets.delete_record("d", 0, guard)
        with pytest.raises(DatasetNotFound):
            await storage.datasets.put_schema("d", SCHEMA, guard)
        with pytest.raises(DatasetNotFound):
            await storage.datasets.put_record("d", 0, b"{}", key=None, schema=SCHEMA, guard=guard)
