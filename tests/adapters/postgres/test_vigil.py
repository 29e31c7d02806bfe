"""Who waits for a server, and when he gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from service.adapters.postgres.rows import MAX_SEEN, Seen
from service.adapters.postgres.vigil import Idle, Vigil
from service.domain.datasets import Dataset
from service.domain.errors import StoreUnavailable

TIMEOUT_S = 0.2
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@dataclass
class Session:
    """A session as it is told to be."""

    backend: int | None = 7
    lost: bool = False


class Server:
    """Answers what it is told to, or nothing; counts how often it was asked."""

    def __init__(self, *answers: Idle | None) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def probe(self, _: Sequence[int]) -> Idle:
        """Give the next answer, and the last for ever; None is a silent server."""
        answer = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        if answer is None:
            await never()
        return answer or {}

    async def work(self, asked: int) -> None:
        """Work until it was asked so often."""
        while self.asked < asked:
            await asyncio.sleep(TIMEOUT_S / 10)


async def never() -> None:
    """Do not end."""
    await asyncio.Event().wait()


async def wait(
    server: Server, session: Session | None, work: Awaitable[None] | None = None, limit_s: float = 3600
) -> str:
    """Wait for work, which never ends unless it is told to, and tell how it ended."""
    vigil = Vigil(server.probe, timeout_s=TIMEOUT_S)
    try:
        await vigil.attend(work or never(), limit_s, session)
    except TimeoutError:
        return "given up"
    finally:
        await vigil.close()
    return "done"


async def test_who_is_quick_is_not_asked_about() -> None:
    """A command that is answered soon costs the server no question."""
    server = Server({})
    assert await wait(server, Session(), server.work(0)) == "done"
    assert server.asked == 0


async def test_a_silent_server_is_given_up() -> None:
    """Where the question is not answered, there is no hope for the command."""
    assert await wait(Server(None), Session()) == "given up"


async def test_a_server_that_cannot_be_reached_is_given_up() -> None:
    """A question that fails is not answered."""

    async def probe(_: Sequence[int]) -> Idle:
        raise StoreUnavailable("It is gone.")

    vigil = Vigil(probe, timeout_s=TIMEOUT_S)
    with pytest.raises(TimeoutError):
        await vigil.attend(never(), 3600)
    await vigil.close()


async def test_a_session_at_work_is_waited_for() -> None:
    """However long it takes, a command that the server works on is not given up."""
    server = Server({})
    assert await wait(server, Session(), server.work(4)) == "done"


async def test_a_session_that_stays_idle_is_given_up() -> None:
    """Idle since the same moment when looked at twice: the command was lost on its way."""
    server = Server({7: NOON})
    assert await wait(server, Session()) == "given up"
    assert server.asked == 2


async def test_a_session_that_is_idle_now_and_then_is_waited_for() -> None:
    """Idle since different moments, it is between two steps."""
    server = Server(*({7: NOON + timedelta(seconds=second)} for second in range(1000)))
    assert await wait(server, Session(), server.work(4)) == "done"


async def test_a_session_that_has_ended_is_given_up() -> None:
    """A session that the server does not know any more will not answer."""
    assert await wait(Server({7: None}), Session()) == "given up"


async def test_a_lost_connection_is_given_up() -> None:
    """Where the session cannot be asked about, its closed connection tells as much."""
    assert await wait(Server({}), Session(backend=None, lost=True)) == "given up"


async def test_the_limit_holds_whoever_is_at_work() -> None:
    """A use of a connection that is hopelessly long ends."""
    assert await wait(Server({}), Session(), limit_s=TIMEOUT_S * 2) == "given up"


def test_what_was_seen_is_bounded() -> None:
    """Of very many datasets the one that was not seen for longest is forgotten."""
    seen = Seen()
    for number in range(MAX_SEEN):
        seen.put(f"d{number}", Dataset(f"d{number}"))
    seen.put("d0", Dataset("d0", revision=2))
    seen.put("new", Dataset("new"))
    assert seen.get("d1") is None
    assert seen.get("d0") == Dataset("d0", revision=2)
    assert seen.get("new") == Dataset("new")
