"""What is looked at in a client's session before its statement runs, and before what it wrote is committed.

The session sees only PostgreSQL's own schema while it looks, so no function or operator of a client answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from service.adapters.postgres_sql.spelling import array, identifier, literal

SCHEMA = "sql"
"""Where clients' tables are."""

DATASETS = "datasets"
"""Where datasets are shown, with their stored columns."""

MARK = "Aerolite: "
"""How the comment of each schema begins that the service has made: it touches no other one of such a name."""

OWN_SETTINGS = ("temp_file_limit", "track_activities")
"""What is set on the role itself: a superuser's settings, which the role cannot change."""

REACHING_OUT = ("adminpack", "dblink", "http", "pg_net")
"""Extensions whose functions go to files or over the network, and which PostgreSQL gives to everybody."""

_SERVICES_OWN = ("aerolite", "aerolite_jobs", "aerolite_sql")


class Finding(StrEnum):
    """What may be wrong when a session begins."""

    UNSAFE = "unsafe"
    UNEQUIPPED = "unequipped"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Sight:
    """Which datasets a session sees: a digest of all in `DATASETS`, and schemas that come before it."""

    digest: str | None = None
    schemas: tuple[str, ...] = ()


# The role is more than a client's, or reaches what is not the clients'.
_UNSAFE = f"""
EXISTS (SELECT FROM pg_roles WHERE rolname = session_user
        AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls))
OR EXISTS (SELECT FROM pg_auth_members JOIN pg_roles ON pg_roles.oid = member WHERE rolname = session_user)
OR EXISTS (SELECT FROM pg_namespace WHERE nspname = ANY ({array(_SERVICES_OWN)}::name[])
           AND has_schema_privilege(oid, 'USAGE'))
OR EXISTS (SELECT FROM pg_namespace WHERE nspname <> {literal(SCHEMA)} AND nspname !~ '^pg_(toast_)?temp_'
           AND has_schema_privilege(oid, 'CREATE'))
OR has_database_privilege(current_database(), 'CREATE')
OR EXISTS (SELECT FROM pg_extension
           JOIN pg_depend ON refobjid = pg_extension.oid AND refclassid = 'pg_extension'::regclass
           WHERE classid = 'pg_proc'::regclass AND has_function_privilege(objid, 'EXECUTE')
           AND extname = ANY ({array(REACHING_OUT)}::name[]))
"""  # noqa: S608 - constants

# A client may have given its rights away (DROP OWNED), or set what the sessions of others begin with.
_UNEQUIPPED = f"""
NOT coalesce(has_schema_privilege(to_regnamespace({literal(SCHEMA)})::oid, 'USAGE'), FALSE)
OR NOT coalesce(has_schema_privilege(to_regnamespace({literal(SCHEMA)})::oid, 'CREATE'), FALSE)
OR EXISTS (SELECT FROM pg_db_role_setting JOIN pg_roles ON pg_roles.oid = setrole,
           unnest(setconfig) AS setting
           WHERE rolname = session_user
           AND split_part(setting, '=', 1) <> ALL ({array(OWN_SETTINGS)}))
"""


def opening(sight: Sight, *, writing: bool, making: bool) -> str:
    """Return SQL that begins the transaction and answers what is wrong, in one row with one text.

    A dataset comes before a table of its name; but what is made (`making`) is made in the first schema.
    """
    schemas = [*sight.schemas, *([DATASETS] if sight.digest else [])]
    path = ", ".join(map(identifier, [SCHEMA, *schemas] if making else [*schemas, SCHEMA]))
    return f"""
BEGIN ISOLATION LEVEL READ COMMITTED, READ {"WRITE" if writing else "ONLY"};
SELECT concat_ws(' ',
    CASE WHEN {_UNSAFE} THEN '{Finding.UNSAFE}' END,
    CASE WHEN {_UNEQUIPPED} THEN '{Finding.UNEQUIPPED}' END,
    CASE WHEN {_stale(sight)} THEN '{Finding.STALE}' END);
SET LOCAL search_path TO {path};
"""


def _stale(sight: Sight) -> str:
    if sight.digest is None:
        return "FALSE"
    schema = f"to_regnamespace({literal(DATASETS)})::oid"
    return f"""
coalesce(obj_description({schema}, 'pg_namespace'), '') <> {literal(MARK + sight.digest)}
OR NOT coalesce(has_schema_privilege({schema}, 'USAGE'), FALSE)
OR (SELECT count(*) FROM pg_namespace WHERE nspname = ANY ({array(sight.schemas)}::name[])
    AND has_schema_privilege(oid, 'USAGE')) <> {len(sight.schemas)}
"""  # noqa: S608 - names of our own, quoted


def findings(row: Sequence[bytes | None]) -> frozenset[Finding]:
    """Read the row that `opening` answers."""
    return frozenset(map(Finding, (row[0] or b"").decode().split()))


# Whoever changes a role holds a lock on its catalogue until the end of the transaction: pg_authid,
# pg_auth_members, pg_database, pg_db_role_setting. Triggers that were put off to the commit run before.
_CHANGED_ROLES = """
EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'
        AND mode NOT IN ('AccessShareLock', 'RowShareLock') AND relation IN (1260, 1261, 1262, 2964))
"""
_TAKEN = f"""
(SELECT min(made.relname) FROM pg_class AS made JOIN pg_class AS shown USING (relname)
 WHERE made.relnamespace = to_regnamespace({literal(SCHEMA)})::oid
 AND shown.relnamespace = to_regnamespace({literal(DATASETS)})::oid
 AND made.xmin = pg_current_xact_id_if_assigned()::xid)
"""  # noqa: S608 - constants


def closing(sight: Sight) -> str:
    """Return SQL that tells what the transaction has done, in one row (`Closing`)."""
    return f"""
SET CONSTRAINTS ALL IMMEDIATE;
SET LOCAL search_path TO pg_catalog, pg_temp;
SELECT {_CHANGED_ROLES}, pg_current_xact_id_if_assigned() IS NOT NULL,
    {_TAKEN if sight.digest else "NULL"};
"""


COMMIT = "COMMIT"


@dataclass(frozen=True, slots=True)
class Closing:
    """What a transaction has done: changed roles (its own, too), written at all, taken a dataset's name."""

    changed_roles: bool
    wrote: bool
    taken: str | None

    @classmethod
    def of(cls, row: Sequence[bytes | None]) -> Closing:
        """Read the row that `closing` answers."""
        return cls(row[0] == b"t", row[1] == b"t", None if row[2] is None else row[2].decode())
