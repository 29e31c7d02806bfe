"""The commands of `aerolite`, one line each."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.lazy import LazyCommand, LazyGroup
from service.cli.version import version_of


class Commands(LazyGroup):
    """Everything that `aerolite` can do, in the order of `--help`."""

    lazy_commands = (
        LazyCommand("serve", "service.cli.serve:serve", "Serve the API until told to stop."),
        LazyCommand("worker", "service.cli.worker:worker", "Run jobs until told to stop."),
        LazyCommand("jobs", "service.cli.jobs:jobs", "List, start, watch and cancel jobs."),
        LazyCommand("load", "service.cli.load:load", "Make datasets of files."),
        LazyCommand(
            "query",
            "service.cli.query:query",
            "Run an SQL statement and print its rows, or OK where it has none.",
        ),
        LazyCommand("copy", "service.cli.copy:copy", "Copy everything from one storage to another."),
        LazyCommand("change", "service.cli.change:change", "Change a dataset's columns from a day on."),
        LazyCommand("sample", "service.cli.sample:write_sample", "Write a sample file to standard output."),
        LazyCommand("keys", "service.cli.keys:keys", "Make, list and revoke API keys, and set their pins."),
        LazyCommand(
            "versions",
            "service.cli.versions:versions",
            "List, scaffold, check and lock contracts, and see who uses them.",
        ),
        LazyCommand(
            "healthcheck",
            "service.cli.healthcheck:healthcheck",
            "Ask the server on this machine if it lives.",
        ),
        LazyCommand(
            "deploy",
            "service.deploy.commands:deploy_command",
            "Bring an overlay to a Kubernetes cluster, or leave the cluster as it was.",
        ),
        LazyCommand(
            "rollout",
            "service.deploy.commands:rollout_app",
            "Look at rollouts, undo one, restart pods.",
        ),
    )


app = typer.Typer(
    cls=Commands,
    help="Put a dataset behind an HTTP API that never breaks its clients.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    # Typer's own tracebacks show local variables, and with them passwords.
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version_of("aerolite"))
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Put a dataset behind an HTTP API that never breaks its clients."""
