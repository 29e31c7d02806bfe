"""`aerolite copy`: what it takes, says and shows; tests/process kills it."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from containers import build_container
from service.adapters.clock import SystemClock
from service.adapters.sqlite import SqliteStorage
from service.cli.app import app
from service.cli.copy import CopyProgress
from service.cli.session import Session
from service.usecases.copying import Phase, Step
from tests.contract.steps import keyed, load


def call(*arguments: str) -> Result:
    """Run the command on real stores."""
    runner = CliRunner(env={"COLUMNS": "400", "NO_COLOR": "1"})
    return runner.invoke(app, ["copy", *arguments], obj=Session({}, build_container))


@pytest.fixture
def source(tmp_path: Path) -> str:
    """Give the URL of a database with a dataset."""

    async def fill() -> None:
        async with SqliteStorage(tmp_path / "source.db", clock=SystemClock()) as storage:
            await load(storage, keyed(range(5)), name="landings")

    asyncio.run(fill())
    return f"sqlite:///{tmp_path}/source.db"


def test_it_tells_each_dataset_and_its_digest(source: str, tmp_path: Path) -> None:
    """A line for each dataset and one for the documents; the second time all was there already."""
    target = tmp_path / "target"
    target.write_text(f"sqlite:///{tmp_path}/target.db\n")
    first, second = call(source, f"@{target}"), call(source, f"@{target}")
    assert (first.exit_code, second.exit_code) == (0, 0)
    lines = first.stdout.splitlines()
    assert lines[0].startswith("landings: 5 records copied, revision 1, sha256 ")
    assert lines[1] == "0 documents (keys, jobs, usage) are the same in both"
    assert second.stdout == first.stdout.replace("copied", "were there already")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nonsense", "A storage is named by a URL"),
        ("memory://", "memory:// is no storage that another process could have."),
        ("redis://:s3cret@", "redis://:***@ is no URL of a storage: it names no host"),
        ("http://user:s3cret@host", "STORAGE_URL"),
        ("@/none", "/none cannot be read: No such file or directory."),
    ],
)
def test_what_is_no_target_is_wrong_usage(source: str, target: str, said: str) -> None:
    """One sentence, status 2, and no password."""
    result = call(source, target)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "s3cret" not in result.output


def test_a_file_with_a_url_is_text(source: str, tmp_path: Path) -> None:
    """A file of bytes is refused in a sentence."""
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    result = call(source, f"@{tmp_path}/bytes")
    assert (result.exit_code, "it is no text" in result.stderr) == (2, True)


def test_a_source_that_is_not_there_is_not_made(source: str, tmp_path: Path) -> None:
    """A mistyped file is not copied as an empty one; nor is a store copied to itself."""
    result = call(f"sqlite:///{tmp_path}/none.db", source)
    assert (result.exit_code, f"There is no file {tmp_path}/none.db." in result.stderr) == (2, True)
    assert not (tmp_path / "none.db").exists()
    assert "Both are the same storage." in call(source, source).stderr


def test_a_store_that_is_away_is_told(source: str) -> None:
    """Status 1 and a sentence."""
    result = call(source, "redis+cluster://user:s3cret@127.0.0.1:1")
    assert result.exit_code == 1
    assert "127.0.0.1:1" in result.stderr
    assert "s3cret" not in result.output


def test_a_terminal_shows_a_bar_for_each_dataset() -> None:
    """Each bar says what is being done, and how many records of how many are."""
    screen = io.StringIO()
    with CopyProgress(Console(file=screen, force_terminal=True, width=100)) as progress:
        progress.watch(Step("a", Phase.COPYING, 3, 9))
        progress.watch(Step("a", Phase.VERIFYING, 9, 9))
        progress.watch(Step("b[red]", Phase.COPYING, 0, 4))
    shown = screen.getvalue()
    assert "a: verifying" in shown
    assert "9/9" in shown
    assert "b[red]: copying" in shown


def test_a_pipe_shows_no_bar() -> None:
    """A log is not filled with bars."""
    screen = io.StringIO()
    with CopyProgress(Console(file=screen)) as progress:
        progress.watch(Step("a", Phase.COPYING, 3, 9))
    assert screen.getvalue() == ""
