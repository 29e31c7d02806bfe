"""Names as PostgreSQL can bear them."""

from __future__ import annotations

from collections.abc import Iterable

MAX_BYTES = 63


def sql_names(names: Iterable[str]) -> list[str]:
    """Return a name for each: its own as far as it fits, with a number where it is empty or taken.

    PostgreSQL cuts names in statements to 63 bytes, too, so a long one is found by its whole name.
    """
    own = [_cut(name.replace("\0", "\ufffd")) for name in names]
    owned = frozenset(own)
    taken: set[str] = set()
    given: list[str] = []
    for at, name in enumerate(own, start=1):
        alias, suffix = name or f"column_{at}", f"_{at}"
        while alias in taken or (alias != name and alias in owned):
            alias = _cut(alias, MAX_BYTES - len(suffix)) + suffix
            suffix += "_"
        taken.add(alias)
        given.append(alias)
    return given


def _cut(name: str, max_bytes: int = MAX_BYTES) -> str:
    return name.encode()[:max_bytes].decode(errors="ignore")
