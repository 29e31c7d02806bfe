"""A statement as the child process runs it, here in this process: what goes in, and what comes out."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from service.adapters.sqlite_child.__main__ import brought, serve
from service.adapters.sqlite_child.failures import failure_of
from service.adapters.sqlite_child.messages import (
    FRAME,
    Batch,
    Channel,
    ColumnSpec,
    Commit,
    Done,
    Failed,
    Kind,
    Limits,
    Mentions,
    Run,
    Setup,
    Tables,
    TableSpec,
    Written,
    answers,
    framed,
)
from service.adapters.sqlite_child.opening import open_anchor
from service.adapters.sqlite_child.statements import Session
from service.adapters.sqlite_child.views import Stale
from service.domain.errors import OutcomeUnknown, QueryFailed, StoreError, WriteRefused
from tests.contract.sql.databases import SQLITE

LIMITS = Limits(timeout_s=60.0, max_rows=3, max_bytes=1000, heap_bytes=256 << 20, file_bytes=1 << 30)
SLOW = {
    "a needle that cannot be interrupted",
    "a text that cannot be interrupted",
    "memory",
    "memory in one row",
}

Ask = Callable[..., list[Any]]


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    """Name the files."""
    return Setup(str(tmp_path / "sql.db"), str(tmp_path / "storage.db"), LIMITS)


@pytest.fixture
def ask(setup: Setup) -> Ask:
    """Give a function that runs a statement, and returns what was sent and the end."""
    anchor = open_anchor(Path(setup.path))
    modules = brought()

    def run(sql: str, parameters: Any = (), *, writing: bool = True) -> list[Any]:
        sent: list[Any] = []
        session = Session(
            setup,
            modules,
            ask=lambda mentions: (),
            send=sent.append,
            commit=lambda: sent.append("commit"),
        )
        end = session.run(Run(sql, parameters, writing))
        return [*sent, end]

    yield run  # type: ignore[misc]  # a fixture's value
    anchor.close()


def test_a_write_waits_for_leave_to_commit(ask: Ask) -> None:
    """Its rows go first, then it asks; a statement that reads does not ask."""
    assert ask("create table t (a)") == ["commit", Done()]
    assert ask("insert into t values (1) returning a") == [Batch([(1,)], ("a",)), "commit", Done()]
    assert ask("select a from t") == [Batch([(1,)], ("a",)), Done()]


def test_who_is_refused_leave_has_written_nothing(setup: Setup, ask: Ask) -> None:
    """What is raised instead of leave undoes the statement."""
    ask("create table t (a)")

    def refuse() -> None:
        raise KeyboardInterrupt

    session = Session(setup, frozenset(), ask=lambda _: (), send=lambda _: None, commit=refuse)
    with pytest.raises(KeyboardInterrupt):
        session.run(Run("insert into t values (1)", [], writing=True))
    assert ask("select a from t") == [Batch([], ("a",)), Done()]


@pytest.mark.parametrize("attack", sorted(set(SQLITE.refused) - SLOW))
@pytest.mark.parametrize("writing", [False, True])
def test_an_attack_is_refused(ask: Ask, attack: str, writing: bool) -> None:
    """By the guard, by the parser, or by the limits."""
    with pytest.raises((QueryFailed, sqlite3.Error, sqlite3.Warning)):
        ask(SQLITE.refused[attack], writing=writing)


def test_rows_are_cut_by_number_and_by_size(ask: Ask) -> None:
    """Whole rows as far as there is room; a row that has none by itself is refused."""
    assert ask("values (1), (2), (3)")[-1] == Done(truncated=False)
    assert ask("values (1), (2), (3), (4)") == [Batch([(1,), (2,), (3,)], ("column1",)), Done(truncated=True)]
    assert ask("select printf('%.*c', 600, 'x') as a from (values (1), (2))")[-1] == Done(truncated=True)
    with pytest.raises(QueryFailed, match="more than 1000 bytes"):
        ask("select printf('%.*c', 2000, 'x')")


def test_altering_a_table_looks_at_no_dataset(ask: Ask) -> None:
    """Columns and tables get new names."""
    ask("create table t (a)")
    ask("alter table t rename column a to b")
    ask("alter table t rename to u")
    ask("alter table u add column c")
    ask("alter table u drop column c")
    assert ask("select b from u")[-1] == Done()
    with pytest.raises(WriteRefused):
        ask("alter table u rename to t", writing=False)


def test_a_view_is_checked_when_it_is_made(ask: Ask) -> None:
    """One that cannot be read would keep tables from being renamed."""
    with pytest.raises(QueryFailed, match="datasets"):
        ask("create view v as select * from landings")
    ask("create table t (a)")
    assert ask("create view v as select * from t")[-1] == Done()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (WriteRefused("w"), Kind.WRITE),
        (QueryFailed("q", position=3), Kind.QUERY),
        (MemoryError(), Kind.QUERY),
        (Stale(), Kind.STALE),
        (OutcomeUnknown("o"), Kind.UNKNOWN),
        (StoreError("s"), Kind.UNAVAILABLE),
        (OSError(28, "No space left on device"), Kind.UNAVAILABLE),
        (OverflowError("too large"), Kind.QUERY),
        (sqlite3.Error("of no number"), Kind.QUERY),
    ],
)
def test_every_exception_ends_in_words(setup: Setup, error: Exception, kind: Kind) -> None:
    """Whatever is raised becomes a message of some kind."""
    failed = failure_of(error, setup)
    assert (failed.kind, bool(failed.message)) == (kind, True)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, Kind.SPACE),
        (sqlite3.SQLITE_BUSY, Kind.UNAVAILABLE),
        (sqlite3.SQLITE_CORRUPT, Kind.UNAVAILABLE),
        (sqlite3.SQLITE_INTERRUPT, Kind.QUERY),
        (sqlite3.SQLITE_NOMEM, Kind.QUERY),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, Kind.QUERY),
    ],
)
def test_every_code_of_sqlite_ends_in_words(setup: Setup, code: int, kind: Kind) -> None:
    """By the primary result code."""
    error = sqlite3.OperationalError("words")
    error.sqlite_errorcode = code
    assert failure_of(error, setup).kind == kind


class Talk:
    """The service's side of a child that is a thread of this process."""

    def __init__(self, setup: Setup) -> None:
        child_in, self._to = os.pipe()
        self._from, child_out = os.pipe()
        self._thread = threading.Thread(target=serve, args=(setup, Channel(child_in, child_out)))
        self._thread.start()
        self._reader = open(self._from, "rb")  # noqa: SIM115, PTH123 - a descriptor, closed below

    def send(self, *messages: Any) -> None:
        """Send messages."""
        for message in messages:
            os.write(self._to, framed(message))

    def receive(self) -> Any:
        """Return the next message."""
        (size_bytes,) = FRAME.unpack(self._reader.read(FRAME.size))
        return answers.decode(self._reader.read(size_bytes))

    def end(self) -> None:
        """Close the pipes, which ends the child."""
        os.close(self._to)
        self._thread.join(20)
        self._reader.close()
        assert not self._thread.is_alive()


