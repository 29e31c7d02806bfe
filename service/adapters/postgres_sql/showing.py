"""Making, changing and dropping the views of datasets, as the URL's user."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from service.adapters.postgres.driver import asyncpg
from service.adapters.postgres_sql.columns import NUMBER
from service.adapters.postgres_sql.guard import DATASETS
from service.adapters.postgres_sql.provision import Provision
from service.adapters.postgres_sql.role import Role
from service.adapters.postgres_sql.spelling import identifier, literal
from service.adapters.postgres_sql.views import Shown, View

_AT_ONCE = 200
"""Views that one transaction changes: each takes locks, of which a server has a few thousand."""

_THERE = """
SELECT nspname AS schema, relname AS name, coalesce(obj_description(pg_class.oid, 'pg_class'), '') AS digest,
    coalesce(obj_description(pg_namespace.oid, 'pg_namespace'), '') AS base
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind = 'v' AND relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)
    AND (nspname = $1 OR nspname LIKE '%@%')
"""

_DIGEST = "SELECT coalesce(obj_description(to_regclass($1)::oid, 'pg_class'), '')"


async def show(provision: Provision, role: Role, shown: Shown) -> None:
    """Bring the views of datasets up to date; a lock that is not had in time is `Busy`.

    Raises `StoreError`.
    """
    wanted = {(view.schema, view.name): view for view in shown.stored}
    seen = {(view.schema, view.name): (view, base) for view, base in shown.seen}
    current = {view.digest for view in shown.stored}
    async with provision.turn() as connection:
        await connection.execute(NUMBER)
        there = {(row["schema"], row["name"]): row for row in await connection.fetch(_THERE, DATASETS)}
    stale = [
        key
        for key, row in there.items()
        if (
            key not in wanted or wanted[key].digest != row["digest"]
            if key[0] == DATASETS
            else key not in seen and row["base"] not in current
        )
    ]
    lacking = [view for key, view in wanted.items() if key not in there or key in stale]
    for keys in _portions(stale):
        async with provision.turn() as connection:
            for schema, name in keys:
                await _drop(connection, schema, name)
    for views in _portions(lacking):
        async with provision.turn() as connection:
            for view in views:
                await _create(connection, view, role)
    async with provision.turn() as connection:
        for key, (view, base) in seen.items():
            if key not in there:
                await _create_schema(connection, view, base, role)
        await connection.execute(f"COMMENT ON SCHEMA {DATASETS} IS {literal(shown.sight.digest or '')}")


async def _create(connection: Any, view: View, role: Role) -> None:
    name = _qualified(view.schema, view.name)
    await connection.execute(
        f"DROP VIEW IF EXISTS {name}; {view.created}; COMMENT ON VIEW {name} IS {literal(view.digest)};"
        f" GRANT SELECT ON {name} TO {identifier(role.name)}"
    )


async def _create_schema(connection: Any, view: View, base: str, role: Role) -> None:
    schema = identifier(view.schema)
    await connection.execute(
        f"CREATE SCHEMA IF NOT EXISTS {schema}; COMMENT ON SCHEMA {schema} IS {literal(base)};"
        f" GRANT USAGE ON SCHEMA {schema} TO {identifier(role.name)}"
    )
    await _create(connection, view, role)


async def _drop(connection: Any, schema: str, name: str) -> None:
    """Drop a view; one that a client's view is made of is set aside under another name, and goes on."""
    view = _qualified(schema, name)
    try:
        async with connection.transaction():
            await connection.execute(f"DROP VIEW IF EXISTS {view}")
            if schema != DATASETS:
                await connection.execute(f"DROP SCHEMA IF EXISTS {identifier(schema)}")
    except asyncpg.DependentObjectsStillExistError:
        if schema == DATASETS and "@" not in name:
            digest = await connection.fetchval(_DIGEST, view)
            aside = identifier(f"{name[:40]}@{digest[:16]}")
            await connection.execute(f"ALTER VIEW {view} RENAME TO {aside}")


def _qualified(schema: str, name: str) -> str:
    return f"{identifier(schema)}.{identifier(name)}"


def _portions(items: Iterable[Any]) -> Iterator[Sequence[Any]]:
    rest = iter(items)
    while portion := list(islice(rest, _AT_ONCE)):
        yield portion
