"""What every commit does: lock the name's row, look at the guard, store the new revision."""

from __future__ import annotations

from datetime import datetime

from service.adapters import commits
from service.adapters.codec import dump_remembered, dump_schema, load_remembered
from service.adapters.commits import Head
from service.adapters.postgres.connections import Link
from service.adapters.postgres.rows import COLUMNS, Stored, digest
from service.domain.datasets import Dataset
from service.ports.storage import AlreadyCommitted, Commit, Guard, Remembered

# Where a process stands still within a transaction, its locks must not stand for long; a staged load may
# wait for its source, and a snapshot for its reader.
_IDLE_IN_COMMIT = "10s"
_IDLE_IN_STAGING = "10min"

# Whatever the server's default: what is acknowledged is on its disk.
_BEGIN = """
BEGIN;
SET LOCAL synchronous_commit = on;
SET LOCAL lock_timeout = '10s';
SET LOCAL idle_in_transaction_session_timeout = '{idle}';
"""

BEGIN = _BEGIN.format(idle=_IDLE_IN_COMMIT)
BEGIN_STAGING = _BEGIN.format(idle=_IDLE_IN_STAGING)
STAGED = f"SET LOCAL idle_in_transaction_session_timeout = '{_IDLE_IN_COMMIT}'"

BEGIN_SNAPSHOT = f"""
BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;
SET LOCAL idle_in_transaction_session_timeout = '{_IDLE_IN_STAGING}';
"""

_LOCK = f"SELECT {COLUMNS} FROM aerolite.datasets AS d WHERE d.name = $1 FOR UPDATE"  # noqa: S608 - constants

_CREATE = "INSERT INTO aerolite.datasets (name) VALUES ($1) ON CONFLICT DO NOTHING"

_STORE = """
UPDATE aerolite.datasets
SET revision = $2, schema_version = greatest(schema_version, $3), lot = $4::bigint, generation = $5,
    count = $6, next_position = $7, edits = $8, size_bytes = $9, created = $10, updated = $11,
    schema = CASE WHEN $12::bytea IS NULL AND $4 <> 0 THEN schema ELSE $12 END
WHERE name = $1
"""

_RETIRE = "INSERT INTO aerolite.retired (lot, since, positions) VALUES ($1, $2, $3)"

_RECALL = "SELECT outcome FROM aerolite.remembered WHERE name = $1 AND key = $2 AND expires > $3"

_REMEMBER = """
INSERT INTO aerolite.remembered (name, key, outcome, expires) VALUES ($1, $2, $3, $4)
ON CONFLICT (name, key) DO UPDATE SET outcome = excluded.outcome, expires = excluded.expires
"""


async def lock(link: Link, name: str, guard: Guard, now: datetime, *, creates: bool = False) -> Stored:
    """Lock a name within a transaction and return what is stored; raises what the guard says.

    Raises `DatasetNotFound` where there is no dataset and the commit does not create one.
    """
    row = await link.fetchrow(_LOCK, name)
    if row is None and creates:
        await link.execute(_CREATE, name)
        row = await link.fetchrow(_LOCK, name)
    if guard.idempotency is not None:
        # A statement of its own: it sees what the one before had to wait for.
        remembered = await recall(link, name, guard.idempotency.key, now)
        if remembered is not None:
            raise AlreadyCommitted(remembered)
    stored = Stored(Head(name)) if row is None else Stored.of(row)
    commits.check(stored.head, guard, creates=creates)
    return stored


async def store(link: Link, before: Stored, commit: Commit, lot: int, guard: Guard, now: datetime) -> Commit:
    """Store what the commit made of a locked name, its records in `lot`, and commit."""
    head, dataset = before.head, commit.dataset
    if head.dataset is not None and before.lot != lot:
        await link.execute(_RETIRE, before.lot, now, head.dataset.next_position)
    await link.execute(
        _STORE,
        *(dataset.name, dataset.revision, dataset.schema.version, lot, dataset.generation),
        *(dataset.count, dataset.next_position, dataset.edits, dataset.size_bytes),
        *(dataset.created, dataset.updated, _changed_schema(head.dataset, dataset)),
    )
    if guard.idempotency is not None:
        outcome = dump_remembered(guard.idempotency, commit)
        key = digest(guard.idempotency.key)
        await link.execute(_REMEMBER, dataset.name, key, outcome, guard.idempotency.expires)
    await link.commit()
    return commit


async def recall(link: Link, name: str, idempotency_key: str, now: datetime) -> Remembered | None:
    """Return what an unexpired Idempotency-Key has committed."""
    row = await link.fetchrow(_RECALL, name, digest(idempotency_key), now)
    return None if row is None else load_remembered(row["outcome"])


def _changed_schema(before: Dataset | None, after: Dataset) -> bytes | None:
    """Return the schema's document where it has to be written: it may be large, and seldom changes."""
    if after.created is None or (before is not None and before.schema is after.schema):
        return None
    return dump_schema(after.schema)
