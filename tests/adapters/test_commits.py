"""What backends share of a commit: its arithmetic, its sentences and what is kept of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from service.adapters import commits
from service.adapters.codec import dump_remembered, dump_schema, load_remembered, load_schema
from service.adapters.commits import Head
from service.domain.columns import Column
from service.domain.datasets import Dataset, Schema
from service.domain.errors import DatasetNotFound
from service.ports.storage import Commit, Idempotency, Remembered

NOW = datetime(2026, 11, 20, 12, 0, 0, 5, tzinfo=UTC)


def test_a_remembered_commit_comes_back_without_its_schema() -> None:
    """All that a client may be told of a commit is kept; the schema, which may be large, is not."""
    dataset = Dataset("d", 7, 3, 10, 12, 4, 999, NOW, NOW, Schema((Column("a"),), version=2))
    commit = Commit(dataset, added=1, replaced=2, ignored=3, removed=4, first_position=11)
    kept = dump_remembered(Idempotency("k", "f", NOW, {"line": [1, None]}), commit)
    plain = dataset.with_schema(Schema())
    expected = Commit(plain, added=1, replaced=2, ignored=3, removed=4, first_position=11)
    assert load_remembered(kept) == Remembered("f", {"line": [1, None]}, expected)


def test_a_remembered_deletion_comes_back() -> None:
    """A commit without times and positions is kept as well."""
    commit = Commit(Dataset("d", 7), removed=3)
    assert load_remembered(dump_remembered(Idempotency("k", "f", NOW), commit)).commit == commit


def test_schemas_are_the_same_where_their_bytes_are() -> None:
    """Equal in Python is not the same: true is not 1, and 1 is not 1.0."""
    documents = {dump_schema(Schema(changes=({"value": value},))) for value in (1, True, 1.0, "1")}
    assert len(documents) == 4
    schema = Schema((Column("mass (g)"),), key="a", title="t", changes=({"b": 1, "a": 2},))
    assert load_schema(dump_schema(schema), 0) == schema


def test_a_change_needs_a_dataset() -> None:
    """There is nothing to change of a name without a dataset."""
    with pytest.raises(DatasetNotFound, match="'d'"):
        commits.schema_put(Head("d", revision=4), Schema(), NOW)


def test_a_long_key_is_cut_in_a_sentence_only() -> None:
    """A key of megabytes does not make an error of megabytes, and stands whole beside it."""
    error = commits.duplicate_key("k" * 10_000)
    assert len(error.detail) < 300
    assert error.members["key"] == "k" * 10_000
