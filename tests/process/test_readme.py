"""Every command of the README does what the README says."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from .serving import Serving, serving

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()

BLOCKS = re.findall(r"```(sh|console)\n(.*?)```", README, re.DOTALL)
CONSOLES = [text for kind, text in BLOCKS if kind == "console"]
COMMANDS = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines() if line.strip()]
MADE = [line for line in COMMANDS if line.startswith("make ")]
CONTAINED = [line for line in COMMANDS if line.startswith(("docker", "kubectl", "aerolite deploy"))]
RUN = [line for line in COMMANDS if line not in MADE and line not in CONTAINED]


async def shell(command: str, server: Serving, directory: Path) -> str:
    """Run a command as a newcomer would, with the server's address in the place of the README's."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "STORAGE_URL": f"sqlite:///{directory}/aerolite.db",
    }
    process = await asyncio.create_subprocess_shell(
        command.replace("localhost:8080", server.url.removeprefix("http://")),
        cwd=directory,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()


@pytest.mark.parametrize("console", CONSOLES)
async def test_what_is_shown_is_what_one_sees(console: str, tmp_path: Path) -> None:
    """Each command of a console prints the lines below it; `…` stands for anything."""
    async with serving(tmp_path) as server:
        for step in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
            command, _, shown = step.partition("\n")
            pattern = re.escape(shown.strip()).replace("…", ".*")
            printed = await shell(command, server, tmp_path)
            assert re.fullmatch(pattern, printed.strip(), re.DOTALL), printed


@pytest.mark.parametrize("command", RUN)
async def test_a_command_works(command: str, tmp_path: Path) -> None:
    """Each command ends well, beside a running server and with a file to load."""
    async with serving(tmp_path) as server:
        await shell("aerolite sample > landings.csv", server, tmp_path)
        await shell(command, server, tmp_path)


def test_the_targets_exist() -> None:
    """What is to be made is in the Makefile; the tests of the targets are the targets."""
    makefile = (ROOT / "Makefile").read_text()
    assert {line.split()[1] for line in MADE} >= {"run", "test"}
    for line in MADE:
        assert re.search(rf"^{line.split()[1]}:", makefile, re.MULTILINE), line
