"""What loads have parsed, until a question wants it in columns: a little in memory, the rest in files.

DuckDB takes lines for about half of what the same records cost that are read back from a store and handed
over one by one (docs/performance.md). A small load is held as it is, so it takes no longer for this.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import FileIO
from itertools import count
from pathlib import Path

from service.domain.datasets import Dataset
from service.domain.records import Batch
from service.ports.storage import Commit

PART_BYTES = 64 << 20
"""A part is removed once it is in the columns: it and they together need little more room than they alone."""

MAX_LINE_BYTES = 1 << 20
"""Longer records are better handed over one by one than by buffers that hold several of them."""

HELD_BYTES = 16 << 20
"""Of one load in memory."""

_OBJECT_BYTES = 48
"""What a record takes in memory beside its bytes: the head of an object, and its place in a list."""

KEPT_BYTES = 32 << 20
"""Of all loads that are over in memory; what does not fit is written to files, the oldest first."""

DELIMITER = "\x01"
"""What could end a field: JSON never has it, for it escapes control characters."""

LINE_ENDS, STANDING_FOR_THEM = "\n\r", "\x02\x03"
_FOLD = bytes.maketrans(LINE_ENDS.encode(), STANDING_FOR_THEM.encode())


@dataclass(frozen=True, slots=True)
class Part:
    """A file with a record in each line; `first` is the position of the first, the others follow.

    Where it is `folded`, `STANDING_FOR_THEM` are for `LINE_ENDS`, which JSON may have between its tokens.
    """

    path: Path
    size_bytes: int
    first: int
    folded: bool


class Parse:
    """The records of one load: taken down by the thread that parses, read once by the engine.

    What does not fit into `room_bytes()` of files, or cannot be written, is given up; the load goes on.
    """

    def __init__(
        self,
        stem: Path | None,
        room_bytes: Callable[[], int],
        *,
        held_bytes: int = HELD_BYTES,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self.dataset: Dataset | None = None
        self.held_bytes = 0
        self.size_bytes = 0
        self.parts: list[Part] = []
        self._stem = stem
        self._room_bytes = room_bytes
        self._most_held_bytes = held_bytes
        self._part_bytes = part_bytes
        self._count = 0
        self._held: list[Sequence[bytes]] = []
        self._written = 0
        self._file: FileIO | None = None
        self._file_bytes = 0
        self._folded = False
        self._lock = threading.Lock()

    def of(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield batches, each taken down before it is used. Blocks."""
        for batch in batches:
            with self._lock:
                self._hold(batch.records)
            yield batch

    def keep(self, commit: Commit) -> None:
        """Be told of the load's commit. What was taken down is of use only if it is all that there is."""
        dataset = commit.dataset
        if self._stem is not None and self._count == dataset.count == dataset.next_position:
            self.dataset = dataset

    def write(self) -> None:
        """Write what is held to the files, and end the last of them. Blocks."""
        with self._lock:
            self._write_held()
            self._end_part()

    def remove(self, part: Part) -> None:
        """Remove a file that is not needed any more. Blocks."""
        part.path.unlink(missing_ok=True)
        self.size_bytes -= part.size_bytes

    def discard(self) -> None:
        """Remove all there is, and take down no more. Blocks."""
        with self._lock:
            self._give_up()

    def _hold(self, records: Sequence[bytes]) -> None:
        if self._stem is None:
            return
        self._held.append(records)
        self._count += len(records)
        self.held_bytes += sum(map(len, records)) + _OBJECT_BYTES * len(records)
        if self.held_bytes > self._most_held_bytes:
            self._write_held()

    def _write_held(self) -> None:
        held, self._held, self.held_bytes = self._held, [], 0
        try:
            for records in held:
                if self._stem is not None and records:
                    self._write(self._stem, records)
        except OSError:
            self._give_up()

    def _write(self, stem: Path, records: Sequence[bytes]) -> None:
        lines = b"\n".join([*records, b""])
        if max(map(len, records)) > MAX_LINE_BYTES or len(lines) > self._room_bytes():
            self._give_up()
            return
        if lines.count(b"\n") != len(records) or b"\r" in lines:
            lines = b"\n".join([*(record.translate(_FOLD) for record in records), b""])
            self._folded = True
        if self._file is None:
            self._first = self._written
            self._file = FileIO(f"{stem}-{len(self.parts)}", "x")
        if self._file.write(lines) != len(lines):
            raise OSError("The disk is full.")
        self._written += len(records)
        self._file_bytes += len(lines)
        self.size_bytes += len(lines)
        if self._file_bytes >= self._part_bytes:
            self._end_part()

    def _end_part(self) -> None:
        if self._file is not None:
            self._file.close()
            self.parts.append(Part(Path(str(self._file.name)), self._file_bytes, self._first, self._folded))
            self._file, self._file_bytes, self._folded = None, 0, False

    def _give_up(self) -> None:
        self._end_part()
        for part in self.parts:
            part.path.unlink(missing_ok=True)
        self._stem, self.dataset, self._held, self.held_bytes, self.size_bytes = None, None, [], 0, 0


