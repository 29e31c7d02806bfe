"""Which database files of datasets are kept: made once for all who wait, dropped when room is needed."""

from __future__ import annotations

import asyncio
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


_LAST_SHARE = 8
"""What was appended is a file of its own, until it is an eighth of all: then one file takes it all in."""


@dataclass(eq=False, slots=True)
class File:
    """What shows a revision: a file, perhaps with a second one behind it of what was appended since."""

    parts: tuple[Path, ...]
    first_end: int
    dataset: Dataset
    view: object
    users: int = 0
    used: int = 0

    def shows(self, table: Table) -> bool:
        """Return whether it is of this revision or a newer one with the same columns, in this view."""
        mine, asked = self.dataset, table.dataset
        same = mine.name == asked.name and mine.schema.version == asked.schema.version
        return same and mine.revision >= asked.revision and self.view == table.view

    def begins(self, dataset: Dataset, view: object) -> bool:
        """Return whether a revision is what the first file has, and little more behind it."""
        mine = self.dataset
        same = (mine.name, mine.generation, mine.edits, mine.schema.version, self.view) == (
            *(dataset.name, dataset.generation, dataset.edits, dataset.schema.version),
            view,
        )
        return same and 0 <= dataset.next_position - self.first_end <= self.first_end // _LAST_SHARE


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
    async def held(self, table: Table) -> AsyncIterator[tuple[str, ...]]:
        """Hold the files of a table, one behind the other, and give their names.

        Raises `SchemaMoved`, `OutOfSpace`, and what the engine and the storage raise.
        """
        file = self._found(table) or await self._made(table)
        file.users += 1
        file.used = next(self._uses)
        try:
            yield tuple(part.name for part in file.parts)
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
            first = next((file for file in self._files if file.begins(dataset, table.view)), None)
            if first is not None:
                first.users += 1
            try:
                written = await snapshot.database_file(table.view, 0 if first is None else first.first_end)
                path = self._taken(written)
            finally:
                if first is not None:
                    first.users -= 1
        if first is None:
            file = File((path,), dataset.next_position, dataset, table.view, used=next(self._uses))
        else:
            parts = (first.parts[0], path)
            file = File(parts, first.first_end, dataset, table.view, used=next(self._uses))
        self._files.append(file)
        return file

    def _taken(self, written: Path) -> Path:
        """Move a file that the engine has written, beside us, into the directory. Raises `OutOfSpace`."""
        if written.stat().st_size > self._max_bytes:
            written.unlink()
            raise OutOfSpace("The dataset is too large to be asked by SQL here.")
        return written.rename(self.directory / written.name)

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
            if self._size_bytes() <= self._max_bytes:
                return
            if not file.users:
                self._drop(file)

    def _size_bytes(self) -> int:
        return sum(part.stat().st_size for part in {part for file in self._files for part in file.parts})

    def _drop(self, file: File) -> None:
        self._files = [each for each in self._files if each is not file]
        kept = {part for each in self._files for part in each.parts}
        for part in file.parts:
            if part not in kept:
                part.unlink(missing_ok=True)
