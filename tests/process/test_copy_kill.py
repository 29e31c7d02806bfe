"""`aerolite copy` is killed in the middle, and called again."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count, repeat
from pathlib import Path
from typing import cast

import pytest

from service.adapters.sqlite import SqliteStorage
from service.domain.records import Batch
from service.ports.storage import Storage
from tests.clocks import FakeClock
from tests.contract.backends import BACKENDS
from tests.contract.backends.base import ProcessBackend
from tests.contract.backends.sqlite import SqliteBackend
from tests.contract.steps import KEYED, keyed, load
from tests.servers import Servers
from tests.waiting import PATIENCE_S, patience

TARGETS = [name for name, entry in BACKENDS.items() if entry.connect is not None]
FIRST, SECOND = 200, 20_000
"""Records of the two datasets: the kill comes when the first is there, and most of the second is not."""


@dataclass(frozen=True)
class Ended:
    """What a command has said, and how it ended."""

    status: int
    out: str
    errors: str


async def aerolite(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    """Start a command."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service", *arguments),
        env=environment or os.environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def call(*arguments: str) -> Ended:
    """Run a command to its end."""
    process = await aerolite(*arguments)
    out, errors = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), errors.decode())


async def copy(source: str, targets: Iterator[str]) -> Ended:
    """Copy to the end: to the next one where a busy machine kept a store from answering in time."""
    async with patience():
        while (ended := await call("copy", source, next(targets))).status == 1:
            assert silent(ended.errors)
    return ended


def silent(errors: str) -> bool:
    """Return whether that was all that was wrong."""
    return "does not answer" in errors or "whole or not" in errors


async def copying(source: str, target: str, watched: Storage) -> asyncio.subprocess.Process:
    """Start to copy, and return when something can be seen."""
    # It may be killed while it ends, too, and must not spoil what coverage writes then.
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    process = await aerolite("copy", source, target, **unmeasured)
    async with patience():
        while not await seen(watched):
            if process.returncode == 1:
                _, errors = await process.communicate()
                assert silent(errors.decode())
                process = await aerolite("copy", source, target, **unmeasured)
            await asyncio.sleep(0.001)
    return process


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Keep the servers of this module."""
    with Servers() as running:
        yield running


@pytest.fixture(params=TARGETS)
async def target(
    request: pytest.FixtureRequest, tmp_path: Path, servers: Servers
) -> AsyncIterator[ProcessBackend]:
    """Give an empty store that several processes can open."""
    if request.param == "sqlite":  # the suite's own has a name that no URL can have
        yield SqliteBackend(tmp_path / "target.db", FakeClock())
        return
    async with BACKENDS[request.param].make(FakeClock(), tmp_path, servers) as made:
        yield cast("ProcessBackend", made)


@pytest.fixture
async def source(tmp_path: Path) -> Path:
    """Give a database with two datasets, with holes and keys, and a document."""
    path = tmp_path / "source.db"
    async with SqliteStorage(path, clock=FakeClock()) as storage:
        await load(storage, keyed(range(FIRST)), name="a")
        async with storage.datasets.replace("b") as writer:
            for start in range(0, SECOND, 5_000):
                await writer.add(keyed(range(start, start + 5_000)))
            await writer.commit(KEYED)
        for position in (0, 17, 14_000):
            await storage.datasets.delete_record("b", position)
        await storage.documents.create("key", "x", {"pin": "2023-04-01"}, tag="t")
    return path


def url_of(target: ProcessBackend) -> str:
    """Return the URL of a store."""
    return target.address if "://" in target.address else f"sqlite:///{target.address}"


async def seen(storage: Storage) -> dict[str, int]:
    """Return the datasets that are seen, with their counts; none while the store is being made."""
    return {dataset.name: dataset.count for dataset in await storage.datasets.datasets()}


async def test_a_killed_copy_is_taken_up_where_it_was(source: Path, target: ProcessBackend) -> None:
    """After `kill -9` only whole datasets are seen; the next copy does the rest, and all digests are equal."""
    urls = (f"sqlite:///{source}", url_of(target))
    again = (urls[0], repeat(urls[1]))
    backs = (f"sqlite:///{source.with_name(f'back{number}.db')}" for number in count())
    async with target.open() as watched:
        await watched.ping()
        process = await copying(*urls, watched)
        with suppress(ProcessLookupError):  # which was quicker than to look
            process.kill()
        await process.communicate()
        there = await seen(watched)
        assert there in [{"a": FIRST}, {"a": FIRST, "b": SECOND - 3}]
    second = await copy(*again)
    assert (second.status, second.errors) == (0, "")
    assert "a: 200 records were there already, revision 1, sha256 " in second.out
    third = await copy(*again)
    assert third.out == second.out.replace("copied", "were there already")
    returned = await copy(urls[1], backs)
    assert returned.out == third.out.replace("were there already", "copied")


async def test_what_is_wrong_is_told_in_a_sentence(source: Path, tmp_path: Path) -> None:
    """A wrong URL, a file that is not there, a store that is away: one sentence, and no password."""
    good = f"sqlite:///{source}"
    no_file = f"There is no file {tmp_path}/none.db."
    hidden = tmp_path / "url"
    hidden.write_text("redis://user:s3cret@127.0.0.1:1/0\n")
    for arguments, status, said in (
        ((good, good), 2, "Both are the same storage."),
        ((good, "nonsense"), 2, "A storage is named by a URL, such as"),
        ((good, "memory://"), 2, "memory:// is no storage that another process could have."),
        ((f"sqlite:///{tmp_path}/none.db", good), 2, no_file),
        ((good, f"@{tmp_path}/none"), 2, "cannot be read: No such file or directory."),
        ((good, f"@{hidden}"), 1, "127.0.0.1:1"),
        ((good, "postgresql://user:s3cret@127.0.0.1:1/x"), 1, "127.0.0.1"),
    ):
        ended = await call("copy", *arguments)
        assert ended.status == status
        assert said in ended.errors
        assert ended.errors.startswith("aerolite: ")
        assert ended.errors.count("\n") == 1
        assert "s3cret" not in ended.errors
    assert not (tmp_path / "none.db").exists()


async def test_another_dataset_of_the_same_name_is_kept_unless_told(source: Path, tmp_path: Path) -> None:
    """The command refuses to replace what it did not copy, and does so with --replace."""
    path = tmp_path / "target.db"
    async with SqliteStorage(path, clock=FakeClock()) as storage:
        await load(storage, Batch([b"{}"]), name="a")
    urls = (f"sqlite:///{source}", f"sqlite:///{path}")
    refused = await call("copy", *urls)
    assert refused.status == 1
    assert refused.errors.startswith("aerolite: The target has another dataset 'a'.")
    replaced = await call("copy", *urls, "--replace")
    assert replaced.status == 0
    assert "a: 200 records copied, revision 2, sha256 " in replaced.out