class Parses:
    """Those of loads that are under way, and the last one of each dataset."""

    def __init__(self) -> None:
        self._under_way: list[Parse] = []
        self._kept: dict[str, Parse] = {}
        self._numbers = count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Discard all, also of loads that go on, and wait until nothing is written or removed any more."""
        for parse in [*self._under_way, *self._kept.values()]:
            self._in_thread(parse.discard)
        self._kept.clear()
        await asyncio.gather(*self._tasks)

    @property
    def size_bytes(self) -> int:
        """What all their files take."""
        return sum(parse.size_bytes for parse in [*self._under_way, *self._kept.values()])

    def __contains__(self, name: object) -> bool:
        return name in self._kept

    @asynccontextmanager
    async def begin(self, directory: Path | None, room_bytes: Callable[[], int]) -> AsyncIterator[Parse]:
        """Lend a parse to a load; it is kept where that was committed.

        Without a directory nothing is taken down.
        """
        stem = None if directory is None else directory / f"parse{next(self._numbers)}"
        parse = Parse(stem, room_bytes)
        self._under_way.append(parse)
        try:
            yield parse
        finally:
            self._under_way.remove(parse)
            self._keep(parse)

    @asynccontextmanager
    async def take(self, name: str) -> AsyncIterator[Parse | None]:
        """Lend what is kept of a dataset, for the last time."""
        parse = self._kept.pop(name, None)
        if parse is None:
            yield None
            return
        self._under_way.append(parse)
        try:
            yield parse
        finally:
            self._under_way.remove(parse)
            self._in_thread(parse.discard)

    async def drop_oldest(self) -> bool:
        """Remove the files of the oldest that nobody reads or writes; tell whether there was one."""
        name = next((name for name, parse in self._kept.items() if parse.size_bytes), None)
        if name is None:
            return False
        await self._in_thread(self._kept.pop(name).discard)
        return True

    def _keep(self, parse: Parse) -> None:
        """Keep the newer one of two, if it is of use, and not too much of all in memory."""
        if parse.dataset is None:
            self._in_thread(parse.discard)
            return
        name = parse.dataset.name
        other = self._kept.get(name)
        if other is not None and _revision(other) > _revision(parse):
            self._in_thread(parse.discard)
            return
        if other is not None:
            self._in_thread(self._kept.pop(name).discard)
        self._kept[name] = parse
        held_bytes = sum(parse.held_bytes for parse in self._kept.values())
        for oldest in self._kept.values():
            if held_bytes > KEPT_BYTES and oldest.held_bytes:
                held_bytes -= oldest.held_bytes
                self._in_thread(oldest.write)

    def _in_thread(self, work: Callable[[], None]) -> asyncio.Task[None]:
        """Do work that nobody has to wait for."""
        task = asyncio.create_task(asyncio.to_thread(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _revision(parse: Parse) -> int:
    return 0 if parse.dataset is None else parse.dataset.revision
