"""A child that says what it should not is not believed, whatever has become of it."""

from __future__ import annotations

import sys

import msgspec
import pytest

from service.adapters.duckdb_child.messages import Columns, Done, Ready, Run, Some, framed
from service.adapters.duckdb_sql.exchange import exchange, started
from service.domain.errors import QueryFailed, StoreUnavailable
from service.ports.database import Rows
from service.processes import Children

RUN = Run(
    sql="select 1",
    parameters=b"[]",
    tables={},
    considered=frozenset(),
    listed=None,
    max_rows=10,
    max_bytes=1000,
    cpu_s=1,
)
ROW = msgspec.Raw(msgspec.msgpack.encode([1]))
SAYS = "import sys; sys.stdin.buffer.read(4); sys.stdout.buffer.write(bytes.fromhex(sys.argv[1]) * int(sys.argv[2]))"

SAID = {
    "nothing": b"",
    "half a length": b"\x01",
    "half a message": framed(Columns(("a",)))[:-1],
    "no MessagePack": b"\x03\x00\x00\x00\xc1\xc1\xc1",
    "another message": framed(Ready()),
    "too much at once": b"\xff\xff\xff\xff",
    "no row": framed(Some([msgspec.Raw(msgspec.msgpack.encode("x"))])),
    "an unknown kind of value": framed(
        Some([msgspec.Raw(msgspec.msgpack.encode([msgspec.msgpack.Ext(9, b"")]))])
    ),
    "a number that is none": framed(
        Some([msgspec.Raw(msgspec.msgpack.encode([msgspec.msgpack.Ext(1, b"x")]))])
    ),
}


async def answered(said: bytes, times: int = 1) -> object:
    """Return what an exchange with a child makes of what it says."""
    async with (
        Children((sys.executable, "-c", SAYS, said.hex(), str(times)), 1) as children,
        children.borrowed() as child,
    ):
        return await exchange(child, RUN)


async def test_what_a_child_should_say_is_an_answer() -> None:
    """Columns, rows and an end."""
    said = framed(Columns(("a",))) + framed(Some([ROW])) + framed(Some([ROW])) + framed(Done(truncated=True))
    assert await answered(said) == Rows(("a",), [(1,), (1,)], truncated=True)


@pytest.mark.parametrize("said", SAID.values(), ids=SAID)
async def test_what_it_should_not_fails_the_statement(said: bytes) -> None:
    """Its statement fails, in words."""
    with pytest.raises(QueryFailed, match="DuckDB"):
        await answered(said)


async def test_what_says_more_than_it_may_fails_the_statement() -> None:
    """Small messages add up."""
    said = framed(Some([msgspec.Raw(msgspec.msgpack.encode(["x" * 50_000]))]))
    with pytest.raises(QueryFailed, match="cannot be read"):
        await answered(said, times=30)


@pytest.mark.parametrize("said", [b"", framed(Done(truncated=False)), b"\x01\x00\x00\x00\xc1"])
async def test_a_child_that_does_not_start_is_told(said: bytes) -> None:
    """Nobody is lent one that has not said that it is ready."""
    command = (
        sys.executable,
        "-c",
        "import sys; sys.stdout.buffer.write(bytes.fromhex(sys.argv[1]))",
        said.hex(),
    )
    async with Children(command, 1, ready=started) as children:
        with pytest.raises(StoreUnavailable):
            async with children.borrowed():
                pass
