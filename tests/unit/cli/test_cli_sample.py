"""`aerolite sample`: the sample as a file."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import pytest

from service.domain.sample import sample
from tests.unit.cli.conftest import Invoke


def test_csv_is_the_default(invoke: Invoke) -> None:
    """Without options it writes the 300 built-in records as CSV, with a header."""
    result = invoke("sample")
    assert result.exit_code == 0
    assert list(csv.DictReader(io.StringIO(result.stdout))) == list(sample())


@pytest.mark.parametrize("rows", [0, 1, 2, 50])
def test_json_is_an_array(invoke: Invoke, rows: int) -> None:
    """`--format json` writes one valid array, however many records there are."""
    result = invoke("sample", "--rows", str(rows), "--seed", "4", "--format", "json")
    assert json.loads(result.stdout) == list(sample(rows, 4))


def test_ndjson_is_a_record_a_line(invoke: Invoke) -> None:
    """`--format ndjson` writes each record on a line of its own."""
    result = invoke("sample", "--rows", "20", "--format", "ndjson")
    assert [json.loads(line) for line in result.stdout.splitlines()] == list(sample(20))


def test_nonsense_is_refused(invoke: Invoke) -> None:
    """Fewer than no rows, or a form that there is not, is a usage error."""
    assert invoke("sample", "--rows", "-1").exit_code == 2
    assert invoke("sample", "--format", "xml").exit_code == 2


def test_a_reader_that_leaves_early_is_no_error() -> None:
    """Piped into `head`, it ends quietly."""
    command = [sys.executable, "-m", "service", "sample", "--rows", "1000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"name,")
        process.stdout.close()
        assert process.stderr.read() == b""
