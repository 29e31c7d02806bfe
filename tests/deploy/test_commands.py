"""The commands, as a shell calls them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from service.deploy.commands import deploy_command, rollout_app
from tests.waiting import patience

from . import overlays as made
from .conftest import Bench
from .kube_api import KubeApi

ROOT = Path(__file__).parents[2]

app = typer.Typer()
app.command("deploy")(deploy_command)
app.add_typer(rollout_app)


async def run(bench: Bench | None, *arguments: str) -> Result:
    """Run a command in a thread of its own, as it makes an event loop of its own."""
    environment = {"KUBECONFIG": str(bench.kubeconfig) if bench else "/nowhere/kubeconfig"}
    runner = CliRunner(env=environment)
    return await asyncio.to_thread(runner.invoke, app, list(arguments))


def deploy(bench: Bench, *arguments: str) -> list[str]:
    """Return the words of a deploy of the overlay `small`."""
    return ["deploy", "small", "--manifests", str(bench.overlays.directory), *arguments]


async def test_a_deploy_that_works_exits_with_0(bench: Bench) -> None:
    """Each step and each Deployment's progress is a line."""
    result = await run(bench, *deploy(bench, "--image", "aerolite:5", "--timeout", "120"))

    assert result.exit_code == 0, result.output
    assert "Deployment/aerolite: rolled out" in result.stdout
    assert "GET /data under 2023-04-01: 200" in result.stdout
    assert bench.running() == {"aerolite:5"}


async def test_a_deploy_that_fails_exits_with_1(bench: Bench) -> None:
    """The cause stands in one line of the error output."""
    await run(bench, *deploy(bench))

    result = await run(bench, *deploy(bench, "--image", "aerolite:crashes"))

    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("aerolite: Deployment/aerolite: CrashLoopBackOff of container aerolite")
    assert line.endswith("what ran before was put back")
    assert bench.running() == {"aerolite:1"}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["deploy", "other"], "unknown overlay 'other'; there are small"),
        (["deploy", "small", "--image", "!"], "--image '!' is no image"),
        (["deploy", "small", "--context", "other"], "Expected object with name other"),
        (["deploy", "small", "--kubeconfig", "/nowhere"], "there is no kubeconfig at /nowhere"),
    ],
)
async def test_a_command_that_cannot_work_exits_with_2(
    bench: Bench, arguments: list[str], complaint: str
) -> None:
    """Wrong usage and wrong configuration are one sentence, and nothing is applied."""
    result = await run(bench, *arguments, "--manifests", str(bench.overlays.directory))

    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("aerolite: ")
    assert complaint in line
    assert not bench.api.changes


async def test_without_a_kubeconfig(bench: Bench) -> None:
    """The variable KUBECONFIG is read, and named where its file is missing."""
    result = await run(None, "rollout", "status")

    assert result.exit_code == 2
    assert "there is no kubeconfig at /nowhere/kubeconfig: set KUBECONFIG" in result.stderr


async def test_a_dry_run_prints_the_difference(bench: Bench) -> None:
    """Standard output holds the diff, and the cluster is untouched."""
    result = await run(bench, *deploy(bench, "--dry-run"))

    assert result.exit_code == 0, result.output
    assert "+++ next/Deployment/aerolite" in result.stdout
    assert not bench.api.store.objects


async def test_the_rollout_commands(bench: Bench) -> None:
    """Status, undo and restart have the service as what they speak of."""
    await run(bench, *deploy(bench))
    await run(bench, *deploy(bench, "--image", "aerolite:2", "--no-wait"))

    assert "Deployment/aerolite: rolled out" in (await run(bench, "rollout", "status")).stdout
    assert (await run(bench, "rollout", "undo")).exit_code == 0
    assert bench.running() == {"aerolite:1"}
    assert (await run(bench, "rollout", "undo", "--to-revision", "2")).exit_code == 0
    assert bench.running() == {"aerolite:2"}
    assert (await run(bench, "rollout", "restart", "deployment/aerolite")).exit_code == 0
    assert (await run(bench, "rollout", "restart", "nothing")).exit_code == 2


async def test_an_interrupted_deploy_says_what_it_leaves(bench: Bench) -> None:
    """Ctrl-C ends with a shell's exit code and the way to look on."""
    bench.overlays.write(made.namespace(), made.deployment("aerolite:hangs"), made.service())
    program = "from tests.deploy.test_commands import app; app()"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        *deploy(bench),
        cwd=ROOT,
        env={**os.environ, "KUBECONFIG": str(bench.kubeconfig)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with patience():
        while b"1 of 3 replicas" not in await process.stdout.readline():
            pass
    process.send_signal(signal.SIGINT)
    _, errors = await process.communicate()

    assert process.returncode == 130
    assert errors.decode() == (
        "aerolite: interrupted: what was applied stays and goes on without you;"
        " see aerolite rollout status, or undo\n"
    )
    assert bench.image() == "aerolite:hangs"


def test_the_commands_cost_no_kubernetes_client() -> None:
    """Mounting the commands imports neither the client nor YAML."""
    program = (
        "import sys, service.deploy.commands;"
        "print([name for name in ('kubernetes', 'yaml', 'aiohttp') if name in sys.modules])"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert ended.stdout == "[]\n"


@pytest.mark.parametrize("missing", ["kubernetes", "yaml", "rich"])
def test_a_missing_extra_is_one_sentence(tmp_path: Path, missing: str) -> None:
    """Without the extra, the command says how to install it; any other missing package is a defect."""
    (tmp_path / f"{missing}.py").write_text(
        f"raise ModuleNotFoundError('No module named {missing}', name={missing!r})", encoding="utf-8"
    )
    program = (
        f"import sys, service.deploy.commands as commands; sys.path.insert(0, {str(tmp_path)!r});"
        "[sys.modules.pop(name) for name in list(sys.modules) if name.partition('.')[0] == 'rich'];"
        "commands.status_command()"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )

    sentence = "aerolite: the cluster's client is not installed: pip install 'aerolite[deploy]'"
    assert (sentence in ended.stderr) == (missing != "rich")
    assert ended.returncode != 0


async def test_a_namespace_without_rights_exits_with_2(bench: Bench, api: KubeApi) -> None:
    """What RBAC refuses is one sentence, and nothing is half-applied."""
    api.denied.add(("watch", "pods"))

    result = await run(bench, *deploy(bench))

    assert result.exit_code == 2
    assert result.stderr == ("aerolite: the user of stand-in may not watch pods in the namespace aerolite\n")
    assert not api.store.objects
