"""Whoever the URL's user is: clients' statements run as less, or not at all."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from service.adapters.postgres import PostgresStorage
from service.adapters.postgres_sql import PostgresDatabase
from service.adapters.postgres_sql.role import Role
from service.domain.errors import QueryFailed, StoreUnavailable
from service.ports.database import Table
from tests.clocks import FakeClock
from tests.contract.steps import load, records
from tests.servers.postgres import PASSWORD, USER, postgres_server
from tests.waiting import PATIENCE_S

from .conftest import BOUNDS, Client, sessions_end, sleeping


@asynccontextmanager
async def user(superuser: asyncpg.Connection, url: str, attributes: str) -> AsyncIterator[str]:
    """Make a user who may create schemas, and yield the URL with it."""
    database = await superuser.fetchval("select current_database()")
    await superuser.execute(f"create role someone login password 'pass' {attributes}")
    await superuser.execute(f"grant create on database {database} to someone")
    try:
        yield url.replace(f"{USER}:{PASSWORD}", "someone:pass")
    finally:
        await superuser.execute(
            f"drop owned by someone cascade; drop role if exists aerolite_sql_{database}; drop role someone"
        )


async def test_a_user_who_makes_roles_is_enough(url: str, superuser: asyncpg.Connection) -> None:
    """Without a superuser statements run as a lesser role, too, and end when they should."""
    async with user(superuser, url, "createrole") as lesser:
        async with PostgresDatabase(lesser, BOUNDS, shows_datasets=False, timeout_s=PATIENCE_S) as database:
            client = Client(database)
            await client.run("create table t as select current_user as name, session_user as login")
            ((name, login),) = await client.read("select * from t")
            assert name == login
            assert name.startswith("aerolite_sql_")
            for attack in ("set_config('role', 'someone', false)", "pg_read_file('/etc/passwd')"):
                with pytest.raises(QueryFailed, match="permission denied"):
                    await client.run(f"select {attack}")
            with pytest.raises(QueryFailed, match="Roles"):
                await client.run("alter role current_user password 'attack'")
            task = asyncio.create_task(
                client.run(
                    "do $$ begin loop begin perform pg_sleep(1000);"
                    " exception when query_canceled then null; end; end loop; end $$"
                )
            )
            await sleeping(superuser)
            task.cancel()
            await asyncio.wait([task])
            await sessions_end(superuser)
        database_name = await superuser.fetchval("select current_database()")
        await superuser.execute(f"drop owned by aerolite_sql_{database_name} cascade")


async def test_a_user_who_makes_roles_shows_datasets(url: str, superuser: asyncpg.Connection) -> None:
    """The storage's own user shows its datasets to the lesser role, and nothing else of the storage."""
    async with (
        user(superuser, url, "createrole") as lesser,
        PostgresStorage(lesser, clock=FakeClock(), timeout_s=PATIENCE_S) as storage,
        PostgresDatabase(lesser, BOUNDS, shows_datasets=True, timeout_s=PATIENCE_S) as database,
    ):
        await load(storage, records([3]))
        client = Client(database, *(Table(each) for each in await storage.datasets.datasets()))
        assert await client.read('select id, "mass (g)" from d') == [(3, 9)]
        for table in ("aerolite.records", "aerolite.documents"):
            with pytest.raises(QueryFailed, match="permission denied"):
                await client.run(f"select * from {table}")
        name = await superuser.fetchval("select current_database()")
        await superuser.execute(f"drop owned by aerolite_sql_{name} cascade")


async def test_a_user_who_makes_no_roles_is_told_what_to_do(url: str, superuser: asyncpg.Connection) -> None:
    """No statement runs as the URL's own user; the error says which SQL an operator is to run."""
    async with (
        user(superuser, url, "") as lesser,
        PostgresDatabase(lesser, BOUNDS, shows_datasets=False, timeout_s=PATIENCE_S) as database,
    ):
        client = Client(database)
        with pytest.raises(StoreUnavailable, match=r'ALTER ROLE "someone" CREATEROLE') as caught:
            await client.run("select 1")
        assert "pass" not in caught.value.detail.replace("password", "")
        await superuser.execute('alter role "someone" createrole')
        assert await client.one("select 1") == 1
        name = await superuser.fetchval("select current_database()")
        await superuser.execute(f"drop owned by aerolite_sql_{name} cascade")


async def test_a_role_that_is_there_is_used(url: str, client: Client, superuser: asyncpg.Connection) -> None:
    """Once the role is made, the URL's user need not be able to make it."""
    assert await client.one("select 1") == 1
    async with user(superuser, url, "") as lesser:
        name = await superuser.fetchval("select current_database()")
        verifier = Role.of(lesser, name).verifier()
        await superuser.execute(f"alter role aerolite_sql_{name} password '{verifier}'")
        async with PostgresDatabase(lesser, BOUNDS, shows_datasets=False, timeout_s=PATIENCE_S) as database:
            assert await Client(database).one("select 1") == 1
        await superuser.execute(f"drop owned by aerolite_sql_{name} cascade")


async def test_a_server_that_trusts_needs_no_password() -> None:
    """Over a socket whose users are believed, statements run as the lesser role all the same."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        rules = folder / "hba.conf"
        rules.write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        async with postgres_server({"unix_socket_directories": name, "hba_file": str(rules)}) as server:
            url = f"postgresql://{USER}@/postgres?host={name}&port={server.port}"
            async with PostgresDatabase(url, BOUNDS, shows_datasets=False, timeout_s=PATIENCE_S) as database:
                assert await Client(database).one("select current_user::text") == "aerolite_sql_postgres"
            own = await asyncpg.connect(url)
            password = "select rolpassword from pg_authid where rolname = 'aerolite_sql_postgres'"
            assert await own.fetchval(password) is None
            await own.close()
