"""The driver, where it is installed."""

from __future__ import annotations

from service.domain.errors import StoreError

try:
    import asyncpg
except ModuleNotFoundError as error:
    raise StoreError(
        "A postgresql: URL needs a driver that is not installed: pip install 'aerolite[postgres]'."
    ) from error

__all__ = ["asyncpg", "no_reset"]


async def no_reset(_: object) -> None:
    """Spare a pool the round trip: what we do leaves nothing in the session."""
