"""Removing what nobody can reach any more, in steps so small that nobody waits for one."""

from __future__ import annotations

from datetime import datetime, timedelta

from service.adapters.postgres.connections import Connections, Lane, Link

READABLE_FOR = timedelta(minutes=10)
STEP = 5_000
"""Positions, or rows, that a step removes at most."""

# What a sweep removes may come back in a crash: the next one removes it again.
_BEGIN = "BEGIN; SET LOCAL synchronous_commit = off"

# Another process that sweeps takes another lot.
_TAKE = """
SELECT lot, positions, swept FROM aerolite.retired
WHERE since <= $1 ORDER BY lot LIMIT 1 FOR UPDATE SKIP LOCKED
"""
# By position, not by LIMIT: that would walk over all that was deleted before.
_DELETE = "DELETE FROM aerolite.records WHERE lot = $1 AND position >= $2 AND position < $3"
_GO_ON = "UPDATE aerolite.retired SET swept = $2 WHERE lot = $1"
_FORGET = "DELETE FROM aerolite.retired WHERE lot = $1"
_FORGET_HOLES = "DELETE FROM aerolite.holes WHERE lot = $1"

_EXPIRED = [
    f"""
    DELETE FROM aerolite.{table} WHERE ({key}) IN (
        SELECT {key} FROM aerolite.{table}
        WHERE expires <= $1 ORDER BY expires LIMIT {STEP} FOR UPDATE SKIP LOCKED
    )
    """  # noqa: S608 - constants
    for table, key in (("documents", "kind, id"), ("remembered", "name, key"))
]


async def sweep(connections: Connections, now: datetime) -> int:
    """Remove retired lots and what has expired; return how many lots and rows."""
    pieces = 0
    async with connections.link(Lane.WRITE) as link:
        while (removed := await _sweep_lot(link, now - READABLE_FOR)) is not None:
            pieces += removed
        for query in _EXPIRED:
            removed = STEP
            while removed == STEP:
                removed = await link.execute(query, now)
                pieces += removed
    return pieces


async def _sweep_lot(link: Link, retired_until: datetime) -> int | None:
    """Take a step; return how many lots it finished, or None where there is none left."""
    await link.execute(_BEGIN)
    row = await link.fetchrow(_TAKE, retired_until)
    if row is None:
        await link.commit()
        return None
    lot, start, positions = row["lot"], row["swept"], row["positions"]
    await link.execute(_DELETE, lot, start, start + STEP)
    finished = start + STEP >= positions
    if finished:
        await link.execute(_FORGET_HOLES, lot)
        await link.execute(_FORGET, lot)
    else:
        await link.execute(_GO_ON, lot, start + STEP)
    await link.commit()
    return int(finished)
