"""What a job may count on, on every store: at least one run, one effect, its turn, its time, its end."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from time import monotonic
from typing import Any

import pytest

from service.domain.errors import InvalidContent, JobFinished, JobNotFound, StoreUnavailable
from service.domain.jobs import KEPT, MAX_ATTEMPTS, Job, JobState, delay_s
from service.usecases.jobs.kinds import Attempt, LeaseLost
from service.usecases.jobs.tenure import End, Tenure

from .stage import LEASE_S, Scripted, Stage, until


def counting(ran: list[int]) -> Scripted:
    """Return a type whose jobs note that they ran."""

    async def work(attempt: Attempt) -> dict[str, Any]:
        ran.append(attempt.job.params["n"])
        return {"n": attempt.job.params["n"]}

    return Scripted("count", work)


def waiting(name: str = "wait", **options: Any) -> tuple[Scripted, asyncio.Event]:
    """Return a type whose jobs go on until an event is set."""
    event = asyncio.Event()

    async def work(attempt: Attempt) -> None:
        attempt.progress(0.5)
        await event.wait()

    return Scripted(name, work, **options), event


async def test_each_job_is_run_once_by_one_of_many_workers(stage: Stage) -> None:
    """Three workers share two hundred jobs; each is run once and keeps its result."""
    ran: list[int] = []
    kind = counting(ran)
    desk = stage.desk(kind)
    jobs = [await desk.post(kind, {"n": number}) for number in range(200)]
    async with stage.worker(kind, owner="a"), stage.worker(kind, owner="b"), stage.worker(kind, owner="c"):
        ended = [await stage.finished(job) for job in jobs]
    assert sorted(ran) == list(range(200))
    assert [job.result for job in ended] == [{"n": number} for number in range(200)]
    assert {(job.state, job.attempt, job.progress) for job in ended} == {(JobState.SUCCEEDED, 1, 1.0)}
    assert sorted(kind.cleared) == sorted(job.id for job in jobs)


async def test_a_lost_ring_is_made_good(stage: Stage) -> None:
    """A job whose ring was lost is found by a reconciler and run."""
    ran: list[int] = []
    kind = counting(ran)
    now = stage.clock.now()
    job = Job(
        id=stage.desk().next_id(), type="count", params={"n": 1}, created=now, due=now, deadline=now + KEPT
    )
    await stage.store.create(job)
    async with stage.worker(kind):
        await stage.finished(job)
    assert ran == [1]


async def test_a_failure_that_may_pass_is_tried_again_later(stage: Stage) -> None:
    """After an outage a job waits for its delay, tells why, and then succeeds."""
    failures = 2

    async def work(attempt: Attempt) -> None:
        if attempt.job.attempt <= failures:
            raise StoreUnavailable("away")

    kind = Scripted("flaky", work)
    job = await stage.desk(kind).post(kind, {})
    runner = stage.runner(kind)
    for attempt in range(1, failures + 1):
        assert await runner.run(job.id) == delay_s(attempt)
        queued = await stage.store.get(job.id)
        assert (queued.state, queued.lease) == (JobState.QUEUED, None)
        assert queued.error is not None
        assert queued.error["type"] == "store-unavailable"
        wait_s = await runner.run(job.id)  # too early
        assert wait_s == pytest.approx(delay_s(attempt))
        stage.clock.move(seconds=delay_s(attempt))
    assert await runner.run(job.id) is None
    done = await stage.store.get(job.id)
    assert (done.state, done.attempt, done.error) == (JobState.SUCCEEDED, 3, None)


def test_delays_double_up_to_a_minute() -> None:
    """The delay after each failed attempt is twice the one before, and at most a minute."""
    assert [delay_s(attempt) for attempt in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]


async def test_a_delayed_job_is_rung_for_when_it_is_due(stage: Stage) -> None:
    """The worker that put a job off rings for it again by itself."""

    async def work(attempt: Attempt) -> None:
        if attempt.job.attempt == 1:
            stage.clock.move(seconds=1)
            raise StoreUnavailable("away")
        stage.clock.move(seconds=1)

    kind = Scripted("flaky", work)
    async with stage.worker(kind):
        job = await stage.desk(kind).post(kind, {})
        queued = await until(lambda: _attempted(stage, job))
        stage.clock.move(seconds=5)
        assert (await stage.finished(queued)).state is JobState.SUCCEEDED


async def _attempted(stage: Stage, job: Job) -> Job | None:
    now = await stage.store.get(job.id)
    return now if now.attempt and now.state is JobState.QUEUED else None


async def test_bad_content_fails_at_once(stage: Stage) -> None:
    """What would fail again is not tried again, and the error says where it is wrong."""

    async def work(attempt: Attempt) -> None:
        raise InvalidContent("It is wrong.", pointer="/a", line=7)

    kind = Scripted("wrong", work)
    job = await stage.desk(kind).post(kind, {})
    assert await stage.runner(kind).run(job.id) is None
    failed = await stage.store.get(job.id)
    assert (failed.state, failed.attempt) == (JobState.FAILED, 1)
    assert failed.error == {
        "type": "invalid-content", "title": "The content is not valid", "detail": "It is wrong.",
        "pointer": "/a", "line": 7,
    }  # fmt: skip
    assert kind.cleared == [job.id]


async def test_a_mistake_of_ours_is_tried_to_the_end_and_told_without_its_cause(stage: Stage) -> None:
    """An unexpected exception is tried again as often as allowed; the client learns where to look."""

    async def work(attempt: Attempt) -> None:
        raise RuntimeError("secret")

    kind = Scripted("mistake", work)
    job = await stage.desk(kind).post(kind, {})
    runner = stage.runner(kind)
    for _ in range(MAX_ATTEMPTS):
        await runner.run(job.id)
        stage.clock.move(seconds=60)
    failed = await stage.store.get(job.id)
    assert (failed.state, failed.attempt) == (JobState.FAILED, MAX_ATTEMPTS)
    assert failed.error is not None
    assert "secret" not in str(failed.error)
    assert job.id in failed.error["detail"]


async def test_the_job_of_a_dead_worker_is_taken_when_its_lease_ends(stage: Stage) -> None:
    """Until the lease ends nobody touches the job; then another worker does it again."""
    ran: list[int] = []
    kind = counting(ran)
    job = await stage.desk(kind).post(kind, {"n": 1})
    await stage.queue.hear(1, 60)
    await stage.begun_by_a_dead_worker(job)
    assert await stage.reconciler().sweep() == 0
    assert await stage.runner(kind).run(job.id) is None
    assert ran == []
    stage.clock.move(seconds=LEASE_S)
    async with stage.worker(kind):
        done = await stage.finished(job)
    assert (ran, done.attempt) == ([1], 2)


async def test_a_job_that_ends_its_workers_is_given_up(stage: Stage) -> None:
    """A job that has been begun ten times and never ended is not begun again."""
    ran: list[int] = []
    kind = counting(ran)
    job = await stage.desk(kind).post(kind, {"n": 1})
    for _ in range(MAX_ATTEMPTS):
        job = await stage.begun_by_a_dead_worker(job)
    stage.clock.move(seconds=LEASE_S)
    await stage.runner(kind).run(job.id)
    failed = await stage.store.get(job.id)
    assert (ran, failed.state) == ([], JobState.FAILED)
    assert failed.error is not None
    assert failed.error["type"] == "job-given-up"


async def test_an_attempt_that_has_lost_its_lease_is_fenced_off(stage: Stage) -> None:
    """A worker that stood still past its lease makes no effect and writes no outcome over its successor's."""
    effects: list[int] = []
    never = asyncio.Event()

    async def work(attempt: Attempt) -> dict[str, Any]:
        number = attempt.job.attempt
        if number == 1:
            with contextlib.suppress(asyncio.CancelledError):
                await never.wait()
        await attempt.fence()
        effects.append(number)
        return {"by": number}

    kind = Scripted("effect", work)
    job = await stage.desk(kind).post(kind, {})
    first = asyncio.create_task(stage.runner(kind, owner="slow").run(job.id))
    await stage.state(job, "running")
    stage.clock.move(seconds=LEASE_S)
    await stage.runner(kind, owner="quick").run(job.id)
    await first
    done = await stage.store.get(job.id)
    assert (effects, done.result, done.attempt) == ([2], {"by": 2}, 2)


