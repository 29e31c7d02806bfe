"""Names of columns in SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_UPPER_ASCII = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def ascii_lower(name: str) -> str:
    """Return a name as databases compare them that ignore the case of ASCII letters only."""
    return name.translate(_UPPER_ASCII)


def distinct(names: Sequence[str], *, key: Callable[[str], str] = str) -> list[str]:
    """Return the names, a number behind each that was there before; `key` says which are the same."""
    wanted = {key(name) for name in names}
    taken: set[str] = set()
    given: list[str] = []
    for name in names:
        tried, number = name, 1
        while key(tried) in taken or (number > 1 and key(tried) in wanted):
            number += 1
            tried = f"{name}_{number}"
        taken.add(key(tried))
        given.append(tried)
    return given
