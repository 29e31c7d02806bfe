"""Which contract a request gets: the table of docs/contracts.md, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Protocol

from service.contracts.registry import Contract, Registry
from service.domain.dates import parse_version
from service.domain.errors import (
    VersionAmbiguous,
    VersionBeforeFirst,
    VersionInFuture,
    VersionMalformed,
    VersionSunset,
)

_REMEMBERED = 1024


class Clock(Protocol):
    """Tells the time in UTC."""

    def now(self) -> datetime:
        """Return the time now."""
        ...


class Source(StrEnum):
    """What chose the contract, as `API-Version-Source` tells it."""

    HEADER = "header"
    PIN = "pin"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Resolved:
    """The contract of a request, what chose it, and the day it was asked for.

    A client sees a dataset's columns as of `day`, which may be later than the contract's own date.
    """

    contract: Contract
    source: Source
    day: date


class Resolver:
    """Resolves, and remembers what it resolved while that cannot change: until midnight or a sunset."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock
        self._sunsets = sorted(each.sunset for each in registry.contracts if each.sunset is not None)
        self._known: dict[tuple[tuple[str, ...], date | None], Resolved] = {}
        self.valid_until = datetime.min.replace(tzinfo=UTC)

    def choose(self, header: Sequence[str], pin: date | None) -> Resolved:
        """Return the contract, served or ended; see `choose`."""
        now = self._clock.now()
        if now >= self.valid_until or len(self._known) > _REMEMBERED:
            self._forget(now)
        key = (tuple(header), pin)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = choose(self._registry, header, pin, now)
        return found

    def admit(self, resolved: Resolved) -> None:
        """Refuse a contract that has ended. Raises `VersionSunset`."""
        if resolved.contract.sunset is not None:
            admit(self._registry, resolved, self._clock.now())

    def _forget(self, now: datetime) -> None:
        self._known.clear()
        midnight = datetime.combine(now.date() + timedelta(days=1), time(), UTC)
        self.valid_until = min([midnight, *(sunset for sunset in self._sunsets if sunset > now)])


def resolve(registry: Registry, header: Sequence[str], pin: date | None, now: datetime) -> Resolved:
    """Return the contract that serves a request. Raises what `choose` and `admit` raise."""
    resolved = choose(registry, header, pin, now)
    admit(registry, resolved, now)
    return resolved


def choose(registry: Registry, header: Sequence[str], pin: date | None, now: datetime) -> Resolved:
    """Return the contract for the values of `API-Version` and the caller's pin, even if it has ended.

    `header` holds the header's values as they came (empty: it was not sent). `now` is UTC. Raises a
    `VersionError` whose members name what was requested and what there is.
    """
    if header:
        day = _asked(registry, header, now)
        source = Source.HEADER
    elif pin is not None:
        day, source = pin, Source.PIN
    else:
        day, source = registry.first.date, Source.DEFAULT
    contract = registry.on(day)
    if contract is None:
        raise VersionBeforeFirst(
            f"The first contract is {registry.first.date}; ask for that day or a later one.",
            **_offer(registry, day.isoformat(), now),
        )
    return Resolved(contract, source, day)


def admit(registry: Registry, resolved: Resolved, now: datetime) -> None:
    """Refuse a contract past its sunset, however it was chosen. Raises `VersionSunset`."""
    contract = resolved.contract
    if contract.sunset is None or now < contract.sunset:
        return
    guide = f" and see {contract.guide}" if contract.guide else ""
    raise VersionSunset(
        f"Contract {contract.date} ended on {contract.sunset.date()}; "
        f"send `API-Version: {registry.newest.date}`{guide}.",
        **_offer(registry, resolved.day.isoformat(), now),
    )


def _asked(registry: Registry, header: Sequence[str], now: datetime) -> date:
    """Return the one day that the header's values name; a proxy may have joined them by commas."""
    today = now.date()
    values = [value.strip(" \t") for line in header for value in line.split(",")]
    requested = ", ".join(line.strip(" \t") for line in header)
    days = set()
    for value in values:
        try:
            days.add(parse_version(value))
        except VersionMalformed as error:
            raise VersionMalformed(error.detail, **_offer(registry, requested, now)) from None
    if len(days) > 1:
        raise VersionAmbiguous("Send API-Version once.", **_offer(registry, requested, now))
    (day,) = days
    if day > today:
        raise VersionInFuture(
            f"Today is {today} (UTC); ask for that day or an earlier one.", **_offer(registry, requested, now)
        )
    return day


def _offer(registry: Registry, requested: str, now: datetime) -> dict[str, Any]:
    return {
        "requested": requested[:100],
        "first": registry.first.date.isoformat(),
        "latest": registry.newest.date.isoformat(),
        "supported": [each.date.isoformat() for each in registry.contracts if each.serves(now)],
    }
