"""The child: confined, it answers what comes in at its standard input until that ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO

import pytz

from service.adapters.duckdb_child.confinement import confine, limit_cpu
from service.adapters.duckdb_child.messages import LENGTH, Answer, Ready, decode_run, framed
from service.adapters.duckdb_child.reader import Reader

ADDRESS_BYTES = 384 << 20
"""What Python and DuckDB take of the addresses beside a statement's memory: 120 MiB at rest."""


def main(directory: str, memory_bytes: str) -> None:
    """Answer statements about files in a directory, each in so much memory."""
    os.chdir(directory)
    # DuckDB's client looks for it with the first time that has a zone, when no file can be opened any more.
    pytz.timezone("UTC")
    # What else writes to the standard output must not speak to the service.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    confine(Path(directory), ADDRESS_BYTES + int(memory_bytes))
    reader = Reader(int(memory_bytes))
    _say(answers, Ready())
    while head := sys.stdin.buffer.read(LENGTH.size):
        run = decode_run(sys.stdin.buffer.read(LENGTH.unpack(head)[0]))
        limit_cpu(run.cpu_s)
        for answer in reader.answer(run):
            _say(answers, answer)


def _say(answers: BinaryIO, answer: Answer) -> None:
    answers.write(framed(answer))
    answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
