"""What the child makes of a statement, message by message, without the process around it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from service.adapters.duckdb_child.messages import (
    Answer,
    Columns,
    Done,
    Failed,
    Needs,
    Run,
    Shape,
    Some,
    decode_answer,
    decode_row,
    decode_run,
    framed,
)
from service.adapters.duckdb_child.reader import Reader

from .test_attacks import REACHING_OUT, STACKED, WRITING

PLAIN = Run(
    sql="",
    parameters=b"[]",
    tables={},
    considered=frozenset(),
    listed=None,
    max_rows=100,
    max_bytes=1 << 20,
    cpu_s=5,
)


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    """Give a reader beside two files."""
    for name in ("one", "two"):
        with duckdb.connect(str(tmp_path / f"{name}.duckdb")) as file:
            file.execute("CREATE TABLE t AS SELECT range AS n FROM range(5)")
    return Reader(64 << 20)


def asked(reader: Reader, sql: str, **members: Any) -> list[Answer]:
    """Return what is said to a statement, by way of the pipe's bytes."""
    run = decode_run(framed(msgspec.structs.replace(PLAIN, sql=sql, **members))[4:])
    return [decode_answer(framed(answer)[4:]) for answer in reader.answer(run)]


def test_an_answer_is_columns_rows_and_an_end(reader: Reader) -> None:
    """Three messages, if it is short."""
    columns, some, done = asked(reader, "select 1 as a, 2.50 as b")
    assert columns == Columns(("a", "b"))
    assert isinstance(some, Some)
    assert [tuple(map(str, decode_row(row))) for row in some.rows] == [("1", "2.50")]
    assert done == Done(truncated=False)


def test_tables_that_were_not_asked_about_are_needed(reader: Reader) -> None:
    """Nothing is run before all names were considered."""
    assert asked(reader, "select * from A, b, A c") == [Needs(("A", "b"))]
    assert asked(reader, "select * from A, b", considered=frozenset({"a"})) == [Needs(("b",))]
    (failed,) = asked(reader, "select * from A", considered=frozenset({"a"}))
    assert isinstance(failed, Failed)
    assert (failed.position, failed.writes) == (15, False)


def test_a_listing_is_needed_once(reader: Reader) -> None:
    """Then the datasets that it shows are there."""
    assert asked(reader, "show tables") == [Needs(("tables",), listing=True)]
    listed = (Shape("a", (("n", "BIGINT"),)),)
    _, some, _ = asked(reader, "show tables", considered=frozenset({"tables"}), listed=listed)
    assert isinstance(some, Some)
    assert [decode_row(row) for row in some.rows] == [("a",)]


def test_tables_are_opened_as_each_statement_wants_them(reader: Reader, tmp_path: Path) -> None:
    """The files of one statement are not there for the next."""
    one, two = ((str(tmp_path / f"{name}.duckdb"),) for name in ("one", "two"))
    known = frozenset({"a", "b"})
    for tables in ({"a": one}, {"a": one}, {"b": two}, {"a": one, "b": one}, {"b": one + two}):
        for name in known:
            answers = asked(reader, f"select count(*) from {name}", tables=tables, considered=known)
            assert isinstance(answers[-1], Done if name in tables else Failed)


def test_what_was_fatal_says_so(reader: Reader) -> None:
    """After memory has ended the child is not to be used again."""
    (failed,) = asked(reader, "select range from range(100000000) order by random()")
    assert isinstance(failed, Failed)
    assert failed.spent
    assert "64 MiB" in failed.message


def test_paths_are_not_told(reader: Reader, tmp_path: Path) -> None:
    """A file that cannot be opened is not named by its place."""
    (failed,) = asked(reader, "select 1", tables={"a": (str(tmp_path / "gone.duckdb"),)})
    assert isinstance(failed, Failed)
    assert os.sep not in failed.message


@pytest.mark.parametrize("sql", [*WRITING.values(), *REACHING_OUT.values(), *STACKED.values()])
def test_no_attack_gets_as_far_as_an_answer(reader: Reader, tmp_path: Path, sql: str) -> None:
    """DuckDB's own guards hold where the process around it does not stand by."""
    tables = {"data": (str(tmp_path / "one.duckdb"),)}
    named = frozenset({"data", "system.main.data", "a", "p", "t", "runs"})
    answers = asked(reader, sql, tables=tables, considered=named)
    assert isinstance(answers[-1], Failed | Needs)


def test_rows_and_bytes_are_cut(reader: Reader) -> None:
    """By number, by bytes, and never in a row's middle."""
    assert asked(reader, "from range(5)", max_rows=4)[-1] == Done(truncated=True)
    assert asked(reader, "from range(4)", max_rows=4)[-1] == Done(truncated=False)
    assert asked(reader, "select repeat('x', 400) from range(4)", max_bytes=1000)[-1] == Done(truncated=True)
    assert isinstance(asked(reader, "select repeat('x', 1001)", max_bytes=1000)[-1], Failed)
    pieces = asked(reader, "select repeat('x', 10000) from range(50)")
    assert sum(isinstance(piece, Some) for piece in pieces) > 2


def test_every_value_has_its_json(reader: Reader) -> None:
    """Also intervals, times, and what nests in maps."""
    sql = (
        "select interval '1 day', interval '0 days', interval '1.5 seconds', time '01:02:03', 1e400::double,"
        " map {1.5::decimal(2,1): ['x'::blob]}, 2::hugeint ** 100::hugeint, 170141183460469231731687303715884105727"
    )
    _, some, _ = asked(reader, sql)
    assert isinstance(some, Some)
    values = decode_row(some.rows[0])
    assert values[:5] == ("P1D", "PT0S", "PT1.500000S", "01:02:03", None)
    assert str(values[-1]) == str(2**127 - 1)


def test_nesting_and_errors_of_the_client_library_are_answers(reader: Reader) -> None:
    """What DuckDB's client cannot turn into a value, or a tree too deep, is no end of the child."""
    for sql in (
        "select " + "(" * 900 + "1" + ")" * 900,
        "select " + "[" * 400 + "]" * 400,
        "selec",
        "explain selec",
    ):
        assert isinstance(asked(reader, sql)[-1], Failed | Done)


@pytest.mark.parametrize("code", [0, 2])
def test_an_unknown_extension_of_the_pipe_is_an_error(code: int) -> None:
    """A child that speaks otherwise is not believed."""
    row = msgspec.msgpack.encode([msgspec.msgpack.Ext(code, b"1")])
    with pytest.raises(msgspec.ValidationError):
        decode_row(msgspec.Raw(row))
