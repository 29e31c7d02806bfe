"""What a process makes for itself goes with it: at its end, or, where it was killed, at the next one's start."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import chdir
from pathlib import Path
from threading import Event, Thread

import pytest

from service.adapters.duckdb import DuckdbEngine
from service.adapters.scratch import Scratch, held, make_directory, make_file, sweep
from service.adapters.spool import DiskSpool

MAKING = """
import asyncio, sys
from pathlib import Path
from service.adapters.duckdb import DuckdbEngine
from service.adapters.scratch import Scratch, make_file

async def main(parent):
    async with Scratch("t-", parent) as scratch:
        (scratch.path / "inside").mkdir()
        (scratch.path / "inside" / "file").write_text("left")
        made = make_file("t-", parent)
        print("ready", flush=True)
        sys.stdin.read()

asyncio.run(main(Path(sys.argv[1])))
"""


def names(directory: Path) -> set[str]:
    """Return what is in a directory."""
    return {path.name for path in directory.iterdir()}


async def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    """A directory and a file stay while their process lives; once it is killed the next one removes them."""
    process = subprocess.Popen(
        [sys.executable, "-c", MAKING, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdin is not None
    with process.stdout, process.stdin:
        assert process.stdout.readline() == b"ready\n"
        left = names(tmp_path)
        assert len(left) == 2
        async with Scratch("t-", tmp_path) as own:
            assert names(tmp_path) == {*left, own.path.name}
        process.kill()
        process.wait()
    assert names(tmp_path) == left
    async with Scratch("t-", tmp_path) as own:
        assert names(tmp_path) == {own.path.name}
    assert names(tmp_path) == set()


async def test_what_was_never_made_is_not_removed(tmp_path: Path) -> None:
    """Leaving without entering, or twice, touches nothing."""
    (tmp_path / "mine").touch()
    scratch = Scratch("t-", tmp_path)
    with chdir(tmp_path):
        await scratch.__aexit__(None, None, None)
        async with scratch:
            assert len(names(tmp_path)) == 2
        await scratch.__aexit__(None, None, None)
    assert names(tmp_path) == {"mine"}
    with pytest.raises(FileNotFoundError):
        _ = scratch.path


def test_only_what_is_surely_left_is_removed(tmp_path: Path) -> None:
    """Other names, links, pipes and what they lead to stay."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").touch()
    (tmp_path / "t-link").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "t-pipe")
    (tmp_path / "t-file").touch()
    (tmp_path / "t-directory").mkdir()
    assert {path.name for path in sweep("t-", tmp_path)} == {"t-file", "t-directory"}
    assert names(tmp_path) == {"elsewhere", "t-link", "t-pipe"}
    assert names(tmp_path / "elsewhere") == {"kept"}
    assert sweep("t-", tmp_path / "nowhere") == []


def test_what_is_made_while_others_sweep_is_there(tmp_path: Path) -> None:
    """However many sweeps come between the making and the locking, what is returned is held."""
    done = Event()

    def sweeping() -> None:
        while not done.is_set():
            sweep("t-", tmp_path)

    threads = [Thread(target=sweeping) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for make in (make_file, make_directory) * 300:
            descriptor, path = make("t-", tmp_path)
            sweep("t-", tmp_path)
            assert path.exists()
            os.close(descriptor)
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_what_was_swept_before_it_was_locked_is_not_held(tmp_path: Path) -> None:
    """Whoever makes something finds out that a sweep came between, and makes another."""
    descriptor, path = make_file("t-", tmp_path)
    other = os.open(path, os.O_RDONLY)
    try:
        assert not held(path, other)  # a sweep has it
        os.close(descriptor)
        path.unlink()
        assert not held(path, other)  # a sweep had it
    finally:
        os.close(other)


async def test_the_first_upload_sweeps_those_of_dead_processes(tmp_path: Path) -> None:
    """An upload that was cut off by a kill takes no room for ever; one that is under way stays."""
    (tmp_path / "aerolite-upload-left").write_bytes(b"left")
    descriptor, under_way = make_file("aerolite-upload-", tmp_path)

    async def body() -> AsyncIterator[bytes]:
        yield b"some"

    spool = DiskSpool(tmp_path)
    async with spool.receive(body(), content_encoding=None, max_bytes=100) as upload:
        assert names(tmp_path) == {under_way.name, upload.path.name}
        sweep("aerolite-upload-", tmp_path)
        assert names(tmp_path) == {under_way.name, upload.path.name}
    os.close(descriptor)


async def test_an_engine_sweeps_those_of_dead_processes(tmp_path: Path) -> None:
    """What a killed service has spilled is gone with the next start."""
    (tmp_path / "aerolite-engine-left").mkdir()
    (tmp_path / "aerolite-engine-left" / "snapshot.db").write_bytes(b"left")
    async with DuckdbEngine(tmp_path, memory_bytes=64 << 20, spill_bytes=64 << 20, timeout_s=1):
        assert len(names(tmp_path)) == 1
        assert "aerolite-engine-left" not in names(tmp_path)
    assert names(tmp_path) == set()
