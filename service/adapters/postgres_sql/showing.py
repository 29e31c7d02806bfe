"""Making, changing and dropping the views of datasets, as the URL's user."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from service.adapters.postgres.driver import asyncpg
from service.adapters.postgres_sql.columns import NUMBER
from service.adapters.postgres_sql.guard import DATASETS, MARK, SCHEMA
from service.adapters.postgres_sql.provision import Provision
from service.adapters.postgres_sql.role import Role
from service.adapters.postgres_sql.spelling import identifier, literal
from service.adapters.postgres_sql.views import Shown, View

_AT_ONCE = 200
"""Views that one transaction changes: each takes locks, of which a server has a few thousand."""

_THERE = """
SELECT nspname AS schema, relname AS name, coalesce(obj_description(pg_class.oid, 'pg_class'), '') AS digest,
    obj_description(pg_namespace.oid, 'pg_namespace') AS base
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind = 'v' AND nspname <> $2 AND starts_with(obj_description(pg_namespace.oid, 'pg_namespace'), $1)
"""

_DIGEST = "SELECT coalesce(obj_description(to_regclass($1)::oid, 'pg_class'), '')"


async def show(provision: Provision, role: Role, shown: Shown) -> None:
    """Bring the views of datasets up to date; a lock that is not had in time is `Busy`.

    Raises `StoreError`.
    """
    async with provision.turn() as connection:
        await provision.own(connection, DATASETS)
        await connection.execute(f"GRANT USAGE ON SCHEMA {DATASETS} TO {identifier(role.name)}; {NUMBER}")
        there = await _there(connection)
    stale = _stale(there, shown)
    for keys in _portions(stale):
        async with provision.turn() as connection:
            for schema, name in keys:
                await _drop(connection, schema, name)
    lacking = [view for view in shown.stored if view.key not in there or view.key in stale]
    for views in _portions(lacking):
        async with provision.turn() as connection:
            for view in views:
                await _create(connection, view, role)
    async with provision.turn() as connection:
        for view, base in shown.seen:
            if view.key not in there:
                await provision.own(connection, view.schema, base)
                await connection.execute(
                    f"GRANT USAGE ON SCHEMA {identifier(view.schema)} TO {identifier(role.name)}"
                )
                await _create(connection, view, role)
        # Another replica may have changed some in between; then the next look finds them stale.
        digest = shown.sight.digest if _same(shown.stored, await _there(connection)) else ""
        await connection.execute(f"COMMENT ON SCHEMA {DATASETS} IS {literal(f'{MARK}{digest}')}")


def _stale(there: Mapping[tuple[str, str], Any], shown: Shown) -> list[tuple[str, str]]:
    """Return the views that nobody wants, or that are made of other columns than there are now."""
    wanted = {view.key: view.digest for view in shown.stored}
    current = {MARK + view.digest for view in shown.stored}
    return [
        key
        for key, row in there.items()
        if (wanted.get(key) != row["digest"] if key[0] == DATASETS else row["base"] not in current)
    ]


async def _there(connection: Any) -> dict[tuple[str, str], Any]:
    rows = await connection.fetch(_THERE, MARK, SCHEMA)
    return {(row["schema"], row["name"]): row for row in rows}


def _same(wanted: Iterable[View], there: Mapping[tuple[str, str], Any]) -> bool:
    """Tell whether the views of stored columns are these, but for those set aside."""
    digests = {key: row["digest"] for key, row in there.items() if key[0] == DATASETS and "@" not in key[1]}
    return digests == {view.key: view.digest for view in wanted}


async def _create(connection: Any, view: View, role: Role) -> None:
    name = _qualified(view.schema, view.name)
    await connection.execute(
        f"DROP VIEW IF EXISTS {name}; {view.created}; COMMENT ON VIEW {name} IS {literal(view.digest)};"
        f" GRANT SELECT ON {name} TO {identifier(role.name)}"
    )


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
