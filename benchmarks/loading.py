"""Rows about loading: a file over HTTP beside what each store itself needs for the finished records.

The ceilings are as durable as the service and store the same bytes: `executemany` in SQLite, `redis-cli
--pipe` in Redis, COPY in PostgreSQL; with a key, what looks one up is theirs to store, too.
"""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import asyncpg
import hiredis
import msgspec

from benchmarks.files import sample_csv
from benchmarks.processes import Running, aerolite
from benchmarks.serving import upload, wall_seconds
from benchmarks.stores import NAMES, Store, stores
from benchmarks.table import Row
from service.adapters.postgres.rows import digest
from service.domain.sample import sample
from tests.servers.redis import PASSWORD, find_binary

ROWS = 45_716
ROUNDS = 9
PER_COMMAND = 256

Pair = tuple[str, bytes]
"""A key and its record."""

Ceiling = Callable[[Store, Path, Sequence[Pair], bool], Awaitable[float]]
"""Stores records in a store, with or without keys, and returns the seconds that it took."""


async def load(directory: Path) -> list[Row]:
    """Measure a load of 45,716 CSV records into each store, in turn with its ceiling."""
    file = sample_csv(directory, ROWS)
    pairs = [(record["id"], msgspec.json.encode(record)) for record in sample(ROWS)]
    rows = []
    with stores(directory) as running:
        for name in NAMES:
            with aerolite(directory, STORAGE_URL=running[name].url) as service:
                rows += [await _beside(service, running[name], file, pairs, keyed) for keyed in (False, True)]
    return rows


async def _beside(service: Running, store: Store, file: Path, pairs: Sequence[Pair], keyed: bool) -> Row:
    what, ceiling, bar = CEILINGS[store.name]
    ours, theirs = [], []
    for _ in range(ROUNDS + 1):
        put = partial(upload, service, "load?key=id" if keyed else "load", file)
        ours.append(await asyncio.to_thread(wall_seconds, put))
        theirs.append(await ceiling(store, file.parent, pairs, keyed))
    # Nothing makes a load faster than it is: the best of several is what the machine's other work left alone.
    mine, best = min(ours[1:]), min(theirs[1:])
    kind = "with a key " if keyed else ""
    return Row(f"load of {ROWS:,} CSV records {kind}over HTTP into {store.name}, wall, beside {what}",
               f"{mine * 1000:.0f} ms", f"{best * 1000:.0f} ms", mine / best, bar)  # fmt: skip


async def executemany(store: Store, directory: Path, pairs: Sequence[Pair], keyed: bool) -> float:
    """Insert into a database of its own."""
    path = directory / "ceiling.db"
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE records (position INTEGER PRIMARY KEY, key BLOB, record BLOB)")
    if keyed:
        connection.execute("CREATE UNIQUE INDEX keys ON records (key)")

    def insert() -> None:
        rows = ((at, key if keyed else None, record) for at, (key, record) in enumerate(pairs))
        connection.executemany("INSERT INTO records VALUES (?, ?, ?)", rows)
        connection.commit()

    try:
        return wall_seconds(insert)
    finally:
        connection.close()


async def pipe(store: Store, directory: Path, pairs: Sequence[Pair], keyed: bool) -> float:
    """Send commands of 256 records and of 256 keys, all made before."""
    commands = directory / "commands"
    with commands.open("wb") as stream:
        for first in range(0, len(pairs), PER_COMMAND):
            some = pairs[first : first + PER_COMMAND]
            stream.write(hiredis.pack_command(("RPUSH", "ceiling", *(record for _, record in some))))
            if keyed:
                entries = (word for at, (key, _) in enumerate(some, first) for word in (key, at))
                stream.write(hiredis.pack_command(("HSET", "ceiling-keys", *entries)))
    client = [str(find_binary().with_name("redis-cli")), "-p", str(store.port), "--no-auth-warning"]

    def send() -> None:
        with commands.open("rb") as stream:
            subprocess.run([*client, "-a", PASSWORD, "--pipe"], stdin=stream, check=True, capture_output=True)

    try:
        return await asyncio.to_thread(wall_seconds, send)
    finally:
        subprocess.run([*client, "-a", PASSWORD, "UNLINK", "ceiling", "ceiling-keys"],
                       check=True, capture_output=True)  # fmt: skip


async def copy(store: Store, directory: Path, pairs: Sequence[Pair], keyed: bool) -> float:
    """COPY into a table of its own the bytes that the service puts into its: a digest for a key."""
    connection = await asyncpg.connect(store.url)
    await connection.execute("DROP TABLE IF EXISTS ceiling")
    await connection.execute(
        "CREATE TABLE ceiling"
        " (lot bigint, position bigint, key bytea, record bytea, PRIMARY KEY (lot, position))"
    )
    if keyed:
        await connection.execute("CREATE UNIQUE INDEX ON ceiling (lot, key)")
    rows = [(1, at, digest(key) if keyed else None, record) for at, (key, record) in enumerate(pairs)]
    try:
        started = asyncio.get_running_loop().time()
        await connection.copy_records_to_table("ceiling", records=rows)
        return asyncio.get_running_loop().time() - started
    finally:
        await connection.close()


CEILINGS: dict[str, tuple[str, Ceiling, float]] = {
    "SQLite": ("executemany", executemany, 2.5),
    "Redis": ("redis-cli --pipe", pipe, 3.0),
    "PostgreSQL": ("COPY", copy, 3.0),
}