def test_a_child_answers_until_its_input_ends(setup: Setup) -> None:
    """It asks for datasets and for leave, goes on after a failure, and then ends."""
    Path(str(setup.storage_path)).touch()
    talk = Talk(setup)
    talk.send(Run("create table t (a)", [], writing=True))
    assert talk.receive() == Mentions(("a", "create", "t", "table"))
    talk.send(Tables(()))
    assert talk.receive() == Written()
    talk.send(Commit())
    assert talk.receive() == Done()
    talk.send(Run("select 1; select 2", [], writing=True), Tables(()))
    assert isinstance(talk.receive(), Mentions)
    failed = talk.receive()
    assert isinstance(failed, Failed)
    assert failed.kind is Kind.QUERY
    talk.send(Run("select * from t", [], writing=False), Tables(()))
    assert isinstance(talk.receive(), Mentions)
    assert talk.receive() == Batch([], ("a",))
    assert talk.receive() == Done()
    talk.end()


def test_a_dataset_that_is_not_as_it_was_listed_is_stale(setup: Setup) -> None:
    """The service lists anew then."""
    storage = sqlite3.connect(str(setup.storage_path))
    storage.execute("create table datasets (name, shelf, schema_version)")
    storage.execute("insert into datasets values ('a', 0, 1), ('b', 1, 2)")
    storage.commit()
    storage.close()
    talk = Talk(setup)
    for name in ("a", "b", "c"):
        table = TableSpec(name, name, 1, ())
        talk.send(Run(f"select * from {name}", [], writing=False), Tables((table,)))
        assert isinstance(talk.receive(), Mentions)
        assert talk.receive().kind is Kind.STALE
    talk.end()


LANDINGS = TableSpec(
    "landings", "landings", 1, (ColumnSpec("a", "a", "integer", False), ColumnSpec("b", "b", "string", False))
)


@pytest.fixture
def shown(setup: Setup) -> Ask:
    """Give a function that runs a statement beside a storage that has the dataset `landings`."""
    with closing(sqlite3.connect(str(setup.storage_path))) as storage:
        storage.executescript(
            """
            create table datasets (name, shelf, schema_version);
            insert into datasets values ('landings', 2, 1);
            create table records (id integer primary key, key, record blob not null);
            create table documents (secret);
            """
        )
        rows = [(2 << 36, b'{"a":1,"b":"x"}'), (2 << 36 | 5, b'{"a":2}'), (3 << 36, b'{"a":"of another"}')]
        storage.executemany("insert into records (id, record) values (?, ?)", rows)
        storage.commit()

    def run(sql: str, *, writing: bool = True) -> list[Any]:
        sent: list[Any] = []
        session = Session(
            setup,
            brought(),
            ask=lambda mentions: [LANDINGS] if "landings" in mentions.names else [],
            send=sent.append,
            commit=lambda: None,
        )
        sent.append(session.run(Run(sql, [], writing)))
        return sent

    open_anchor(Path(setup.path)).close()
    return run


