"""The protocol, against a server that says what the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from service.adapters.postgres_sql.messages import Field, execute, query, row_values
from service.adapters.postgres_sql.wire import Answer, Lost, Overflow, Refused, Wire

READY = b"Z\0\0\0\5T"
MAX_BYTES = 1000

Connect = Callable[[bytes], Awaitable[Wire]]


def message(kind: bytes, body: bytes) -> bytes:
    """Return a message."""
    return kind + (len(body) + 4).to_bytes(4, "big") + body


def row(*values: bytes | None) -> bytes:
    """Return a row of values."""
    parts = [b"\xff\xff\xff\xff" if each is None else len(each).to_bytes(4, "big") + each for each in values]
    return message(b"D", len(values).to_bytes(2, "big") + b"".join(parts))


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Give a function that connects to a server which answers whatever it is asked with these bytes."""
    servers, transports = [], []

    async def make(answers: bytes, *, at_once: int = 1 << 16) -> Wire:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                if await reader.read(1 << 16):
                    for at in range(0, len(answers), at_once):
                        writer.write(answers[at : at + at_once])
                        await writer.drain()
            finally:  # also where the test ends first
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        servers.append(server)
        transport, _ = await asyncio.get_running_loop().create_connection(
            asyncio.Protocol, *server.sockets[0].getsockname()
        )
        transports.append(transport)
        return Wire(transport, max_bytes=MAX_BYTES)

    yield make
    for transport in transports:
        transport.abort()
    for server in servers:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("at_once", [1, 7, 1 << 16])
async def test_an_answer_comes_in_pieces_of_any_size(
    connect: Callable[..., Awaitable[Wire]], at_once: int
) -> None:
    """Messages are put together from what the network brings."""
    fields = message(b"T", b"\0\1a\0" + b"\0" * 6 + b"\0\0\0\x17" + b"\0" * 8)
    said = (
        message(b"N", b"Mhello\0\0") + fields + row(b"1") + row(None) + message(b"C", b"SELECT 2\0") + READY
    )
    wire = await connect(said, at_once=at_once)
    found = await wire.ask(query("select"), Answer(room_bytes=100))
    assert (found.fields, [row_values(each) for each in found.rows], found.tag) == (
        [Field("a", 23)],
        [[b"1"], [None]],
        "SELECT 2",
    )
    assert wire.idle


async def test_several_questions_are_answered_in_turn(connect: Connect) -> None:
    """What is asked at once comes back in order, a refusal of one leaves the next alone."""
    refusal = message(b"E", b"SERROR\0VERROR\0C42601\0Mno\0\0") + READY
    wire = await connect(refusal + row(b"2") + READY + message(b"N", b"Mbehind\0\0"))
    first, second = wire.ask(query("a"), Answer()), wire.ask(query("b"), Answer(room_bytes=100))
    with pytest.raises(Refused, match="no") as caught:
        (await first).checked()
    assert (caught.value.code, caught.value.ends_session) == ("42601", False)
    assert [row_values(each) for each in (await second).checked().rows] == [[b"2"]]


async def test_who_was_cancelled_does_not_get_anothers_answer(connect: Connect) -> None:
    """The answer of a cancelled question is taken, and left."""
    wire = await connect(row(b"1") + READY + row(b"2") + READY)
    first, second = (wire.ask(execute(1), Answer(room_bytes=100)) for _ in range(2))
    first.cancel()
    assert [row_values(each) for each in (await second).rows] == [[b"2"]]


async def test_a_server_that_hangs_up_fails_all_who_wait(connect: Connect) -> None:
    """So it does who asks later."""
    wire = await connect(row(b"1"))
    waiting = [wire.ask(execute(1), Answer(room_bytes=100)) for _ in range(2)]
    for future in waiting:
        with pytest.raises(Lost):
            (await future).checked()
    assert wire.ended
    with pytest.raises(Lost):
        (await wire.ask(execute(1), Answer())).checked()


async def test_the_last_words_of_a_server_are_told(connect: Connect) -> None:
    """An error before the end is the reason of the end."""
    wire = await connect(message(b"E", b"SFATAL\0VFATAL\0C57P01\0Mgoing\0\0"))
    with pytest.raises(Refused) as caught:
        (await wire.ask(execute(1), Answer())).checked()
    assert caught.value.ends_session


@pytest.mark.parametrize(
    ("said", "of_row"),
    [
        (b"D\x7f\xff\xff\xff", True),
        (b"E\x7f\xff\xff\xff", False),
        (message(b"N", b"x" * 1000) * 5000, False),
    ],
    ids=["a row", "an error", "notices"],
)
async def test_what_is_too_large_ends_the_session(connect: Connect, said: bytes, of_row: bool) -> None:
    """A length beyond the bounds is enough; nothing of it is read."""
    wire = await connect(said)
    with pytest.raises(Overflow) as caught:
        (await wire.ask(execute(1), Answer(room_bytes=MAX_BYTES))).checked()
    assert caught.value.of_row is of_row
    assert wire.ended


@pytest.mark.parametrize("hurried", [True, False])
async def test_rows_that_have_no_room_are_left_out(connect: Connect, hurried: bool) -> None:
    """The session is ended there, or goes on without them."""
    wire = await connect(row(b"x" * 500) * 5 + message(b"s", b"") + READY)
    found = await wire.ask(execute(5), Answer(room_bytes=MAX_BYTES, hurried=hurried))
    assert (len(found.rows), found.cut, found.failure) == (1, True, None)
    assert wire.ended is hurried
    assert found.more is not hurried
