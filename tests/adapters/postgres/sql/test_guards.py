"""Every guard is attacked by a client that may write."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import asyncpg
import pytest

from service.domain.errors import QueryFailed, WriteRefused
from tests.waiting import patience

from .conftest import Client

ESCAPES = {
    "two statements": "select 1; drop table kept",
    "two statements behind a comment": "select 1 /* ; */ -- ; \n; drop table kept",
    "a nested comment": "/* /* */ begin; */ begin",
    "a comment that a carriage return ends": "-- harmless\rbegin",
    "an empty statement first": ";;(begin)",
    "begin": "begin",
    "commit": "commit",
    "commit and chain": "commit and chain",
    "rollback": "rollback",
    "savepoint": "savepoint s",
    "prepare transaction": "prepare transaction 'attack'",
    "set": "set statement_timeout = 0",
    "set role": "set role aerolite",
    "reset role": "reset role",
    "set session authorization": "set session authorization aerolite",
    "prepare": "prepare p as select 1",
    "execute": "execute p",
    "deallocate": "deallocate all",
    "declare": "declare c cursor with hold for select 1",
    "listen": "listen aerolite_jobs",
    "notify": "notify aerolite_jobs",
    "lock": "lock table kept",
    "discard": "discard all",
    "load": "load 'auto_explain'",
    "checkpoint": "checkpoint",
    "vacuum": "vacuum",
    "copy from a program": "copy kept from program 'id'",
    "copy to a program": "copy (select 1) to program 'touch /tmp/aerolite-attack'",
    "copy from a file": "copy kept from '/etc/passwd'",
    "copy to the client": "copy kept to stdout",
    "a NUL character": "select 1\0; drop table kept",
    "half a character": "select '\ud800'",
}

FORBIDDEN = {
    "copy to a program, hidden": "do $$ begin execute 'copy (select 1) to program ''id'''; end $$",
    "copy from a file, hidden": "do $$ begin execute 'copy kept from ''/etc/passwd'''; end $$",
    "pg_read_file": "select pg_read_file('/etc/passwd')",
    "pg_read_binary_file": "select pg_read_binary_file('/etc/passwd')",
    "pg_ls_dir": "select pg_ls_dir('/')",
    "pg_stat_file": "select pg_stat_file('/etc/passwd')",
    "lo_import": "select lo_import('/etc/passwd')",
    "lo_export": "select lo_export(1, '/tmp/aerolite-attack')",
    "dblink": "create extension dblink",
    "postgres_fdw": "create extension postgres_fdw",
    "file_fdw": "create extension file_fdw",
    "a trusted extension": "create extension hstore",
    "an untrusted language": "create function f() returns void language plpython3u as 'pass'",
    "C": "create function f() returns void language c as '/tmp/x.so'",
    "an internal function": "create function f(text) returns text language internal as 'pg_read_file_all'",
    "set role, hidden": "do $$ begin execute 'set role aerolite'; end $$",
    "set_config of the role": "select set_config('role', 'aerolite', false)",
    "set session authorization, hidden": "do $$ begin set session authorization aerolite; end $$",
    "session_replication_role": "select set_config('session_replication_role', 'replica', false)",
    "temp_file_limit": "select set_config('temp_file_limit', '-1', false)",
    "track_activities": "select set_config('track_activities', 'on', false)",
    "pg_authid": "select * from pg_authid",
    "pg_shadow": "select * from pg_shadow",
    "another role": "create role attacker superuser",
    "the service's role": "alter role aerolite password 'attack'",
    "membership": "grant aerolite to current_user",
    "being more": "alter role current_user superuser",
    "alter system": "alter system set log_statement = 'all'",
    "alter system, hidden": "do $$ begin execute 'alter system set fsync = off'; end $$",
    "pg_reload_conf": "select pg_reload_conf()",
    "a database": "create database attack",
    "a tablespace": "create tablespace attack location '/tmp'",
    "the database's settings": "do $$ begin execute 'alter database '||current_database()||' set jit=on'; end $$",
    "a server": "create server s foreign data wrapper postgres_fdw",
    "a subscription": "create subscription s connection 'host=127.0.0.1' publication p",
    "a publication": "create publication p for all tables",
    "an event trigger": "create event trigger t on ddl_command_end execute function f()",
    "a schema": "create schema attack",
    "a table in public": "create table public.attack (a int)",
    "the schema itself": "alter schema sql rename to attack",
    "dropping the schema": "drop schema sql cascade",
    "ending a session": "select pg_terminate_backend(pg_backend_pid())",
    "cancelling": "select pg_cancel_backend(pg_backend_pid())",
    "a lock": "select pg_advisory_lock(1)",
    "a lock, shared, tried": "select pg_try_advisory_xact_lock_shared(hashtext('aerolite.migrations'))",
    "the bell": "select pg_notify('aerolite_jobs', '')",
    "the log": "select pg_logical_emit_message(false, 'a', 'b')",
    "commit within": "do $$ begin commit; end $$",
    "its own password": "alter role current_user password 'attack'",
    "its own password, hidden": "do $$ begin execute 'alter role current_user password null'; end $$",
    "its own settings": "alter role current_user set search_path = attack",
    "its own settings, hidden": "do $$ begin execute 'alter role session_user set work_mem = 1000'; end $$",
    "its own limit": "alter role current_user connection limit 0",
}


@pytest.fixture
async def kept(client: Client) -> Client:
    """Give the client with a table of one row."""
    await client.run("create table kept (a int)")
    await client.run("insert into kept values (1)")
    return client


async def refused(client: Client, attacks: Mapping[str, str]) -> None:
    """Assert that each attack is refused with a sentence, and that the next statement runs as ever."""
    for name, attack in attacks.items():
        with pytest.raises(QueryFailed) as caught:
            pytest.fail(f"{name}: {await client.run(attack)}")
        assert caught.value.detail, name
        assert await client.read("select a, current_user = session_user from kept") == [(1, True)], name


async def test_what_would_leave_the_statement_is_refused(kept: Client) -> None:
    """A statement is one, and steers neither its transaction nor its session."""
    await refused(kept, ESCAPES)


async def test_what_is_not_the_clients_is_out_of_reach(kept: Client) -> None:
    """No file, no network, no extension, no other role, database, session or setting can be reached."""
    await refused(kept, FORBIDDEN)


async def test_the_services_tables_are_out_of_reach(kept: Client, superuser: asyncpg.Connection) -> None:
    """A client can read and write nothing in the service's schemas, nor in the operator's."""
    for schema in ("aerolite", "aerolite_jobs", "operators"):
        await superuser.execute(
            f"create schema if not exists {schema}; create table {schema}.secrets as select 1 as a"
        )
    await superuser.execute("create table public.secrets as select 1 as a")
    for schema in ("aerolite", "aerolite_jobs", "operators", "aerolite_sql", "public"):
        for attack in ("select * from {}", "insert into {} values (1)", "truncate {}", "drop table {}"):
            with pytest.raises(QueryFailed, match=r"permission denied|must be owner|not exist"):
                await kept.run(
                    attack.format(f"{schema}.{'turns' if schema == 'aerolite_sql' else 'secrets'}")
                )


async def test_statements_of_others_are_not_seen(client: Client) -> None:
    """A client sees in `pg_stat_activity` that others are at work, and not what they ask."""
    other = asyncio.create_task(client.read("select 'a secret' from pg_sleep(1000)"))
    sessions = "select query from pg_stat_activity where application_name = 'aerolite-sql'"
    async with patience():
        while len(seen := await client.read(sessions)) < 2:
            assert not other.done()
    assert {query for (query,) in seen} == {""}
    other.cancel()
    await asyncio.wait({other})


async def test_nothing_of_a_session_is_left(client: Client) -> None:
    """Settings, seeds, temporary tables and cursors of a statement are gone with it."""
    backend = await client.one("select pg_backend_pid()")
    await client.run("select set_config('application_name', 'left behind', false), setseed(0.5)")
    await client.run("create temporary table left_behind (a int)")
    await client.run("do $$ begin execute 'prepare left_behind as select 1'; end $$")
    left = """
    select pg_backend_pid(), current_setting('application_name'), to_regclass('pg_temp.left_behind'),
        (select count(*) from pg_prepared_statements), (select count(*) from pg_cursors)
    """
    ((other, name, table, statements, cursors),) = await client.read(left)
    assert other != backend
    assert (name, table, statements, cursors) == ("aerolite-sql", None, 0, 1)  # the cursor is its own


async def test_a_view_of_a_client_is_run_as_the_client(kept: Client) -> None:
    """SECURITY DEFINER gives no more than clients have."""
    await kept.run(
        "create function peek() returns text language sql security definer"
        " as $$ select pg_read_file('/etc/passwd') $$"
    )
    with pytest.raises(QueryFailed, match="permission denied"):
        await kept.run("select peek()")


async def test_the_role_is_nothing_more(client: Client, superuser: asyncpg.Connection) -> None:
    """The role may log in and nothing else; it is a member of no role and has no member but superusers."""
    await client.read("select 1")
    role = await superuser.fetchrow(
        "select * from pg_roles where rolname = 'aerolite_sql_' || current_database()"
    )
    assert role["rolcanlogin"]
    for attribute in ("super", "inherit", "createrole", "createdb", "replication", "bypassrls"):
        assert not role[f"rol{attribute}"], attribute
    assert (
        await superuser.fetchval(
            "select count(*) from pg_auth_members where $1 in (member, roleid)", role["oid"]
        )
        == 0
    )


async def test_other_roles_keep_what_they_had(
    url: str, client: Client, superuser: asyncpg.Connection
) -> None:
    """What is taken from PUBLIC is given to every role that was there before."""
    await superuser.execute("drop role if exists other; create role other login password 'other'")
    try:
        await client.read("select 1")
        database = await superuser.fetchval("select current_database()")
        other = await asyncpg.connect(url, user="other", password="other", database=database)
        try:
            assert await other.fetchval("select pg_try_advisory_lock(1)")
        finally:
            await other.close()
    finally:
        await superuser.execute("drop owned by other; drop role other")


READ_ONLY_ATTACKS = {
    "insert": "insert into kept values (2)",
    "a writing WITH": "with new as (insert into kept values (2) returning a) select * from new",
    "a function that writes": "select add_one()",
    "a sequence": "select nextval('numbers')",
    "setting a sequence": "select setval('numbers', 100)",
    "select into": "select 2 as a into stolen",
    "create": "create table stolen (a int)",
    "create temporary": "create temporary table stolen (a int)",
    "a switch back": "select set_config('transaction_read_only', 'off', true), add_one()",
    "a switch back, hidden": "do $$ begin set transaction_read_only = off; perform add_one(); end $$",
    "a switch back by its characteristics": "do $$ begin set transaction read write; perform add_one(); end $$",
    "another transaction": "do $$ begin commit; perform add_one(); end $$",
    "explain analyze": "explain analyze insert into kept values (2)",
    "truncate": "truncate kept",
    "drop": "drop table kept",
    "grant": "grant select on kept to public",
    "comment": "comment on table kept is 'attack'",
    "refresh": "refresh materialized view stored",
    "its own password": "alter role current_user password 'attack'",
    "analyze": "analyze kept",
    "lock for update": "select * from kept for update",
    "a large object": "select lo_create(4242)",
    "a large object with content": "select lo_from_bytea(4242, 'attack')",
}


async def test_who_only_reads_writes_by_no_means(kept: Client) -> None:
    """A statement that is not writing changes nothing, whatever it calls."""
    await kept.run("create function add_one() returns void language sql as 'insert into kept values (2)'")
    await kept.run("create sequence numbers")
    await kept.run("create materialized view stored as select * from kept")
    for name, attack in READ_ONLY_ATTACKS.items():
        with suppress(QueryFailed):
            await kept.run(attack, writing=False)
        assert await kept.read("select a, to_regclass('stolen') from kept") == [(1, None)], name
        assert await kept.one("select last_value from numbers") == 1, name
        assert await kept.one("select count(*) from pg_largeobject_metadata") == 0, name


async def test_refusals_to_write_say_so(kept: Client) -> None:
    """The error of a write that was not allowed is told from others."""
    with pytest.raises(WriteRefused, match="read-only transaction"):
        await kept.run("insert into kept values (2)", writing=False)
