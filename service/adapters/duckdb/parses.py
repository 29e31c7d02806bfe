"""What loads have parsed, in files of lines, until a question wants it in columns.

DuckDB takes lines for about half of what the same records cost that are read back from a store and handed
over one by one (docs/performance.md); to write them down on their way into the store costs next to nothing.
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
    """The records of one load: written down by the thread that parses, read once by the engine.

    What does not fit into `room_bytes()`, or cannot be written, is given up; the load goes on.
    """

    def __init__(
        self, stem: Path | None, room_bytes: Callable[[], int], part_bytes: int = PART_BYTES
    ) -> None:
        self.dataset: Dataset | None = None
        self.size_bytes = 0
        self.parts: list[Part] = []
        self._stem = stem
        self._room_bytes = room_bytes
        self._part_bytes = part_bytes
        self._count = 0
        self._file: FileIO | None = None
        self._file_bytes = 0
        self._folded = False
        self._lock = threading.Lock()

    def of(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield batches, each written down before it is used. Blocks."""
        for batch in batches:
            with self._lock:
                self._add(batch.records)
            yield batch
        with self._lock:
            self._end_part()

    def keep(self, commit: Commit) -> None:
        """Be told of the load's commit. What was written down is of use only if it is all that there is."""
        dataset = commit.dataset
        if self._stem is not None and self._count == dataset.count == dataset.next_position:
            self.dataset = dataset

    def remove(self, part: Part) -> None:
        """Remove a file that is not needed any more. Blocks."""
        part.path.unlink(missing_ok=True)
        self.size_bytes -= part.size_bytes

    def discard(self) -> None:
        """Remove all files, and write no more. Blocks."""
        with self._lock:
            self._give_up()

    def _add(self, records: Sequence[bytes]) -> None:
        if self._stem is None or not records:
            return
        if max(map(len, records)) > MAX_LINE_BYTES:
            self._give_up()
            return
        lines = b"\n".join([*records, b""])
        folded = lines.count(b"\n") != len(records) or b"\r" in lines
        if folded:
            lines = b"\n".join([*(record.translate(_FOLD) for record in records), b""])
        try:
            self._write(self._stem, lines, len(records))
        except OSError:
            self._give_up()
        else:
            self._folded |= folded

    def _write(self, stem: Path, lines: bytes, records: int) -> None:
        if len(lines) > self._room_bytes():
            raise OSError("There is no room left.")
        if self._file is None:
            self._first = self._count
            self._file = FileIO(f"{stem}-{len(self.parts)}", "x")
        if self._file.write(lines) != len(lines):
            raise OSError("The disk is full.")
        self._count += records
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
        self._stem, self.dataset, self.size_bytes = None, None, 0


class Parses:
    """Those of loads that are under way, and the last one of each dataset."""

    def __init__(self) -> None:
        self._under_way: list[Parse] = []
        self._kept: dict[str, Parse] = {}
        self._numbers = count(1)

    @property
    def size_bytes(self) -> int:
        """What all their files take."""
        return sum(parse.size_bytes for parse in [*self._under_way, *self._kept.values()])

    def __contains__(self, name: object) -> bool:
        return name in self._kept

    @asynccontextmanager
    async def begin(self, directory: Path | None, room_bytes: Callable[[], int]) -> AsyncIterator[Parse]:
        """Lend a parse to a load; it is kept where that was committed.

        Without a directory nothing is written down.
        """
        stem = None if directory is None else directory / f"parse{next(self._numbers)}"
        parse = Parse(stem, room_bytes)
        self._under_way.append(parse)
        try:
            yield parse
        finally:
            self._under_way.remove(parse)
            await _discard(self._keep(parse))

    def _keep(self, parse: Parse) -> Parse | None:
        """Keep the newer one of two; return the other, or what is of no use."""
        if parse.dataset is None:
            return parse
        name = parse.dataset.name
        held = self._kept.get(name)
        if held is not None and held.dataset is not None and held.dataset.revision > parse.dataset.revision:
            return parse
        self._kept.pop(name, None)
        self._kept[name] = parse
        return held

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
            await _discard(parse)

    async def drop_oldest(self) -> bool:
        """Remove the oldest that nobody reads or writes; tell whether there was one."""
        name = next(iter(self._kept), None)
        if name is None:
            return False
        await _discard(self._kept.pop(name))
        return True


async def _discard(parse: Parse | None) -> None:
    if parse is not None:
        await asyncio.shield(asyncio.to_thread(parse.discard))