async def test_two_workers_that_want_the_same_job_leave_its_turn_to_one(stage: Stage) -> None:
    """Where both have heard of a job, the one that begins it has the turn, and passes it on at the end."""
    kind = counting([])
    kind._key = "k"
    desk = stage.desk(kind)
    for number in range(5):
        job = await desk.post(kind, {"n": number})
        await asyncio.gather(*(stage.runner(kind, owner=name).run(job.id) for name in "abc"))
        assert (await stage.store.get(job.id)).state is JobState.SUCCEEDED
        assert await stage.storage.documents.get("job-turn", "k") is None


async def test_a_job_that_waits_is_cancelled_at_once(stage: Stage) -> None:
    """A queued job is cancelled before anybody runs it, and its leftovers are cleared away."""
    ran: list[int] = []
    kind = counting(ran)
    desk = stage.desk(kind)
    job = await desk.post(kind, {"n": 1})
    assert (await desk.cancel(job.id)).state is JobState.CANCELLED
    await stage.runner(kind).run(job.id)
    assert (ran, kind.cleared) == ([], [job.id])
    with pytest.raises(JobFinished, match="cancelled"):
        await desk.cancel(job.id)


async def test_a_job_that_runs_is_cancelled_by_its_worker(stage: Stage) -> None:
    """The worker hears of the cancellation within a beat, ends the work and writes the end."""
    kind, _ = waiting()
    desk = stage.desk(kind)
    async with stage.worker(kind):
        job = await desk.post(kind, {})
        await stage.state(job, "running")
        told = await desk.cancel(job.id)
        assert (told.state, told.cancelling) == (JobState.RUNNING, True)
        ended = await stage.finished(job)
    assert ended.state is JobState.CANCELLED
    assert kind.cleared == [job.id]


