"""Strangers' SQL against the guards: each attack is refused or cut, and the reader goes on."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from service.adapters.duckdb_sql import DuckdbDatabase
from service.domain.columns import ColumnType
from service.domain.errors import QueryFailed, WriteRefused

from .conftest import Ask, Shop

WRITING = {
    "create": "create table x(a int)",
    "create as": "create temp table x as select 1",
    "insert": "insert into data values (1)",
    "update": "update data set n = 2",
    "delete": "delete from data returning *",
    "merge": "merge into data using data d on true when matched then delete",
    "truncate": "truncate data",
    "drop": "drop table data",
    "alter": "alter table data add column a int",
    "comment": "comment on table data is 'x'",
    "macro": "create macro f(a) as a",
    "attach": "attach '/tmp/x.db' as x",
    "attach memory": "attach ':memory:' as x",
    "detach": "detach _0",
    "use": "use _0",
    "pragma": "pragma database_list",
    "pragma that sets": "pragma threads=8",
    "set": "set memory_limit = '100GB'",
    "reset": "reset memory_limit",
    "set variable": "set variable a = 1",
    "copy to": "copy data to '/tmp/aerolite-attack.csv'",
    "copy from": "copy data from '/etc/passwd'",
    "copy to stdout": "copy (select 1) to '/dev/stdout'",
    "export": "export database '/tmp/aerolite-attack'",
    "import": "import database '/tmp/aerolite-attack'",
    "install": "install httpfs",
    "load": "load '/tmp/x.duckdb_extension'",
    "call": "call pragma_version()",
    "checkpoint": "checkpoint",
    "vacuum": "vacuum",
    "begin": "begin",
    "prepare": "prepare p as select 1",
    "execute": "execute p",
    "in a common table expression": "with a as (delete from data returning *) select * from a",
    "deep in one": "select (with a as (insert into data values (9) returning n) select n from a)",
    "a copy in one": "with a as (copy (select 1) to '/tmp/aerolite-attack.csv') select 1",
    "explain analyze": "explain analyze create temp table x as select 1",
    "explain a copy": "explain analyze copy data to '/tmp/aerolite-attack.csv'",
    "explain behind a comment": "explain /* */ analyze /* */ delete from data",
}

REACHING_OUT = {
    "read_csv": "from read_csv('/etc/passwd')",
    "read_text": "select * from read_text('/etc/passwd')",
    "read_text quoted": "select * from \"READ_TEXT\"('/etc/passwd')",
    "read_text qualified": "select * from system.main.read_text('/etc/passwd')",
    "read_blob of its own file": "from read_blob('*.duckdb')",
    "read_json": "from read_json('/proc/self/environ')",
    "read_parquet": "from read_parquet('https://example.com/x.parquet')",
    "read_duckdb": "from read_duckdb('/tmp/x.duckdb')",
    "glob": "select * from glob('/*')",
    "sniff_csv": "from sniff_csv('/etc/passwd')",
    "a file as a table": "select * from '/etc/passwd'",
    "a csv file as a table": "select * from '/tmp/x.csv'",
    "a url as a table": "select * from 'https://example.com/x.csv'",
    "in a subquery": "select (select count(*) from read_text('/etc/passwd'))",
    "in a lateral join": "select * from data, lateral (from read_text('/etc/passwd'))",
    "in a filter": "select 1 where exists (from glob('/*'))",
    "getenv": "select getenv('ADMIN_KEY')",
    "current_setting": "select current_setting('secret_directory')",
    "current_setting quoted": "select \"Current_Setting\"('allowed_paths')",
    "settings": "from duckdb_settings()",
    "settings as pg has them": "from pg_catalog.pg_settings",
    "secrets": "from duckdb_secrets()",
    "which_secret": "from which_secret('s3://x', 's3')",
    "databases": "select path from duckdb_databases()",
    "databases as a view": "select path from duckdb_databases",
    "database_list": "from pragma_database_list",
    "extensions": "from duckdb_extensions()",
    "logs": "from duckdb_logs",
    "query": "from query('select * from data')",
    "query_table": "from query_table('data')",
    "serialized": "from json_execute_serialized_sql(json_serialize_sql('select 1'))",
    "a python variable": "select * from runs",
    "a pointer": "from arrow_scan(1::pointer, 2::pointer, 3::pointer)",
    "external resources": "from register_external_resource('a', 'b', map {}, 'a', 'b', 'c')",
    "logging": "call enable_logging()",
    "another catalog": "select * from system.main.data",
    "not the view but below it": "select * from _1.t",
}

STACKED = {
    "two": "select 1; select 2",
    "behind a comment": "select 1 /* ; */ ; -- x\n drop table data",
    "behind a quote": "select ';' ; drop table data",
    "behind a dollar quote": "select $$;$$; drop table data",
    "none": "",
    "a comment only": "-- select 1",
    "semicolons only": " ; ; ",
    "pivot without its columns": "pivot data on n using count(*)",
}

GREEDY = {
    "a list of 200,000,000": "select len(range(200000000))",
    "a row of 2 GB": "select repeat('x', 2000000000)",
    "a row of 2 GB twice": "select repeat(repeat('x', 1000000), 2000) || repeat('y', 2000000000)",
    "a row of a terabyte": "select repeat(repeat('x', 1000000), 1000000)",
    "a sort of everything": "select a.range from range(1000000) a, range(1000000) b order by random()",
    "a list of everything": "select list(a.range) from range(100000) a, range(100000) b",
    "a text of everything": "select string_agg(a.range::varchar) from range(100000) a, range(10000) b",
    "a group of everything": "select count(*) from (select a.range + random() from range(100000) a, range(10000) b group by all)",
    "a blob": "select ('\\x00'::blob) || repeat('a', 4000000000)::blob",
    "a padding": "select lpad('x', 2147483647, 'y')",
    "nested too deeply": f"select {'(' * 5000}1{')' * 5000}",
    "nested too deeply in subqueries": "select " + "(select " * 800 + "1" + ")" * 800,
    "a long sum": "select " + "+".join(["1"] * 50_000),
    "many tables": "select * from " + ", ".join(f"t{at}" for at in range(5000)),
}


@pytest.fixture(autouse=True)
async def data(shop: Shop) -> None:
    """Load the dataset that is attacked."""
    await shop.load("data", [{"n": 1}], {"n": ColumnType.INTEGER})


async def healthy(ask: Ask) -> None:
    """Assert that the reader answers, and the data is what it was."""
    assert (await ask("select n from data")).rows == [(1,)]


@pytest.mark.parametrize("sql", WRITING.values(), ids=WRITING)
async def test_what_would_write_is_refused(ask: Ask, sql: str) -> None:
    """Statements that change data, schema, settings or session are refused as writes."""
    with pytest.raises(WriteRefused, match=r"can only be read|can be explained"):
        await ask(sql)
    await healthy(ask)
    assert not list(Path("/tmp").glob("aerolite-attack*"))


@pytest.mark.parametrize("sql", REACHING_OUT.values(), ids=REACHING_OUT)
async def test_what_reaches_out_is_refused(ask: Ask, shop: Shop, sql: str) -> None:
    """Files, the network, the environment, the settings and what runs SQL by another way are out of reach."""
    with pytest.raises(QueryFailed) as caught:
        await ask(sql)
    assert str(shop.directory) not in caught.value.detail
    assert "root:" not in caught.value.detail
    await healthy(ask)


@pytest.mark.parametrize("sql", STACKED.values(), ids=STACKED)
async def test_a_statement_is_one(ask: Ask, sql: str) -> None:
    """DuckDB's own parser counts them: more than one, or none, is refused."""
    with pytest.raises(QueryFailed, match=r"One statement|no statement|PIVOT"):
        await ask(sql)
    await healthy(ask)


