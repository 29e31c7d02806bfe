"""Which contract can end today: what was counted, held against pins and the calendar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Protocol

from service.ports.clock import Clock
from service.usecases.access import Access, Key
from service.usecases.usage import NO_KEY, Report, Usage, Used

QUIET = timedelta(days=30)
"""A contract that nobody used for so long can end today."""

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Standing:
    """A contract and where it stands: `current`, `supported`, `deprecated` or `sunset`."""

    version: str
    state: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a contract can be sunset today, and why (not)."""

    can_end: bool
    because: str


class Dated(Protocol):
    """A contract, as far as it matters here."""

    @property
    def date(self) -> date:
        """Its day."""
        ...


class Sunsetting:
    """Tells who uses which contract. `contract_on` gives the contract of a day."""

    def __init__(
        self, usage: Usage, access: Access, clock: Clock, contract_on: Callable[[date], Dated | None]
    ) -> None:
        self._usage = usage
        self._access = access
        self._clock = clock
        self._contract_on = contract_on

    async def tell(self, contracts: Sequence[Standing]) -> dict[str, Any]:
        """Return the usage of these contracts as JSON. Raises `StoreUnavailable`."""
        report, keys = await self._usage.report(), await self._keys()
        pinned = [self._contract_on(key.pin) for key in keys if key.pin is not None]
        pins = [contract.date.isoformat() for contract in pinned if contract is not None]
        names = {key.id: key.name for key in keys}
        return {
            "since": None if report.since is None else report.since.isoformat(),
            "versions": [
                self._version(contract, report, pins.count(contract.version), names) for contract in contracts
            ],
        }

    async def _keys(self) -> list[Key]:
        found: list[Key] = []
        behind: str | None = ""
        while behind is not None:
            page, behind = await self._access.list(behind, _PAGE)
            found += page
        return found

    def _version(
        self, contract: Standing, report: Report, pinned: int, names: dict[str, str]
    ) -> dict[str, Any]:
        used = {
            (source, key): counted
            for (version, source, key), counted in sorted(report.used.items())
            if version == contract.version
        }
        judged = judge(contract, used, report.since, pinned=pinned, today=self._clock.now().date())
        return {
            "version": contract.version,
            "state": contract.state,
            "can_be_sunset": judged.can_end,
            "because": judged.because,
            "requests": sum(counted.requests for counted in used.values()),
            "last": max((counted.last.isoformat() for counted in used.values()), default=None),
            "pinned": pinned,
            "used": [
                {
                    "source": source,
                    "key": None if key == NO_KEY else key,
                    "name": names.get(key),
                    "requests": counted.requests,
                    "first": counted.first.isoformat(),
                    "last": counted.last.isoformat(),
                }
                for (source, key), counted in used.items()
            ],
        }


def judge(
    contract: Standing, used: dict[tuple[str, str], Used], since: date | None, *, pinned: int, today: date
) -> Verdict:
    """Return whether a contract can end today.

    `used` is counted by source and key, `since` is the first day with counts, `pinned` the number of keys
    whose pin leads to the contract.
    """
    if contract.state == "sunset":
        return Verdict(True, "it is past its sunset already")
    if contract.state == "current":
        return Verdict(False, "it is the newest: its clients would have nowhere to go")
    recent = {key: counted.last for (_, key), counted in used.items() if counted.last > today - QUIET}
    if recent:
        who, last = _clients(set(recent)), max(recent.values())
        return Verdict(False, f"{who} used it in the last {QUIET.days} days, last on {last}")
    if pinned:
        return Verdict(False, f"{_counted(pinned, 'key is', 'keys are')} pinned to it")
    if since is None or since > today - QUIET:
        days = 0 if since is None else (today - since).days
        return Verdict(False, f"requests have been counted for {days} days only, and {QUIET.days} are needed")
    return Verdict(True, f"nobody used it in the last {QUIET.days} days, and no key is pinned to it")


def _clients(keys: set[str]) -> str:
    told = []
    if with_key := len(keys - {NO_KEY}):
        told.append(_counted(with_key, "key", "keys"))
    if NO_KEY in keys:
        told.append("clients without a key")
    return " and ".join(told)


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
