"""`aerolite sample`: the sample as a file on standard output."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from enum import StrEnum
from itertools import chain, islice
from typing import Annotated, TextIO

import msgspec
import typer

from service.domain.sample import COLUMNS, DEFAULT_ROWS, sample


class SampleFormat(StrEnum):
    """The forms that the sample can have."""

    CSV = "csv"
    JSON = "json"
    NDJSON = "ndjson"


def write_sample(
    rows: Annotated[int, typer.Option(min=0, help="How many records.")] = DEFAULT_ROWS,
    seed: Annotated[int, typer.Option(help="Another seed gives other records.")] = 0,
    format: Annotated[SampleFormat, typer.Option(help="Their form.")] = SampleFormat.CSV,
) -> None:
    """Write a sample file to standard output.

    It holds invented meteorite landings, the same ones everywhere.
    """
    _write(sys.stdout, sample(rows, seed), format)


def _write(out: TextIO, records: Iterator[dict[str, str]], form: SampleFormat) -> None:
    if form is SampleFormat.CSV:
        writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        return
    lines = (msgspec.json.encode(record).decode() for record in records)
    if form is SampleFormat.NDJSON:
        out.writelines(f"{line}\n" for line in lines)
    else:
        out.write("[")
        out.writelines(chain(islice(lines, 1), (f",\n{line}" for line in lines)))
        out.write("]\n")
