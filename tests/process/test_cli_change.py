"""`aerolite change` as it is called: straight into the storage, and over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from service.cli.change import read_document

from .calling import aerolite
from .serving import serving

SOON = (datetime.now(UTC) + timedelta(days=7)).date().isoformat()
"""A future day, and one still where midnight comes during the tests."""

CHANGE = f"""\
date: {SOON}
description: Clearer names.
operations:
  - {{op: rename, from: a, to: mass}}
  - {{op: add, column: b, value: null}}
"""


@pytest.mark.parametrize("over_http", [False, True])
async def test_a_change_is_rehearsed_and_declared_from_the_command_line(
    tmp_path: Path, over_http: bool
) -> None:
    """A dry run shows both sides and stores nothing; then the change is there, and cannot be made twice."""
    file = tmp_path / "change.yaml"
    file.write_text(CHANGE)
    async with serving(tmp_path) as server, aiohttp.ClientSession(server.url) as session:
        await session.put("/datasets/weights", data=b"a\n5\n", headers={"Content-Type": "text/csv"})
        storage = f"sqlite:///{tmp_path}/aerolite.db"
        place = ["--url", server.url] if over_http else ["--storage-url", storage]
        code, output, _ = await aerolite("change", "weights", str(file), "--dry-run", *place)
        assert code == 0
        assert [line.split() for line in output.splitlines() if "5" in line] == [
            ["│", "a:", "5", "│", "mass:", "5", "│"]
        ]
        code, output, _ = await aerolite("change", "weights", str(file), *place)
        assert (code, output) == (0, f"weights: changes on {SOON}, revision 2\n")
        async with session.get("/datasets/weights/changes") as answer:
            assert (await answer.json())["changes"][0]["date"] == SOON
        code, _, error = await aerolite("change", "weights", str(file), *place)
        assert code == 1
        assert error.startswith(f'aerolite: {file}: /operations/0/from: There is no column "a" at that point')


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("c.yaml", "date: [", "is no YAML"),
        ("c.json", "{", "is no JSON"),
        ("c.json", "[]", ": Expected `object`, got `array`."),
        (
            "c.yaml",
            "date: 2020-01-01\ndescription: x\noperations: [{op: hide, column: a}]",
            "There is no dataset",
        ),
        ("c.yaml", "- &a [x, x]\n- *a", "it has an alias"),
        ("c.yaml", "value: .nan", "JSON has nothing like nan"),
        ("c.yaml", "value: !!binary aGk=", "JSON has nothing like b'hi'"),
        ("c.yaml", "[" * 5000, "is nested too deeply"),
        ("c.json", "[" * 500_000, "is nested too deeply"),
        ("c.yaml", None, "cannot be read: No such file"),
        ("c.yaml", "\udcff", "it is no UTF-8"),
    ],
)
async def test_a_bad_file_is_told_why(tmp_path: Path, name: str, text: str | None, sentence: str) -> None:
    """The sentence names the file and the place, and the command fails."""
    file = tmp_path / name
    if text is not None:
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
    code, _, error = await aerolite(
        "change", "weights", str(file), "--storage-url", "memory://", SPOOL_DIR=str(tmp_path)
    )
    assert (code, str(file) in error, sentence in error) == (1, True, True), error


def test_yaml_means_what_json_would(tmp_path: Path) -> None:
    """Days, numbers and words that YAML takes for values are names and texts all the same."""
    file = tmp_path / "change.yaml"
    file.write_text("date: 2027-01-01\nvalues: {true: 1.5, 2027: null, 2027-01-01: [x]}\n")
    assert read_document(file) == {
        "date": "2027-01-01",
        "values": {"true": 1.5, "2027": None, "2027-01-01": ["x"]},
    }


async def test_one_place_is_enough(tmp_path: Path) -> None:
    """A storage and a server together are a wrong usage."""
    code, _, error = await aerolite("change", "x", "y", "--url", "http://x", "--storage-url", "memory://")
    assert (code, "not both" in error) == (2, True)
