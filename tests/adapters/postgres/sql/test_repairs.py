"""A client cannot lock others out: what it changes of its own role is refused, undone or put right."""

from __future__ import annotations

import asyncio
from functools import partial

import asyncpg
import pytest

from service.adapters.postgres_sql import PostgresDatabase
from service.domain.errors import QueryFailed, StoreUnavailable
from tests.waiting import PATIENCE_S

from .conftest import BOUNDS, Client, in_turn

DEFERRED = """
create function attack() returns trigger language plpgsql as $$ begin
    set constraints all deferred;
    if new.a > 0 then
        insert into trigger_happy values (new.a - 1);
    else
        execute 'alter role current_user password ''attack''';
        execute 'alter role current_user set search_path = attack';
    end if;
    return null;
end $$
"""


DBLINK = """
create function public.dblink(text, text) returns text language sql as $$ select 'reached' $$;
alter extension plpgsql add function public.dblink(text, text);
update pg_extension set extname = 'dblink' where extname = 'plpgsql';
"""
"""What installs an extension of that name, on servers that bring none."""


async def set_trap(client: Client) -> None:
    """Make a table whose rows change the role when they are committed, each a trigger later."""
    await client.run("create table trigger_happy (a int)")
    await client.run(DEFERRED)
    await client.run("""
        create constraint trigger attack after insert on trigger_happy deferrable initially deferred
        for each row execute function attack()""")


async def test_a_trigger_at_the_commit_does_not_change_the_role(client: Client) -> None:
    """What was put off to the commit is done before the role is looked at."""
    await set_trap(client)
    with pytest.raises(QueryFailed, match="Roles"):
        await client.run("insert into trigger_happy values (0)")
    assert await client.one("select count(*) from trigger_happy") == 0


async def test_a_role_that_was_changed_is_put_right(client: Client) -> None:
    """Where a trigger put off by a trigger gets through, the next statement runs as ever."""
    await set_trap(client)
    await client.run("insert into trigger_happy values (1)")
    assert await client.one("select current_setting('search_path')") == "sql"
    assert await client.one("select count(*) from trigger_happy") == 2


async def test_what_a_commit_finds_wrong_is_refused(client: Client) -> None:
    """A trigger that was put off to the very commit, and fails there, leaves nothing."""
    await client.run("create table late (a int)")
    await client.run("""
        create function refuse() returns trigger language plpgsql as $$ begin
            set constraints all deferred;
            if new.a > 0 then insert into late values (new.a - 1); else raise exception 'too late'; end if;
            return null;
        end $$""")
    await client.run("""
        create constraint trigger refuse after insert on late deferrable initially deferred
        for each row execute function refuse()""")
    with pytest.raises(QueryFailed, match="too late"):
        await client.run("insert into late values (1)")
    assert await client.one("select count(*) from late") == 0


@pytest.mark.parametrize(
    "harm",
    [
        "alter role {role} password 'attack'",
        "alter role {role} nologin",
        "alter role {role} set work_mem = '64kB'",
        "alter role {role} in database {database} set statement_timeout = 1",
        "alter role {role} createdb",
        "alter role {role} superuser",
        "grant pg_read_server_files to {role}",
        "revoke all on schema sql from {role}",
        "revoke connect on database {database} from public; revoke connect on database {database} from {role}",
        "grant create on schema public to public",
        DBLINK,
    ],
)
async def test_what_the_role_is_and_may_is_put_right(
    client: Client, superuser: asyncpg.Connection, harm: str
) -> None:
    """However the role was changed, the next statement finds it as it should be."""
    await client.run("create table kept as select 1 as a")
    database = await superuser.fetchval("select current_database()")
    await superuser.execute(harm.format(role=f"aerolite_sql_{database}", database=database))
    assert await client.read("select * from kept") == [(1,)]
    assert await client.one("select current_setting('work_mem')") == "4MB"
    for attack in ("pg_read_file('/etc/passwd')", "public.dblink('host=127.0.0.1', 'select 1')"):
        with pytest.raises(QueryFailed, match=r"permission denied|does not exist"):
            await client.run(f"select {attack}")


async def test_dropping_all_that_one_owns_locks_nobody_out(client: Client) -> None:
    """Rights that a client has given away come back."""
    await client.run("do $$ begin execute 'drop owned by current_user'; end $$")
    await client.run("create table kept as select 1 as a")
    assert await client.read("select * from kept") == [(1,)]


async def test_rights_that_the_service_cannot_take_away_close_the_entrance(
    client: Client, superuser: asyncpg.Connection
) -> None:
    """Where PUBLIC reaches the service's own schema, no statement of a client runs, and it says why."""
    await client.read("select 1")
    await superuser.execute("create schema aerolite; grant usage on schema aerolite to public")
    with pytest.raises(StoreUnavailable, match="may do more than they should"):
        await client.read("select 1")
    await superuser.execute("revoke usage on schema aerolite from public")
    assert await client.one("select 1") == 1


async def test_a_schema_of_an_operator_is_left_alone(
    url: str, client: Client, superuser: asyncpg.Connection
) -> None:
    """What is called like a schema of the service and is not its own is neither given away nor changed."""
    await superuser.execute("create schema sql; create table sql.theirs as select 1 as a")
    with pytest.raises(StoreUnavailable, match='the schema "sql" is there'):
        await client.run("select 1")
    await superuser.execute("alter schema sql rename to theirs")
    assert await client.one("select 1") == 1
    with pytest.raises(QueryFailed, match="permission denied"):
        await client.run("select * from theirs.theirs")
    await superuser.execute("create schema datasets; create view datasets.theirs as select 1 as a")
    async with PostgresDatabase(url, BOUNDS, shows_datasets=True, timeout_s=PATIENCE_S) as database:
        with pytest.raises(StoreUnavailable, match='the schema "datasets" is there'):
            await Client(database).run("select 1")
    assert await superuser.fetchval("select a from datasets.theirs") == 1


async def test_replicas_begin_at_the_same_time(url: str) -> None:
    """Who comes first makes the role; the others wait for it, in other processes, too."""
    replicas = [PostgresDatabase(url, BOUNDS, shows_datasets=False, timeout_s=PATIENCE_S) for _ in range(6)]
    asks = [partial(Client(replica).one, "select 1") for replica in replicas]
    assert await asyncio.gather(*map(in_turn, asks)) == [1] * 6
    for replica in replicas:
        await replica.__aexit__()


async def test_a_changed_password_of_the_url_changes_the_roles(
    url: str, client: Client, superuser: asyncpg.Connection
) -> None:
    """After the operator has changed the password, a service with the new one gets in."""
    assert await client.one("select 1") == 1
    await superuser.execute(
        "drop role if exists changing; create role changing superuser login password 'new'"
    )
    changed = url.replace("aerolite:s3cret-of-the-tests", "changing:new")
    async with PostgresDatabase(changed, BOUNDS, shows_datasets=False, timeout_s=PATIENCE_S) as database:
        assert await Client(database).one("select 1") == 1
    await superuser.execute("drop role changing")


async def test_no_secret_is_shown(url: str, client: Client, superuser: asyncpg.Connection) -> None:
    """The role's password stands nowhere but in the server's catalogue, as a verifier."""
    await client.read("select 1")
    role = "aerolite_sql_" + url.rpartition("/")[2]
    verifier = await superuser.fetchval("select rolpassword from pg_authid where rolname = $1", role)
    assert verifier.startswith("SCRAM-SHA-256$")
