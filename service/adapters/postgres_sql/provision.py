"""Making the role of clients' statements and what it may use, as the URL's user."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from service.adapters.postgres.connections import Server
from service.adapters.postgres.errors import translated
from service.adapters.postgres_sql.guard import MARK, REACHING_OUT, SCHEMA
from service.adapters.postgres_sql.role import Role
from service.adapters.postgres_sql.spelling import array, identifier, literal
from service.domain.errors import StoreUnavailable

MAX_SESSIONS = 64
"""Sessions of clients' statements at the same time, of all replicas: the service needs connections, too."""

_TEMP_FILES = "1GB"

# Replicas take turns by a lock on a table that no client reaches: advisory locks anybody may take.
_TURN = """
SET LOCAL search_path = pg_catalog;
SET LOCAL lock_timeout = '2s';
LOCK TABLE aerolite_sql.turns IN EXCLUSIVE MODE;
"""
_FIRST = """
SELECT pg_advisory_xact_lock(hashtext('aerolite.sql'));
CREATE SCHEMA IF NOT EXISTS aerolite_sql;
REVOKE ALL ON SCHEMA aerolite_sql FROM PUBLIC;
CREATE TABLE IF NOT EXISTS aerolite_sql.turns ();
"""

_FACTS = """
SELECT current_database() AS database, current_user AS "user", rolsuper AS superuser,
    rolsuper OR rolcreaterole AS makes_roles,
    current_setting('server_version_num')::integer / 10000 AS version,
    has_database_privilege(current_database(), 'CREATE') AS makes_schemas
FROM pg_roles WHERE rolname = current_user
"""

_CONNECTS = "SELECT has_database_privilege($1, current_database(), 'CONNECT')"

_SCHEMA = """
SELECT coalesce(obj_description(oid, 'pg_namespace'), '') AS comment,
    EXISTS (SELECT FROM pg_class WHERE relnamespace = pg_namespace.oid) AS used
FROM pg_namespace WHERE nspname = $1
"""

_SHOWING = """
SELECT nspname AS schema FROM pg_namespace
WHERE starts_with(obj_description(oid, 'pg_namespace'), $1) AND nspname <> $2
"""

_MEMBERSHIPS = """
SELECT granted.rolname AS name FROM pg_auth_members
JOIN pg_roles AS granted ON granted.oid = roleid JOIN pg_roles AS member ON member.oid = member
WHERE member.rolname = $1
"""

# What one client could do to others, or to the service, by a function that PostgreSQL gives to everybody:
# end or cancel their statements, take locks for which the service waits, wake its workers, write to the log
# of transactions, reach the network. Whoever is there already keeps it.
_TAKE_AWAY = f"""
DO $do$
DECLARE
    function_ text;
    role_ text;
BEGIN
    FOR function_ IN
        SELECT oid::regprocedure FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace AND has_function_privilege('public', oid, 'EXECUTE')
        AND (proname ~ '^pg_(try_)?advisory_' OR proname IN (
            'pg_cancel_backend', 'pg_terminate_backend', 'pg_notify', 'pg_logical_emit_message'))
        UNION
        SELECT objid::regprocedure FROM pg_extension
        JOIN pg_depend ON refobjid = pg_extension.oid AND refclassid = 'pg_extension'::regclass
        WHERE classid = 'pg_proc'::regclass AND has_function_privilege('public', objid, 'EXECUTE')
        AND extname = ANY ({array(REACHING_OUT)}::name[])
    LOOP
        FOR role_ IN
            SELECT rolname FROM pg_roles
            WHERE NOT rolsuper AND rolname !~ '^pg_' AND NOT starts_with(rolname, 'aerolite_sql_')
        LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', function_, role_);
        END LOOP;
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', function_);
    END LOOP;
    IF has_schema_privilege('public', 'public', 'CREATE') THEN
        FOR role_ IN
            SELECT rolname FROM pg_roles
            WHERE NOT rolsuper AND rolname !~ '^pg_' AND NOT starts_with(rolname, 'aerolite_sql_')
        LOOP
            EXECUTE format('GRANT CREATE ON SCHEMA public TO %I', role_);
        END LOOP;
        REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    END IF;
END
$do$
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class Facts:
    """What the URL leads to: a database, a user and what he may, the server's major version."""

    database: str
    user: str
    superuser: bool
    makes_roles: bool
    makes_schemas: bool
    version: int