async def test_a_cancelled_job_of_a_dead_worker_is_not_begun_again(stage: Stage) -> None:
    """Where the worker died before it heard of the cancellation, the next one ends the job."""
    ran: list[int] = []
    kind = counting(ran)
    desk = stage.desk(kind)
    job = await stage.begun_by_a_dead_worker(await desk.post(kind, {"n": 1}))
    await desk.cancel(job.id)
    stage.clock.move(seconds=LEASE_S)
    async with stage.worker(kind):
        assert (await stage.finished(job)).state is JobState.CANCELLED
    assert ran == []


async def test_who_cancels_nothing_is_told(stage: Stage) -> None:
    """An id of no job is not found, whatever it looks like."""
    for id_ in ("", "x" * 500, stage.desk().next_id()):
        with pytest.raises(JobNotFound):
            await stage.desk().cancel(id_)


async def test_progress_is_seen_while_the_job_runs(stage: Stage) -> None:
    """What a job tells of its progress is stored with the next beat, and the lease goes on."""
    kind, event = waiting()
    async with stage.worker(kind):
        job = await stage.desk(kind).post(kind, {})

        async def halfway() -> Job | None:
            now = await stage.store.get(job.id)
            return now if now.progress == 0.5 else None

        running: Job = await until(halfway)
        assert running.state is JobState.RUNNING
        event.set()
        assert (await stage.finished(job)).progress == 1.0


async def test_a_lease_is_kept_for_as_long_as_the_work_takes(stage: Stage) -> None:
    """A job that takes longer than its lease stays with its worker."""
    kind, event = waiting()
    async with stage.worker(kind, lease_s=6.0):
        job = await stage.desk(kind).post(kind, {})
        first = await stage.state(job, "running")
        stage.clock.move(seconds=5.9)

        async def renewed() -> bool:
            now = await stage.store.get(job.id)
            assert now.lease is not None
            assert first.lease is not None
            return now.lease.expires > first.lease.expires

        await until(renewed)
        event.set()
        assert (await stage.finished(job)).attempt == 1


async def test_a_job_is_not_begun_after_its_deadline(stage: Stage) -> None:
    """A job that has waited past its time fails without being run."""
    ran: list[int] = []
    kind = counting(ran)
    job = await stage.desk(kind).post(kind, {"n": 1}, timeout_s=5)
    stage.clock.move(seconds=5)
    await stage.runner(kind).run(job.id)
    failed = await stage.store.get(job.id)
    assert (ran, failed.state) == ([], JobState.FAILED)
    assert failed.error is not None
    assert failed.error["type"] == "job-late"


async def test_a_job_is_ended_at_its_deadline(stage: Stage) -> None:
    """A job that runs past its time is ended and fails."""
    kind, _ = waiting(timeout_s=5)
    async with stage.worker(kind):
        job = await stage.desk(kind).post(kind, {})
        await stage.state(job, "running")
        stage.clock.move(seconds=5)
        failed = await stage.finished(job)
    assert failed.error is not None
    assert (failed.state, failed.error["type"]) == (JobState.FAILED, "job-late")


async def test_one_job_at_a_time_runs_for_a_key(stage: Stage) -> None:
    """Of jobs with the same exclusive key never two run together, on whichever worker."""
    together = most = 0

    async def work(attempt: Attempt) -> None:
        nonlocal together, most
        together += 1
        most = max(most, together)
        await asyncio.sleep(0.01)
        together -= 1

    kind = Scripted("alone", work, exclusive="the key")
    desk = stage.desk(kind)
    jobs = [await desk.post(kind, {}) for _ in range(5)]
    async with stage.worker(kind, owner="a"), stage.worker(kind, owner="b"):
        assert {(await stage.finished(job)).state for job in jobs} == {JobState.SUCCEEDED}
    assert most == 1


