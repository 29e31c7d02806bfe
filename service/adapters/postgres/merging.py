"""What an append does to the records that are there, by statements over sets: memory does not grow."""

from __future__ import annotations

from service.adapters.commits import Tally
from service.adapters.postgres.connections import Link
from service.ports.storage import OnConflict

SENT = "unnest($3::bytea[], $4::bytea[]) WITH ORDINALITY AS incoming (key, record, ordinal)"
"""A batch that goes with the statement."""

STAGED = "pg_temp.staged AS incoming"
"""Records that were copied before; `name` is the key's text, for the error that tells it."""

CREATE_STAGED = """
CREATE TEMPORARY TABLE staged (ordinal bigint NOT NULL, key bytea, name bytea, record bytea NOT NULL)
ON COMMIT DROP
"""

_ADD_ALL = """
WITH target (lot, next_position) AS (VALUES ($1::bigint, $2::bigint)),
added AS (
    INSERT INTO aerolite.records (lot, position, key, record)
    SELECT target.lot, target.next_position + incoming.ordinal - 1, incoming.key, incoming.record
    FROM target, {source} ORDER BY incoming.ordinal
    RETURNING octet_length(record) AS size_change
)
SELECT count(*) AS count, coalesce(sum(size_change), 0)::bigint AS size_change FROM added
"""

# A key that comes several times stands where it first came; what it holds is what came first, or last.
_ADD_NEW = """
WITH target (lot, next_position) AS (VALUES ($1::bigint, $2::bigint)),
once AS (
    SELECT incoming.key, min(incoming.ordinal) AS first, {chosen}(incoming.ordinal) AS chosen
    FROM {source} GROUP BY incoming.key
), fresh AS (
    SELECT once.* FROM once, target
    WHERE NOT EXISTS (SELECT FROM aerolite.records AS r WHERE r.lot = target.lot AND r.key = once.key)
), added AS (
    INSERT INTO aerolite.records (lot, position, key, record)
    SELECT target.lot, target.next_position + row_number() OVER (ORDER BY fresh.first) - 1,
        fresh.key, incoming.record
    FROM target, fresh JOIN {source} ON incoming.ordinal = fresh.chosen ORDER BY fresh.first
    RETURNING octet_length(record) AS size_change
)
SELECT count(*) AS count, coalesce(sum(size_change), 0)::bigint AS size_change FROM added
"""

_CHANGE_OLD = """
WITH target (lot, next_position) AS (VALUES ($1::bigint, $2::bigint)),
last AS (
    SELECT DISTINCT ON (incoming.key) incoming.key, incoming.record
    FROM {source} ORDER BY incoming.key, incoming.ordinal DESC
), old AS (
    SELECT r.lot, r.position, octet_length(r.record) AS size, last.record
    FROM last, target, aerolite.records AS r
    WHERE r.lot = target.lot AND r.key = last.key
), changed AS (
    UPDATE aerolite.records AS r SET record = old.record FROM old
    WHERE r.lot = old.lot AND r.position = old.position
    RETURNING octet_length(r.record) - old.size AS size_change
)
SELECT count(*) AS count, coalesce(sum(size_change), 0)::bigint AS size_change FROM changed
"""


_STEPS = {
    OnConflict.FAIL: ((_ADD_ALL, True),),
    OnConflict.IGNORE: ((_ADD_NEW.replace("{chosen}", "min"), True),),
    OnConflict.REPLACE: ((_CHANGE_OLD, False), (_ADD_NEW.replace("{chosen}", "max"), True)),
}


async def merge(
    link: Link, source: str, on_conflict: OnConflict, lot: int, next_position: int, *sent: object
) -> Tally:
    """Put the records of a source (`SENT`, with its two arrays, or `STAGED`) behind those of a lot.

    Within a transaction that has locked the dataset. What was not added was replaced or ignored, all of it:
    that is the caller's to count. Raises `DigestTaken` where conflicts fail, of the first
    record in order whose key is there already.
    """
    tally = Tally()
    for query, adds in _STEPS[on_conflict]:
        row = await link.one(query.format(source=source), lot, next_position, *sent)
        tally.added += row["count"] if adds else 0
        tally.size_change += row["size_change"]
    return tally
