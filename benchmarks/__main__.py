"""`make bench`: measure everything in one run and print one table; `--only NAME` measures one part."""

from __future__ import annotations

import argparse
import asyncio
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    attacks,
    contracts,
    copying,
    first_question,
    jobs,
    loading,
    questions,
    redis_latency,
    serving,
    stored_pages,
)
from benchmarks.table import Row, render

SHARED_MEMORY = Path("/dev/shm")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted(PARTS), help="measure one part")
    wanted = parser.parse_args().only
    rows: list[Row] = []
    for name, part in PARTS.items():
        if wanted in {None, name}:
            rows += part()
            print(render(rows[-2:]), flush=True)
    print(f"\nPython {platform.python_version()}, {platform.machine()}\n\n{render(rows)}")


def in_directory(part: Callable[[Path], list[Row]], parent: Path | None = None) -> list[Row]:
    """Measure a part in a directory of its own."""
    with tempfile.TemporaryDirectory(dir=parent if parent is None or parent.is_dir() else None) as name:
        return part(Path(name))


PARTS: dict[str, Callable[[], list[Row]]] = {
    "hot": lambda: asyncio.run(serving.hot_page()),
    "contracts": lambda: asyncio.run(contracts.chain_of_changes()),
    "views": lambda: asyncio.run(contracts.changed_columns()),
    "load": lambda: in_directory(lambda path: asyncio.run(loading.load(path))),
    "hot-stores": lambda: in_directory(lambda path: asyncio.run(stored_pages.hot(path))),
    "cold": lambda: in_directory(lambda path: asyncio.run(stored_pages.cold(path))),
    "copy": lambda: in_directory(copying.copies),
    "latency": lambda: asyncio.run(redis_latency.latency()),
    "jobs": lambda: asyncio.run(jobs.throughput()),
    "beside": lambda: asyncio.run(jobs.beside_a_page()),
    "attacks": lambda: asyncio.run(attacks.others_meanwhile()),
    "first-question": lambda: in_directory(first_question.first_question),
    "start": serving.start_up,
    "stream": lambda: in_directory(lambda path: asyncio.run(serving.stream_of_everything(path))),
    # In memory, so that 100,000 single deletes do not wait for a disk; it is reading that is measured.
    "depth": lambda: in_directory(lambda path: asyncio.run(stored_pages.deep(path)), SHARED_MEMORY),
    "questions": lambda: in_directory(lambda path: asyncio.run(questions.small(path))),
    "questions-large": lambda: in_directory(lambda path: asyncio.run(questions.large(path))),
}

if __name__ == "__main__":
    main()
