"""The job that copies: what it takes, what it does, and where it stops."""

from __future__ import annotations

from typing import Any

import pytest

from service.adapters.memory import MemoryState, MemoryStorage
from service.domain.access import Scope
from service.domain.errors import InvalidContent
from service.domain.jobs import Job
from service.usecases.jobs.copy import CopyJob
from service.usecases.jobs.kinds import Attempt, LeaseLost
from tests.clocks import FakeClock
from tests.contract.steps import everything, load, records


class Stage:
    """Two stores in memory and the type of job between them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.source = MemoryStorage(clock=self.clock)
        self._state = MemoryState()
        self.asked = 0
        self.kind = CopyJob(self.source, self.target, self.clock)

    def target(self) -> MemoryStorage:
        """Open the target."""
        return MemoryStorage(clock=self.clock, state=self._state)

    def attempt(self, *, lost: bool = False, **params: Any) -> Attempt:
        """Return an attempt, whose lease may be lost."""

        async def confirm() -> None:
            self.asked += 1
            if lost:
                raise LeaseLost

        now = self.clock.now()
        job = Job(id="j", type="copy", params=self.kind.check(params), created=now, due=now, deadline=now)
        return Attempt(job, confirm)


@pytest.fixture
def stage() -> Stage:
    """Give a stage."""
    return Stage()


async def test_everything_is_copied_and_told(stage: Stage) -> None:
    """The result names each dataset with its digest, and asks before each effect."""
    await load(stage.source, records(range(5)), name="a")
    await load(stage.source, records(range(6)), name="b")
    await stage.source.documents.create("key", "k", {})
    attempt = stage.attempt()
    result = await stage.kind.run(attempt)
    assert result is not None
    assert [(one["name"], one["revision"], one["count"]) for one in result["datasets"]] == [
        ("a", 1, 5),
        ("b", 1, 6),
    ]
    assert all(len(one["sha256"]) == 64 for one in result["datasets"])
    assert result["documents"] == 1
    assert stage.asked == 3
    assert 0 < attempt.done < 1
    assert await everything(stage.target(), "b") == records(range(6))
    assert await stage.kind.run(stage.attempt()) == result


async def test_an_attempt_without_its_lease_changes_nothing(stage: Stage) -> None:
    """Whoever has lost the job does not commit."""
    await load(stage.source, records(range(5)), name="a")
    with pytest.raises(LeaseLost):
        await stage.kind.run(stage.attempt(lost=True))
    assert await stage.target().datasets.datasets() == []


@pytest.mark.parametrize(
    ("params", "pointer"),
    [({"replace": 1}, "/replace"), ({"destination": "redis://elsewhere"}, "/destination")],
)
def test_other_parameters_are_refused(stage: Stage, params: dict[str, Any], pointer: str) -> None:
    """A client says whether to replace, and nothing else: above all not where to."""
    with pytest.raises(InvalidContent) as caught:
        stage.kind.check(params)
    assert caught.value.pointer == pointer


def test_without_a_target_nobody_can_start_one(stage: Stage) -> None:
    """The refusal names the setting; and it takes an admin to come so far."""
    kind = CopyJob(stage.source, None, stage.clock)
    with pytest.raises(InvalidContent, match="COPY_URL"):
        kind.check({})
    assert kind.scope is Scope.ADMIN


def test_one_copy_runs_at_a_time(stage: Stage) -> None:
    """Two copies would be in each other's way."""
    assert stage.kind.exclusive({"replace": True}) == stage.kind.exclusive({"replace": False})
