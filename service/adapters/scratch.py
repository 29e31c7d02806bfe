"""Temporary files and directories that somebody removes, even where their process was killed.

Who makes one holds a lock on it (`flock`), which ends with the process however that ends. What nobody holds
is swept by the next process that makes some of the same kind.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Self


class Scratch:
    """A directory of this process, inside `parent` (None: the system's for temporary files).

    `async with` sweeps those that dead processes have left, makes it, and removes it with all that is in it.
    """

    def __init__(self, prefix: str, parent: Path | None = None) -> None:
        self._prefix = prefix
        self._parent = parent
        self._made: tuple[int, Path] | None = None

    async def __aenter__(self) -> Self:
        """Make it."""
        await asyncio.to_thread(self._make)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Remove it, if it was made."""
        made, self._made = self._made, None
        if made is not None:
            descriptor, path = made
            await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
            os.close(descriptor)

    @property
    def path(self) -> Path:
        """Where it is. Raises `FileNotFoundError` while it is not made."""
        if self._made is None:
            raise FileNotFoundError("The directory is not there: it was not entered, or was left.")
        return self._made[1]

    def _make(self) -> None:
        sweep(self._prefix, self._parent)
        self._made = make_directory(self._prefix, self._parent)


def make_directory(prefix: str, parent: Path | None = None) -> tuple[int, Path]:
    """Make a directory; return a descriptor, which holds it while it is open, and its path. Blocks."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        with suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY)
            if held(path, descriptor):
                return descriptor, path
            os.close(descriptor)


def make_file(prefix: str, parent: Path | None = None) -> tuple[int, Path]:
    """Make a file; return its descriptor, which holds it while it is open, and its path. Blocks."""
    while True:
        descriptor, name = tempfile.mkstemp(prefix=prefix, dir=parent)
        path = Path(name)
        if held(path, descriptor):
            return descriptor, path
        os.close(descriptor)


def held(path: Path, descriptor: int) -> bool:
    """Lock what was just made; tell whether it is there still, or was swept before it was locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False  # about to be removed
    except OSError:
        return True  # a file system without locks: then nothing is swept there, either
    return path.exists()


def sweep(prefix: str, parent: Path | None = None) -> list[Path]:
    """Remove files and directories whose names begin so and that nobody holds; return which. Blocks."""
    removed = []
    for path in (parent or Path(tempfile.gettempdir())).glob(f"{prefix}*"):
        with suppress(OSError):  # gone meanwhile, held, or not ours to remove: then it stays
            if stat.S_IFMT(path.lstat().st_mode) in {stat.S_IFDIR, stat.S_IFREG}:
                _remove(path)
                removed.append(path)
    return removed


def _remove(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    finally:
        os.close(descriptor)
