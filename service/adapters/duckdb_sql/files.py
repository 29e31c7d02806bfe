"""Which database files of datasets are kept: made once for all who wait, dropped when room is needed."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Self
from weakref import WeakValueDictionary

from service.adapters.scratch import Scratch
from service.domain.datasets import Dataset
from service.domain.errors import OutOfSpace
from service.ports.database import Table
from service.ports.engine import Engine
from service.ports.storage import Datasets


class SchemaMoved(Exception):
    """The dataset has other columns than the table was made for: ask for tables anew."""


@dataclass(eq=False, slots=True)
class File:
    """A file, what it shows, and who uses it."""

    path: Path
    dataset: Dataset
    view: object
    size_bytes: int
    users: int = 0
    used: int = 0

    @property
    def name(self) -> str:
        """Its name in the directory."""
        return self.path.name

    def shows(self, table: Table) -> bool:
        """Return whether it is of this revision or a newer one with the same columns, in this view."""
        mine, asked = self.dataset, table.dataset
        same = mine.name == asked.name and mine.schema.version == asked.schema.version
        return same and mine.revision >= asked.revision and self.view == table.view


class Files:
    """Database files in a directory of their own, at most `max_bytes`; `async with` makes and removes it."""

    def __init__(self, engine: Engine, datasets: Datasets, parent: Path | None, max_bytes: int) -> None:
        self._engine = engine
        self._datasets = datasets
        self._max_bytes = max_bytes
        self._scratch = Scratch("aerolite-sql-", parent)
        self._files: list[File] = []
        self._uses = count(1)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def __aenter__(self) -> Self:
        """Make the directory."""
        await self._scratch.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Remove it with all that is in it."""
        self._files = []
        await self._scratch.__aexit__(*exc)

    @property
    def directory(self) -> Path:
        """The directory, while it is there."""
        return self._scratch.path

    @asynccontextmanager
    async def held(self, table: Table) -> AsyncIterator[str]:
        """Hold the file of a table and give its name.

        Raises `SchemaMoved`, `OutOfSpace`, and what the engine and the storage raise.
        """
        file = self._found(table) or await self._made(table)
        file.users += 1
        file.used = next(self._uses)
        try:
            yield file.name
        finally:
            file.users -= 1
            self._drop_idle()

    def _found(self, table: Table) -> File | None:
        return next((file for file in self._files if file.shows(table)), None)

    async def _made(self, table: Table) -> File:
        lock = self._locks.setdefault(table.dataset.name, asyncio.Lock())
        async with lock:
            return self._found(table) or await self._make(table)

    async def _make(self, table: Table) -> File:
        name = table.dataset.name
        async with self._engine.snapshot(table.dataset, partial(self._datasets.snapshot, name)) as snapshot:
            dataset = snapshot.dataset
            if dataset.schema.version != table.dataset.schema.version:
                raise SchemaMoved
            written = await snapshot.database_file(table.view)
        path = self.directory / written.name
        try:
            await asyncio.to_thread(shutil.move, written, path)
            file = File(path, dataset, table.view, self._checked_size(path), used=next(self._uses))
        except BaseException:
            written.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            raise
        self._files.append(file)
        return file

    def _checked_size(self, path: Path) -> int:
        size_bytes = path.stat().st_size
        if size_bytes > self._max_bytes:
            raise OutOfSpace("The dataset is too large to be asked by SQL here.")
        return size_bytes

    def _drop_idle(self) -> None:
        """Remove files that a newer one stands for, and the least recently used ones until all fit.

        A child that has one open reads on: only the name goes.
        """
        for file in self._files:
            newer = any(
                other.dataset.name == file.dataset.name
                and other.view == file.view
                and other.dataset.revision > file.dataset.revision
                for other in self._files
            )
            if newer and not file.users:
                self._drop(file)
        for file in sorted(self._files, key=lambda file: file.used):
            if sum(each.size_bytes for each in self._files) <= self._max_bytes:
                return
            if not file.users:
                self._drop(file)

    def _drop(self, file: File) -> None:
        self._files = [each for each in self._files if each is not file]
        file.path.unlink(missing_ok=True)
