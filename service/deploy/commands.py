"""`aerolite deploy` and `aerolite rollout`, for the command line to mount.

Importing this module costs typer only; the Kubernetes client comes when a command runs.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from service.deploy.errors import DeployError
from service.deploy.options import (
    DEFAULT_TIMEOUT_S,
    SERVICE_NAME,
    DeployOptions,
    RolloutOptions,
    Target,
)

INTERRUPTED = 130
"""The exit code of a shell for what ended by Ctrl-C: 128 + SIGINT."""

Namespace = Annotated[str, typer.Option(help="The namespace to work in.")]
Context = Annotated[str | None, typer.Option(help="The kubeconfig's context [default: its current one].")]
Kubeconfig = Annotated[str | None, typer.Option(envvar="KUBECONFIG", help="[default: ~/.kube/config]")]
Wait = Annotated[bool, typer.Option(help="Wait until the rollout is done.")]
Timeout = Annotated[float, typer.Option(min=1, help="Seconds for the rollout to be done.")]
Workload = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="NAME, deployment/NAME or statefulset/NAME."),
]

rollout_app = typer.Typer(
    name="rollout",
    help="Look at rollouts, undo one, restart pods.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def deploy_command(  # noqa: PLR0913, PLR0917 — typer makes an option of each parameter
    overlay: Annotated[str, typer.Argument(help="A directory of manifests/overlays.")],
    image: Annotated[
        list[str] | None,
        typer.Option(help="REFERENCE of the service's image, or NAME=REFERENCE; repeatable."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change; change nothing.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Wait for the rollout, test it, put back what failed.")] = True,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    context: Context = None,
    namespace: Namespace = SERVICE_NAME,
    kubeconfig: Kubeconfig = None,
    manifests: Annotated[Path, typer.Option(help="Where overlays/ is.")] = Path("manifests"),
) -> None:
    """Bring an overlay to a Kubernetes cluster, or leave the cluster as it was.

    Exit codes: 0 done; 1 the rollout failed and what ran before was put back; 2 the command
    cannot work as it was given, and nothing was applied.
    """
    options = DeployOptions(
        overlay=overlay,
        target=Target(namespace=namespace, context=context, kubeconfig=kubeconfig),
        images=tuple(image or ()),
        dry_run=dry_run,
        wait=wait,
        timeout_s=timeout,
        manifests=manifests,
    )
    _run("service.deploy.run", lambda run, progress: run.deploy(options, progress))


@rollout_app.command("status")
def status_command(
    name: Workload = None,
    wait: Wait = True,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    context: Context = None,
    namespace: Namespace = SERVICE_NAME,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show how far the rollout of NAME is [default: of everything], and wait for its end."""
    target = Target(namespace=namespace, context=context, kubeconfig=kubeconfig)
    options = RolloutOptions(target, name, wait, timeout)
    _run("service.deploy.rollouts", lambda run, progress: run.rollout_status(options, progress))


@rollout_app.command("undo")
def undo_command(
    name: Workload = SERVICE_NAME,
    to_revision: Annotated[
        int | None, typer.Option(min=1, help="A revision's number [default: the one before].")
    ] = None,
    wait: Wait = True,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    context: Context = None,
    namespace: Namespace = SERVICE_NAME,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Give NAME its previous pod template; configuration, services and the rest stay."""
    target = Target(namespace=namespace, context=context, kubeconfig=kubeconfig)
    options = RolloutOptions(target, name, wait, timeout)
    _run(
        "service.deploy.rollouts",
        lambda run, progress: run.rollout_undo(options, to_revision, progress),
    )


@rollout_app.command("restart")
def restart_command(
    name: Workload = SERVICE_NAME,
    wait: Wait = True,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    context: Context = None,
    namespace: Namespace = SERVICE_NAME,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Replace the pods of NAME one after the other, without another change."""
    target = Target(namespace=namespace, context=context, kubeconfig=kubeconfig)
    options = RolloutOptions(target, name, wait, timeout)
    _run("service.deploy.rollouts", lambda run, progress: run.rollout_restart(options, progress))


def _run(module: str, action: Callable[[ModuleType, Any], Coroutine[Any, Any, None]]) -> None:
    try:
        run = importlib.import_module(module)
        progress = importlib.import_module("service.deploy.progress")
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in ("kubernetes", "yaml"):
            raise
        _end("the cluster's client is not installed: pip install 'aerolite[deploy]'", 2)
    try:
        asyncio.run(action(run, progress.ConsoleProgress(Console())))
    except DeployError as error:
        _end(str(error), error.exit_code)
    except KeyboardInterrupt:
        _end(
            "interrupted: what was applied stays and goes on without you;"
            " see aerolite rollout status, or undo",
            INTERRUPTED,
        )


def _end(sentence: str, code: int) -> NoReturn:
    typer.echo(f"aerolite: {sentence}", err=True)
    raise typer.Exit(code)
