"""The command line as a whole: what it lists, what it imports, what it says when misused."""

from __future__ import annotations

import subprocess
import sys

import pytest

from service.cli.app import Commands
from service.cli.lazy import LazyCommand
from service.cli.version import version_of
from tests.unit.cli.conftest import Invoke


@pytest.mark.parametrize("command", Commands.lazy_commands, ids=lambda command: command.name)
def test_a_command_is_what_its_line_says(command: LazyCommand, invoke: Invoke) -> None:
    """Each command can be imported, begins its help with the sentence of the list, and takes --help."""
    assert command.load().help.splitlines()[0] == command.help
    result = invoke(str(command.name), "--help")
    assert result.exit_code == 0
    assert command.help is not None
    assert command.help in result.output


def test_help_lists_every_command(invoke: Invoke) -> None:
    """`aerolite --help` names each command with its sentence."""
    result = invoke("--help")
    assert result.exit_code == 0
    for command in Commands.lazy_commands:
        assert f"{command.name} " in result.output
        assert str(command.help) in result.output


def test_help_imports_no_command() -> None:
    """`aerolite --help` is quick because it imports neither a command nor the service."""
    code = (
        "import sys; from service.__main__ import main; sys.argv = ['aerolite', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = set(output.splitlines()[-1].split())
    assert "service.cli.app" in loaded
    assert not loaded & {
        "containers",
        "dependency_injector",
        "aiohttp",
        "duckdb",
        "uvloop",
        "service.cli.load",
    }


def test_no_command_shows_the_help(invoke: Invoke) -> None:
    """`aerolite` alone tells what there is."""
    result = invoke()
    assert result.exit_code == 2
    assert "Commands" in result.output


def test_a_mistyped_command_gets_a_suggestion(invoke: Invoke) -> None:
    """An unknown command is refused, and the one that was meant is named."""
    result = invoke("sampel")
    assert result.exit_code == 2
    assert "Did you mean 'sample'?" in result.output


def test_the_version_is_told(invoke: Invoke) -> None:
    """`--version` needs no command."""
    result = invoke("--version")
    assert result.exit_code == 0
    assert result.output.startswith("aerolite")


def test_a_checkout_has_no_version() -> None:
    """What was never installed is told apart from a release."""
    assert version_of("no-such-distribution") == "no-such-distribution, not installed but run from a checkout"


def test_the_module_runs_as_the_command() -> None:
    """`python -m service` is `aerolite`."""
    command = [sys.executable, "-m", "service", "sample", "--rows", "1"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output.startswith("name,id,")