def test_a_dataset_is_the_records_of_its_shelf(shown: Ask) -> None:
    """No other, under its own columns; also where it is only counted."""
    assert shown("select * from landings")[0] == Batch([(1, "x"), (2, None)], ("a", "b"))
    assert shown("select count(*) as n from landings")[0].rows == [(2,)]
    assert shown("select count(*) as n from landings l join landings m")[0].rows == [(4,)]
    assert shown("with w as (select a from landings) select max(a) as m from w")[0].rows == [(2,)]
    assert shown("with w as (select 1 as x) select count(*) as n from w, landings")[0].rows == [(2,)]


@pytest.mark.parametrize(
    "sql",
    [
        "select count(*) from records, landings",
        "select * from records cross join landings",
        "select count(*) from documents, landings",
        "select 1 from documents where exists (select * from landings)",
        "select count(*) from sqlite_temp_schema, landings",
        "select count(*) from dbstat, landings",
        "with landings as (select * from records) select * from landings",
        "with landings as (select count(*) from records) select * from landings",
        "select * from landings where a in (select secret from documents)",
        "select (select secret from documents) from landings",
        "select sql from sqlite_temp_schema, landings",
        "insert into landings values (1, 2)",
        "update landings set a = 1",
        "create table landings (a)",
        "create view landings as select 1",
        "drop view landings",
        "alter table landings rename to other",
        "create trigger t instead of insert on landings begin select 1; end",
    ],
)
def test_nobody_gets_behind_the_views(shown: Ask, sql: str) -> None:
    """Not by names, not by writing, not by what looks like a view."""
    told = (
        r"no such table|landings is|name of a dataset|only reads|landings because it is a view|main\.landings"
    )
    with pytest.raises((QueryFailed, sqlite3.Error), match=told):
        shown(sql)


def test_an_own_table_may_have_the_name_of_one_of_the_storages(shown: Ask) -> None:
    """The client's `records` and `documents` are the client's, beside a dataset, too."""
    for table in ("records", "documents"):
        shown(f"create table {table} (a)")
        shown(f"insert into {table} select a from landings")
        assert shown(f"select max({table}.a) as m from {table}, landings")[0].rows == [(2,)]
        assert shown(f"select count(*) as n from {table}, landings")[0].rows == [(4,)]


@pytest.mark.parametrize(
    ("sql", "position"),
    [
        ("selec 1", 1),
        ("select a, a from from landings", 18),
        ("select 1 as t, 2 as t union select 2 t t", 40),
        ("select nope from landings", 8),
        ("select y from (select 1 as y), (select 1 as y)", None),
        ('create table t (id serial primary key, b text text text, c d e f "a b", , a)', 73),
    ],
)
def test_the_place_of_a_mistake_is_that_in_the_statement_as_sent(
    shown: Ask, sql: str, position: int | None
) -> None:
    """Where it can be known: the parser tells which of several equal words it is."""
    with pytest.raises((QueryFailed, sqlite3.Error)) as refused:
        shown(sql)
    assert getattr(refused.value, "members", {}).get("position") == position


def test_records_of_many_columns_do_not_get_mixed_up(setup: Setup, shown: Ask) -> None:
    """Rows of one dataset stand beside each other, grouped and sorted, each with its own values."""
    names = [f"c{number}" for number in range(40)]
    with closing(sqlite3.connect(str(setup.storage_path))) as storage:
        storage.execute("insert into datasets values ('wide', 9, 1)")
        for number in range(3):
            members = ",".join(f'"{name}":{number * 100 + place}' for place, name in enumerate(names))
            storage.execute(
                "insert into records (id, record) values (?, ?)",
                (9 << 36 | number, b"{%b}" % members.encode()),
            )
        storage.commit()
    wide = TableSpec("wide", "wide", 1, tuple(ColumnSpec(name, name, "integer", False) for name in names))

    def rows(sql: str) -> list[tuple[Any, ...]]:
        sent: list[Any] = []
        session = Session(setup, frozenset(), ask=lambda _: [wide], send=sent.append, commit=lambda: None)
        session.run(Run(sql, [], writing=False))
        return [row for batch in sent for row in batch.rows]

    assert rows("select c0, c39, c0 from wide order by c5 desc") == [
        (200, 239, 200),
        (100, 139, 100),
        (0, 39, 0),
    ]
    assert rows("select a.c1, b.c2 from wide a join wide b on b.c0 = a.c0 + 100") == [(1, 102), (101, 202)]
    assert rows("select c3 / 200 as k, sum(c4), max(c39) from wide group by k") == [
        (0, 108, 139),
        (1, 204, 239),
    ]
    assert rows("select count(*) from wide where c7 in (select c7 from wide where c0 > 0)") == [(2,)]
    assert rows("select c0, lag(c39) over (order by c0) from wide") == [(0, None), (100, 39), (200, 139)]
