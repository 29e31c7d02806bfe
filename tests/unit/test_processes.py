"""Children are kept, replaced and ended."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import Process
from pathlib import Path

import psutil
import pytest

from service.processes import Children, pipes
from tests.waiting import patience, until

ECHO = (sys.executable, "-c", "import sys\nfor line in sys.stdin: print(line, end='', flush=True)")


async def _echoed(child: Process, line: bytes) -> bytes:
    sent, said = pipes(child)
    sent.write(line)
    return await said.readline()


async def test_a_child_is_kept_for_the_next_work() -> None:
    """It is started once, and answers both."""
    async with Children(ECHO, 1) as children:
        for line in (b"a\n", b"b\n"):
            async with children.borrowed() as child:
                assert await _echoed(child, line) == line
        assert len(children.alive) == 1
    assert not children.alive


async def test_no_more_than_there_are_places_work_at_once() -> None:
    """Whoever comes when all are taken waits."""
    async with Children(ECHO, 2) as children:

        async def work() -> None:
            async with children.borrowed() as child:
                assert len(children.alive) <= 2
                assert await _echoed(child, b"a\n") == b"a\n"

        await asyncio.gather(*(work() for _ in range(10)))


@pytest.mark.parametrize("ahead", [False, True])
async def test_a_child_whose_work_failed_is_replaced(ahead: bool) -> None:
    """It is killed; the next is another one, started at once where that was wanted."""
    async with Children(ECHO, 1, ahead=ahead) as children:
        with pytest.raises(ValueError, match="mine"):
            async with children.borrowed() as child:
                raise ValueError("mine")
        await until(lambda: not psutil.pid_exists(child.pid))
        async with children.borrowed() as other:
            assert other.pid != child.pid
            assert await _echoed(other, b"a\n") == b"a\n"


async def test_a_child_that_died_is_not_lent() -> None:
    """Whoever comes next gets one that lives."""
    async with Children(ECHO, 1) as children:
        async with children.borrowed() as child:
            await _echoed(child, b"a\n")
        child.kill()
        await child.wait()
        async with children.borrowed() as other:
            assert await _echoed(other, b"b\n") == b"b\n"


async def test_what_cannot_start_is_told_and_takes_no_place(tmp_path: Path) -> None:
    """A command that is not there fails everybody who asks, and does not block."""
    async with Children((str(tmp_path / "absent"),), 1, ahead=True) as children:
        for _ in range(3):
            with pytest.raises(FileNotFoundError):
                async with children.borrowed():
                    pass


async def test_what_is_not_ready_is_ended() -> None:
    """A child that starts wrongly is killed, and its starter told."""

    async def never(said: asyncio.StreamReader) -> None:
        raise ValueError("not ready")

    async with Children(ECHO, 1, ready=never) as children:
        with pytest.raises(ValueError, match="not ready"):
            async with children.borrowed():
                pass
        assert not children.alive


async def test_closing_ends_what_is_at_work_and_lends_no_more() -> None:
    """The work fails by its child's silence; who waits for a place is told."""
    async with Children(ECHO, 1, ahead=True) as children:

        async def work() -> bytes:
            async with children.borrowed() as child:
                return await pipes(child)[1].readexactly(1)

        working = asyncio.create_task(work())
        while not children.alive:
            await asyncio.sleep(0)
        waiting = asyncio.create_task(work())
        await asyncio.sleep(0.05)
    assert isinstance((await asyncio.gather(working, return_exceptions=True))[0], asyncio.IncompleteReadError)
    with pytest.raises(ChildProcessError):
        await waiting
    assert not children.alive


async def test_who_waits_or_starts_while_all_are_ended_is_told() -> None:
    """Nobody waits for ever, and no child is left that was being started."""
    children = Children(ECHO, 2)

    async def work() -> bytes:
        async with children.borrowed() as child:
            return await _echoed(child, b"a")  # which says nothing before the end of the line

    async with children:
        waiting = [asyncio.ensure_future(work()) for _ in range(4)]
        await asyncio.wait(waiting, timeout=0.01)
    async with patience():
        found = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(each, ChildProcessError) or each == b"" for each in found)
    assert not children.alive
