"""What a view's column shows of a record."""

from __future__ import annotations

from typing import Any

import pytest

from service.adapters.sqlite_child.messages import ColumnSpec
from service.adapters.sqlite_child.values import Records


def shown(
    record: bytes, kind: str, *, textual: bool = False, steps: Any = (), source: str | None = "a"
) -> Any:
    """Return what one column shows."""
    return Records([ColumnSpec("a", source, kind, textual, steps)]).value(record, 0)


@pytest.mark.parametrize(
    ("record", "kind", "textual", "expected"),
    [
        (b'{"a":5}', "integer", False, 5),
        (b'{"a":"5"}', "integer", True, 5),
        (b'{"a":-0}', "integer", False, 0),
        (b'{"a":9223372036854775807}', "integer", False, 9223372036854775807),
        (b'{"a":9223372036854775808}', "integer", False, "9223372036854775808"),
        (b'{"a":-99999999999999999999999}', "integer", False, "-99999999999999999999999"),
        (b'{"a":"720.50"}', "number", True, 720.5),
        (b'{"a":5}', "number", False, 5.0),
        (b'{"a":1e400}', "number", False, float("inf")),
        (b'{"a":true}', "boolean", False, 1),
        (b'{"a":"false"}', "boolean", True, 0),
        (b'{"a":"x \\u00e9 \\""}', "string", False, 'x é "'),
        (b'{"a":"1880-01-01"}', "date", True, "1880-01-01"),
        (b'{"a":""}', "string", True, None),
        (b'{"a":""}', "string", False, ""),
        (b'{"a":null}', "integer", False, None),
        (b'{"b":1}', "integer", False, None),
        (b'{"a":{"k":[1,"x"]}}', "json", False, '{"k":[1,"x"]}'),
        (b'{"a":"text"}', "json", False, '"text"'),
        (b'{"a":null}', "json", False, None),
        (b'{"a":null}', "empty", False, None),
    ],
)
def test_a_stored_value_is_sqlites(record: bytes, kind: str, textual: bool, expected: Any) -> None:
    """By the type of its column; an integer that SQLite cannot hold keeps its digits."""
    found = shown(record, kind, textual=textual)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("record", "kind", "steps", "expected"),
    [
        (b'{"a":"12"}', "integer", [("cast", "integer")], 12),
        (b'{"a":"012"}', "integer", [("cast", "integer")], None),
        (b'{"a":1.5}', "string", [("cast", "string")], "1.5"),
        (b'{"a":[1]}', "string", [("cast", "string")], None),
        (b'{"a":"yes"}', "boolean", [("cast", "boolean")], None),
        (b'{"a":"old"}', "string", [("map", {"old": "new"})], "new"),
        (b'{"a":"other"}', "string", [("map", {"old": "new"})], "other"),
        (b'{"a":null}', "string", [("map", {"old": "new"})], None),
        (b'{"a":null}', "integer", [("default", 7)], 7),
        (b'{"a":5}', "integer", [("default", 7)], 5),
        (b'{"a":null}', "boolean", [("default", True)], 1),
        (b'{"a":null}', "string", [("default", "x")], "x"),
        (b'{"a":null}', "string", [("default", None)], None),
        (b'{"a":"x"}', "integer", [("cast", "integer"), ("default", 3)], 3),
        (b'{"a":"x"}', "json", [("default", 3)], '"x"'),
    ],
)
def test_a_derived_value_goes_through_its_steps(record: bytes, kind: str, steps: Any, expected: Any) -> None:
    """Casts, maps and defaults, in order."""
    assert shown(record, kind, steps=steps) == expected


def test_a_column_from_nowhere_has_its_default() -> None:
    """A column that was added and never stored."""
    assert shown(b'{"a":1}', "string", steps=[("default", "d")], source=None) == "d"
