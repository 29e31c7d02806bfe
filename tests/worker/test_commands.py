"""`aerolite jobs`, `aerolite worker` and `aerolite healthcheck --worker` as somebody at a terminal has them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
import urllib.request
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service.__main__ import _build
from service.cli.app import app
from service.cli.session import Session
from service.worker.heartbeat import Heartbeat, age_s, heartbeat_file
from tests.process.serving import serving
from tests.servers.ports import own_port
from tests.waiting import PATIENCE_S

from .stage import until


async def invoke(*words: str, **environment: str) -> Result:
    """Run a command line in a thread, as it runs an event loop of its own."""
    runner = CliRunner(env={"COLUMNS": "400", "NO_COLOR": "1"})
    return await asyncio.to_thread(runner.invoke, app, list(words), obj=Session(environment, _build))


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    """Give the URL of a server that runs jobs itself."""
    async with serving(tmp_path, SPOOL_DIR=str(tmp_path)) as server:
        yield server.url


@pytest.fixture
def port() -> Iterator[int]:
    """Give a free port."""
    with own_port() as free:
        yield free


async def test_a_job_is_run_and_watched_to_its_result(url: str) -> None:
    """`run` starts a job, waits, and writes its result; `watch` does the latter for any job."""
    result = await invoke("jobs", "run", "fibonacci", "index=9", "--url", url)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"index": 9, "digits": 2}
    id_ = result.stderr.strip()
    again = await invoke("jobs", "watch", id_, "--url", url)
    assert json.loads(again.stdout) == {"index": 9, "digits": 2}
    listed = await invoke("jobs", "list", "--type", "fibonacci", "--url", url)
    assert id_ in listed.stdout
    as_json = await invoke("jobs", "list", "--state", "succeeded", "--json", "--url", url)
    assert [job["id"] for job in json.loads(as_json.stdout)] == [id_]
    ended = await invoke("jobs", "cancel", id_, "--url", url)
    assert (ended.exit_code, "succeeded" in ended.output) == (1, True)


async def test_a_job_that_fails_fails_the_command(url: str) -> None:
    """What the API refuses or the job says ends the command with that sentence."""
    cases = [
        (("run", "fibonacci", "index=-1"), 1, "whole number"),
        (("run", "fibonacci", "index"), 2, "NAME=VALUE"),
        (("run", "export", "dataset=none"), 1, "none"),
        (("watch", "../x"), 1, "no id"),
        (("watch", "01a1f8ce-f9cb-7e9c-89c3-0d2005a251f7"), 1, "no job"),
        (("cancel", "01a1f8ce-f9cb-7e9c-89c3-0d2005a251f7"), 1, "no job"),
    ]
    for words, status, sentence in cases:
        result = await invoke("jobs", *words, "--url", url)
        assert result.exit_code == status, result.output
        assert sentence in result.output


async def test_a_job_is_started_and_left_alone(url: str) -> None:
    """`--no-wait` writes the id and ends."""
    result = await invoke("jobs", "run", "fibonacci", "index=900000", "--no-wait", "--url", url)
    assert result.exit_code == 0
    cancelled = await invoke("jobs", "cancel", result.stdout.strip(), "--url", url)
    assert (
        result.stdout.strip() in cancelled.output
        or "ended" in cancelled.output
        or "succeeded" in cancelled.output
    )


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"STORAGE_URL": "sqlite:///x.db"}, "aerolite serve"),
        ({"STORAGE_URL": "memory://"}, "aerolite serve"),
        ({"STORAGE_URL": "memory://", "QUEUE_URL": "redis://127.0.0.1:1"}, "no other process"),
        ({"QUEUE_URL": "nonsense"}, "QUEUE_URL"),
    ],
)
async def test_a_worker_refuses_what_it_could_not_share(environment: dict[str, str], sentence: str) -> None:
    """A queue or store that lives in another process is no place for a worker."""
    result = await invoke("worker", **environment)
    assert result.exit_code in {1, 2}
    assert sentence in result.output


async def test_a_worker_waits_for_its_stores_and_shows_that_it_lives(tmp_path: Path, port: int) -> None:
    """With no store to be reached a worker goes on waiting, beats, serves metrics, and ends on SIGTERM."""
    environment = {
        **os.environ,
        "STORAGE_URL": "redis://127.0.0.1:1",
        "DATABASE_URL": "postgresql://u:p@127.0.0.1:1/d",
        "SPOOL_DIR": str(tmp_path),
    }
    missing = await invoke("healthcheck", "--worker", SPOOL_DIR=str(tmp_path))
    assert (missing.exit_code, "heartbeat" in missing.output) == (1, True)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service", "worker", "--metrics-port", str(port)),
        env=environment,
        stderr=PIPE,
    )
    try:
        alive = partial(invoke, "healthcheck", "--worker", SPOOL_DIR=str(tmp_path))

        async def beats() -> bool:
            assert process.returncode is None
            return (await alive()).exit_code == 0

        await until(beats)
        metrics = await asyncio.to_thread(_read, f"http://127.0.0.1:{port}/metrics")
        assert "aerolite_jobs_running 0.0" in metrics
        process.send_signal(signal.SIGTERM)
        _, log = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode == 0, log
    assert b"127.0.0.1:1" in log


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        text: str = answer.read().decode()
    return text


async def test_an_old_heartbeat_is_that_of_a_dead_worker(tmp_path: Path) -> None:
    """A heartbeat that is older than half a minute fails the probe."""
    file = heartbeat_file(tmp_path)
    file.touch()
    os.utime(file, (time.time() - 3600, time.time() - 3600))
    result = await invoke("healthcheck", "--worker", SPOOL_DIR=str(tmp_path))
    assert result.exit_code == 1
    assert re.search(r"36\d\d s old", result.output)


async def test_a_heartbeat_follows_no_link(tmp_path: Path) -> None:
    """Where somebody has laid out a link in place of the file, its target is not touched."""
    target, file = tmp_path / "target", heartbeat_file(tmp_path)
    target.touch()
    os.utime(target, (1, 1))
    file.symlink_to(target)
    async with Heartbeat(file):
        await asyncio.sleep(0)
    assert target.stat().st_mtime == 1


async def test_a_heartbeat_beats_at_once(tmp_path: Path) -> None:
    """The file is there as soon as the loop turns."""
    file = heartbeat_file(tmp_path)
    async with Heartbeat(file):

        async def there() -> bool:
            return age_s(file) is not None

        assert await until(there)
