"""What a confined process cannot do, whatever code runs in it: each layer by itself."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

_CONFINED = """
import os, socket, sys
from pathlib import Path
from service.adapters.duckdb_child.confinement import confine
confine(Path(sys.argv[1]), 256 << 20)
try:
    {code}
except BaseException as error:
    print(type(error).__name__)
else:
    print("done")
"""

CANNOT = {
    "read a file": "open('/etc/passwd').read()",
    "list a directory": "os.listdir('/')",
    "read the service's environment": "open(f'/proc/{os.getppid()}/environ').read()",
    "write into its directory": "open(sys.argv[1] + '/x', 'w').write('x')",
    "write a file that is there": "open(sys.argv[1] + '/there', 'r+').write('y')",
    "remove a file": "os.unlink(sys.argv[1] + '/there')",
    "connect": "socket.create_connection(('127.0.0.1', int(sys.argv[2])), 2)",
    "take memory": "bytearray(300 << 20)",
    "run a program": "os.execv('/bin/true', ['true'])",
}


async def confined(code: str, *arguments: str) -> str:
    """Run code in a confined process and return what it says."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _CONFINED.format(code=code), *arguments),
        stdout=asyncio.subprocess.PIPE,
        # As the reader starts its children: with no more, and so without what would measure coverage, whose
        # file would stay empty.
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    said, _ = await child.communicate()
    return said.decode().strip()


@pytest.mark.parametrize("code", CANNOT.values(), ids=CANNOT)
async def test_a_confined_process_cannot(tmp_path: Path, code: str) -> None:
    """The system refuses it, not DuckDB."""
    (tmp_path / "there").write_text("x")
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        said = await confined(code, str(tmp_path), str(server.sockets[0].getsockname()[1]))
    assert said in {"PermissionError", "MemoryError", "OSError"}
    assert (tmp_path / "there").read_text() == "x"


async def test_a_confined_process_reads_its_directory(tmp_path: Path) -> None:
    """That is what it is for."""
    (tmp_path / "there").write_text("x")
    assert await confined("assert open(sys.argv[1] + '/there').read() == 'x'", str(tmp_path)) == "done"