class Provision:
    """Changes the database as the URL's user, on a connection for each change."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.place = server.place

    async def facts(self) -> Facts:
        """Look where the URL leads. Raises `StoreError`."""
        async with self._connection() as connection:
            return Facts(**dict(await connection.fetchrow(_FACTS)))

    async def role(self, role: Role, facts: Facts) -> None:
        """Make the role, or put right what it is and may. Raises `StoreError`."""
        if not facts.makes_roles or not facts.makes_schemas:
            raise self._lacking(facts)
        async with self.turn() as connection:
            known = await connection.fetchval("SELECT TRUE FROM pg_roles WHERE rolname = $1", role.name)
            name = identifier(role.name)
            verifier = role.verifier()
            password = "NULL" if verifier is None else literal(verifier)
            await connection.execute(
                f"{'ALTER' if known else 'CREATE'} ROLE {name} LOGIN NOINHERIT"
                f" CONNECTION LIMIT {MAX_SESSIONS} PASSWORD {password}"
            )
            await connection.execute(_settle(name, identifier(facts.database)))
            if facts.superuser:
                await self._harden(connection, role, facts)
            else:
                # To end a session one must be a member of its role.
                await connection.execute(f"GRANT {name} TO CURRENT_USER")
            await self.own(connection, SCHEMA)
            await connection.execute(f"GRANT USAGE, CREATE ON SCHEMA {SCHEMA} TO {name}")
            for row in await connection.fetch(_SHOWING, MARK, SCHEMA):
                await connection.execute(
                    f"GRANT USAGE ON SCHEMA {identifier(row['schema'])} TO {name};"
                    f"GRANT SELECT ON ALL TABLES IN SCHEMA {identifier(row['schema'])} TO {name}"
                )
            if not await connection.fetchval(_CONNECTS, role.name):
                await connection.execute(f"GRANT CONNECT ON DATABASE {identifier(facts.database)} TO {name}")

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Any]:
        """Give a connection within a transaction that no other replica's runs beside. Raises `StoreError`."""
        async with self._connection() as connection:
            if await connection.fetchval("SELECT to_regclass('aerolite_sql.turns')") is None:
                await connection.execute(_FIRST)
            async with connection.transaction():
                await connection.execute(_TURN)
                yield connection

    async def own(self, connection: Any, schema: str, comment: str = "") -> None:
        """Make a schema, or take over an empty one. Raises `StoreUnavailable` where it is another's."""
        found = await connection.fetchrow(_SCHEMA, schema)
        name = identifier(schema)
        if found is None:
            await connection.execute(f"CREATE SCHEMA {name}")
        elif found["comment"].startswith(MARK):
            return
        elif found["used"]:
            raise StoreUnavailable(
                f"{self.place.text}: the schema {name} is there, and not the service's. Rename it, or give"
                " DATABASE_URL a database of its own."
            )
        await connection.execute(f"COMMENT ON SCHEMA {name} IS {literal(MARK + comment)}")

    async def _harden(self, connection: Any, role: Role, facts: Facts) -> None:
        """Do what only a superuser can: what the role is, and what it cannot set itself."""
        name, database = identifier(role.name), identifier(facts.database)
        for row in await connection.fetch(_MEMBERSHIPS, role.name):
            await connection.execute(f"REVOKE {identifier(row['name'])} FROM {name}")
        await connection.execute(
            f"ALTER ROLE {name} NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;"
            f"ALTER ROLE {name} IN DATABASE {database} SET temp_file_limit = '{_TEMP_FILES}';"
            # Else each of the role's sessions could read what the others are asking.
            f"ALTER ROLE {name} IN DATABASE {database} SET track_activities = off"
        )
        await connection.execute(_TAKE_AWAY)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        with translated(self.place):
            connection = await self._server.connect()
            try:
                yield connection
            finally:
                connection.terminate()

    def _lacking(self, facts: Facts) -> StoreUnavailable:
        user, database = identifier(facts.user), identifier(facts.database)
        return StoreUnavailable(
            f"{self.place.text}: clients' statements run as a role of their own, which the URL's user may not"
            f" make. As a superuser run: ALTER ROLE {user} CREATEROLE; GRANT CREATE ON DATABASE {database} TO"
            f" {user};"
        )


def _settle(name: str, database: str) -> str:
    return f"ALTER ROLE {name} RESET ALL; ALTER ROLE {name} IN DATABASE {database} RESET ALL"