async def test_the_turn_of_a_dead_worker_passes_to_the_job_s_next_attempt(stage: Stage) -> None:
    """A job whose worker died while it had the turn of its key gets that turn again."""
    ran: list[int] = []
    kind = counting(ran)
    kind._key = "k"
    job = await stage.desk(kind).post(kind, {"n": 1})
    begun = await stage.begun_by_a_dead_worker(job)
    assert await stage.turns.take(begun, stage.clock.now() + timedelta(hours=1)) is not None
    stage.clock.move(seconds=LEASE_S)
    async with stage.worker(kind):
        assert (await stage.finished(job)).state is JobState.SUCCEEDED


async def test_a_worker_that_drains_puts_its_jobs_back(stage: Stage) -> None:
    """What is not done when a worker must end is queued again at once, and another one does it."""
    kind, event = waiting()
    async with stage.worker(kind, owner="a", drain_s=0.05):
        job = await stage.desk(kind).post(kind, {})
        await stage.state(job, "running")
    queued = await stage.store.get(job.id)
    assert (queued.state, queued.lease) == (JobState.QUEUED, None)
    event.set()
    async with stage.worker(kind, owner="b"):
        assert (await stage.finished(job)).attempt == 2


async def test_a_worker_that_drains_waits_for_what_is_nearly_done(stage: Stage) -> None:
    """A job that ends within the time to drain is not cut off."""
    kind, event = waiting()
    async with stage.worker(kind):
        job = await stage.desk(kind).post(kind, {})
        await stage.state(job, "running")
        asyncio.get_running_loop().call_later(0.05, event.set)
    assert (await stage.store.get(job.id)).state is JobState.SUCCEEDED


async def test_a_job_of_an_unknown_type_is_left_to_those_who_know_it(stage: Stage) -> None:
    """A worker of an older release leaves a job alone that a newer one has posted."""
    ran: list[int] = []
    kind = counting(ran)
    job = await stage.desk(kind).post(kind, {"n": 1})
    assert await stage.runner().run(job.id) is None
    assert (await stage.store.get(job.id)).attempt == 0
    await stage.runner(kind).run(job.id)
    assert ran == [1]


async def test_a_finished_job_is_kept_for_a_week(stage: Stage) -> None:
    """A finished job can be asked for until its time to live is over; an unfinished one always."""
    ran: list[int] = []
    kind = counting(ran)
    desk = stage.desk(kind)
    done, queued = await desk.post(kind, {"n": 1}), await desk.post(kind, {"n": 2})
    await stage.runner(kind).run(done.id)
    stage.clock.move(days=6)
    assert (await stage.store.get(done.id)).result == {"n": 1}
    stage.clock.move(days=1, seconds=1)
    assert await stage.store.find(done.id) is None
    assert await stage.store.find(queued.id) is not None


async def test_the_same_id_is_the_same_job(stage: Stage) -> None:
    """Posting twice under one id makes one job."""
    kind = counting([])
    desk = stage.desk(kind)
    first = await desk.post(kind, {"n": 1}, id=desk.next_id())
    assert (await desk.post(kind, {"n": 2}, id=first.id)).params == {"n": 1}


async def test_lists_are_newest_first_and_go_on(stage: Stage) -> None:
    """A list, filtered or not, comes in pages that leave nothing out and repeat nothing."""
    kinds = [counting([]), waiting("other")[0]]
    desk = stage.desk(*kinds)
    jobs = []
    for number in range(30):
        jobs.append(await desk.post(kinds[number % 2], {"n": number}))
        stage.clock.move(seconds=1)
    await desk.cancel(jobs[4].id)

    async def listed(**filters: Any) -> list[int]:
        found, after = [], ""
        while True:
            page = await stage.store.list(after=after, limit=7, **filters)
            found += [job.params["n"] for job in page.jobs]
            if page.after is None:
                return found
            after = page.after

    assert await listed() == list(range(29, -1, -1))
    assert await listed(type="count") == list(range(28, -1, -2))
    assert await listed(state=JobState.CANCELLED) == [4]
    assert await listed(state=JobState.QUEUED, type="count") == [n for n in range(28, -1, -2) if n != 4]


async def test_a_fence_asks_the_storage_where_the_lease_was_not_confirmed_for_long(stage: Stage) -> None:
    """An attempt whose job was cancelled meanwhile learns it from its fence."""
    kind = counting([])
    job = await stage.begun_by_a_dead_worker(await stage.desk(kind).post(kind, {"n": 1}))

    def tenure(confirmed_ago_s: float) -> Tenure:
        since = monotonic() - confirmed_ago_s
        return Tenure(stage.store, stage.turns, stage.clock, LEASE_S, job, since)

    await tenure(LEASE_S / 2).attempt.fence()
    await stage.desk(kind).cancel(job.id)
    await tenure(0).attempt.fence()
    unsure = tenure(LEASE_S / 2)
    with pytest.raises(LeaseLost):
        await unsure.attempt.fence()
    assert unsure.end is End.CANCELLED
