"""Names of columns as DuckDB can bear them."""

from __future__ import annotations

from collections.abc import Sequence


def sql_names(columns: Sequence[str]) -> list[str]:
    """Return a name for each column: its own, or one with a number where it is empty or taken.

    DuckDB takes names for the same that differ by the case of ASCII letters only.
    """
    own = {_folded(name) for name in columns}
    names: list[str] = []
    taken: set[str] = set()
    for at, column in enumerate(columns, start=1):
        name = column or f"column_{at}"
        while _folded(name) in taken or (name != column and _folded(name) in own):
            name = f"{name}_{at}"
        taken.add(_folded(name))
        names.append(name)
    return names


def identifier(name: str) -> str:
    """Return a name as SQL, quoted."""
    return '"' + name.replace('"', '""') + '"'


def _folded(name: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in name)
