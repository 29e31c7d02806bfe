"""docs/contracts.md: every command on it does what it shows."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

from service.contracts.registry import Contract

from .serving import serving

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8")
END = "@@END@@"


def sessions() -> list[tuple[str, str]]:
    """Return the commands of the page, each with the output that it shows."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


async def test_its_commands_do_what_they_show(tmp_path: Path) -> None:
    """Run one after the other in one shell, each writes what the page says; `…` stands for anything."""
    checkout = tmp_path / "checkout"
    (checkout / "service" / "contracts").mkdir(parents=True)
    shutil.copytree(ROOT / "tests" / "goldens", checkout / "tests" / "goldens")
    shutil.copy(ROOT / "CHANGELOG.md", checkout)
    async with serving(tmp_path, ADMIN_KEY="admin-of-this-page") as server:
        address = server.url.removeprefix("http://")
        commands = [command.replace("localhost:8080", address) for command, _ in sessions()]
        script = "".join(f"{command}\necho '{END}'\n" for command in commands)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        shell = await asyncio.create_subprocess_exec(
            "bash", "-c", script,
            cwd=checkout, env={**os.environ, "PATH": path, "NO_COLOR": "1", "COLUMNS": "200"},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await shell.communicate()
    actual = output.decode().replace("\r\n", "\n").split(f"{END}\n")
    for (command, wanted), written in zip(sessions(), actual, strict=False):
        pattern = re.escape(wanted).replace("…", ".*")
        assert re.fullmatch(pattern, written), f"$ {command}\n{written}"
    assert len(sessions()) == len(actual) - 1 > 15


def test_its_example_of_an_end_can_be_written() -> None:
    """The Python on the page is a contract."""
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    names: dict[str, object] = {}
    exec("from datetime import *\nfrom service.contracts.registry import Contract\n" + example, names)
    contract = names["contract"]
    assert isinstance(contract, Contract)
    assert contract.sunset is not None
