"""Contracts of a test's own: the released ones, of which some come to an end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from service.contracts import registered
from service.contracts.registry import Registry

GUIDE = "https://example.org/moving-on?from=first"
DEPRECATED = datetime(2026, 12, 1, tzinfo=UTC)
SUNSET = datetime(2027, 6, 30, 22, 30, tzinfo=UTC)


def ending(
    *, first: datetime | None = SUNSET, second: datetime | None = None, guide: str | None = GUIDE
) -> Registry:
    """Return the first three contracts, two of them deprecated, with these sunsets."""
    real = registered()
    one, two, newest = real.contracts[:3]
    contracts = [
        replace(one, deprecated=DEPRECATED, sunset=first, guide=guide),
        replace(two, deprecated=DEPRECATED, sunset=second),
        newest,
    ]
    return Registry(contracts, real.operations.values())
