"""Files of any size are read in the memory of a few batches."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from service.formats.reading import ReadOptions, open_reader


def peak_bytes(path: Path, **options: bool) -> int:
    """Return how much memory reading a file takes at most."""
    tracemalloc.start()
    try:
        count = sum(len(batch.records) for batch in open_reader(path, ReadOptions(**options)))
        assert count > 0
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


FILES = {
    "csv": b"id,text\n" + b'12345678,"%b\n"\n' % (b"x" * 90) * 100_000,
    "ndjson": b'{"id":12345678,"text":"%b"}\n' % (b"x" * 80) * 100_000,
    "empty lines": b"a,b\n1,2\n" + b"\n" * 1_000_000,
    "bad rows": b"a,b\n1,2\n" + b"1\n" * 100_000,
}


@pytest.mark.parametrize("name", FILES)
def test_memory_is_bounded(tmp_path: Path, name: str) -> None:
    """Records good and bad and empty lines are let go of once read; held, each of these took 20 MiB or more."""
    path = tmp_path / "file"
    path.write_bytes(FILES[name])
    assert peak_bytes(path, skip_errors=True) < 12 << 20