@pytest.mark.parametrize(
    "sql", ["select 1 -- ; drop table data", "select /* ; */ 1;;", "select ';'::int8 is null where false;"]
)
async def test_semicolons_that_end_nothing_are_no_second_statement(ask: Ask, sql: str) -> None:
    """In comments, in texts and at the end they are harmless."""
    await ask(sql)


@pytest.mark.parametrize("sql", GREEDY.values(), ids=GREEDY)
async def test_what_takes_too_much_is_cut(shop: Shop, sql: str) -> None:
    """Memory, depth and length end with a refusal; this process does not grow, and the next statement runs."""
    async with shop.reader(timeout_s=3.0) as reader:
        await shop.served(reader, "select n from data")
        tracemalloc.start()
        try:
            with pytest.raises(QueryFailed):
                await shop.ask(reader, sql)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak_bytes < 64 << 20
        assert (await shop.served(reader, "select n from data")).rows == [(1,)]


async def test_a_child_never_has_more_memory_than_it_may(
    shop: Shop, reader: DuckdbDatabase, ask: Ask
) -> None:
    """What a child maps is bounded by the system, whatever DuckDB counts."""
    await ask("select n from data")
    (child,) = reader.children
    limits = Path(f"/proc/{child}/limits").read_text().splitlines()
    bounded = {line[:26].strip(): line[26:].split()[0] for line in limits[1:]}
    assert int(bounded["Max address space"]) == 640 << 20
    assert (bounded["Max file size"], bounded["Max core file size"]) == ("0", "0")
    assert int(bounded["Max open files"]) <= 128
    assert int(bounded["Max processes"]) == 0
    assert int(bounded["Max cpu time"]) < 60


async def test_a_child_knows_no_secret(shop: Shop, reader: DuckdbDatabase, ask: Ask) -> None:
    """Its environment is where Python's modules are, its open files are its pipes and nothing else."""
    await ask("select 1")
    (child,) = reader.children
    environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
    assert {each.partition(b"=")[0] for each in environment if each} == {b"PYTHONPATH"}
    opened = [str(each.readlink()) for each in Path(f"/proc/{child}/fd").iterdir()]
    assert all(each.startswith("pipe:") or each == "/dev/null" for each in opened)
    assert len(opened) <= 6


async def test_a_child_is_the_first_to_die_when_memory_ends(reader: DuckdbDatabase, ask: Ask) -> None:
    """The system's killer takes it before the service."""
    await ask("select 1")
    (child,) = reader.children
    assert Path(f"/proc/{child}/oom_score_adj").read_text().strip() == "1000"
