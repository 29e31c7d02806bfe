"""The contracts in order, and the chain between each and the newest, compiled once."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from typing import Any

from service.contracts.changes import Change, Converter, DeclarationError, Kind, check
from service.contracts.declarations import Operation
from service.contracts.messages import Query, Reply
from service.lenses.operations import AnyOperation

# It stands in a header and in HTML.
_URL = re.compile(r"https?://[!#-;=?-~]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Contract:
    """What was promised on a day, told as the changes from the contract before it.

    `deprecated` and `sunset` are moments (aware); a sunset is never before the deprecation (RFC 8594), and
    `guide` is the URL of what says how to move on.
    """

    date: date
    description: str
    changes: tuple[type[Change], ...] = ()
    deprecated: datetime | None = None
    sunset: datetime | None = None
    guide: str | None = None

    def __post_init__(self) -> None:
        """Check what one contract can say wrong of itself."""
        if not self.description.strip():
            raise DeclarationError(f"Contract {self.date} has no description.")
        for name in ("deprecated", "sunset"):
            moment = getattr(self, name)
            if moment is not None and moment.tzinfo is None:
                raise DeclarationError(f"Contract {self.date}: `{name}` has no time zone; give it UTC.")
        if self.sunset is not None and self.deprecated is None:
            raise DeclarationError(f"Contract {self.date} has a sunset but was never deprecated.")
        if self.sunset is not None and self.deprecated is not None and self.sunset < self.deprecated:
            raise DeclarationError(f"Contract {self.date} has its sunset before its deprecation.")
        if self.guide is not None and _URL.fullmatch(self.guide) is None:
            raise DeclarationError(
                f"Contract {self.date}: `guide` is a URL such as https://example.org/moving."
            )

    def serves(self, now: datetime) -> bool:
        """Return whether it is served at this time."""
        return self.sunset is None or now < self.sunset


@dataclass(frozen=True, slots=True)
class Chain:
    """All that lies between one contract and the newest for one operation, as one function each way.

    `operation` is the declaration of that day. `typed` says whether its values are typed before encoding.
    `lenses` lead its records back, those of the newest change first; `upgrade` hands them to the query.
    """

    operation: Operation
    upgrade: Callable[[Query], None]
    downgrade: Callable[[Reply], None]
    typed: bool
    lenses: tuple[AnyOperation, ...] = ()


class Registry:
    """All contracts, oldest first, and their compiled chains.

    Raises `DeclarationError` where the declarations cannot work.
    """

    def __init__(self, contracts: Sequence[Contract], operations: Iterable[Operation]) -> None:
        self.operations: Mapping[str, Operation] = {operation.id: operation for operation in operations}
        self.contracts = tuple(contracts)
        self._dates = [contract.date for contract in contracts]
        self._check()
        self._chains = self._compile()

    @property
    def first(self) -> Contract:
        """The oldest contract: what a client gets that says nothing."""
        return self.contracts[0]

    @property
    def newest(self) -> Contract:
        """The contract that the code serves."""
        return self.contracts[-1]

    def on(self, day: date) -> Contract | None:
        """Return the newest contract that is not after the day, or None before the first."""
        index = bisect_right(self._dates, day)
        return self.contracts[index - 1] if index else None

    def successor(self, contract: Contract) -> Contract | None:
        """Return the contract that came next, or None after the newest."""
        index = bisect_right(self._dates, contract.date)
        return self.contracts[index] if index < len(self.contracts) else None

    def state(self, contract: Contract, now: datetime) -> str:
        """Return `current`, `supported`, `deprecated` or `sunset`: where a contract stands at this time."""
        if not contract.serves(now):
            return "sunset"
        if contract.deprecated is not None and now >= contract.deprecated:
            return "deprecated"
        return "current" if contract is self.newest else "supported"

    def chain(self, operation: str, contract: Contract) -> Chain:
        """Return what lies between this contract and the newest for this operation."""
        return self._chains[contract.date, operation]

    def _check(self) -> None:
        if not self.contracts:
            raise DeclarationError("There is no contract.")
        for earlier, later in zip(self._dates, self._dates[1:], strict=False):
            if earlier == later:
                raise DeclarationError(f"Contract {later} is registered twice.")
            if earlier > later:
                raise DeclarationError(f"Contract {later} stands behind {earlier}: sort them by date.")
        if self.first.changes:
            raise DeclarationError(
                f"Contract {self.first.date} is the first: there is nothing that it could change."
            )
        if self.newest.deprecated is not None:
            newest = self.newest.date
            raise DeclarationError(f"Contract {newest} is the newest: where should its clients go?")
        for contract in self.contracts[1:]:
            if not contract.changes:
                raise DeclarationError(f"Contract {contract.date} changes nothing.")
            for change in contract.changes:
                check(change, self.operations)

    def _compile(self) -> dict[tuple[date, str], Chain]:
        """Walk from the newest contract to the first, growing each operation's chain by what it meets."""
        chains: dict[tuple[date, str], Chain] = {}
        for operation in self.operations.values():
            chain = Chain(operation, _nothing, _nothing, typed=True)
            for contract in reversed(self.contracts):
                chains[contract.date, operation.id] = _handing_lenses(chain)
                for change in reversed(contract.changes):
                    chain = _extend(chain, change)
        return chains


def _nothing(_: object) -> None:
    """Migrate nothing."""


def _extend(chain: Chain, change: type[Change]) -> Chain:
    """Return the chain one change further into the past."""
    operation = chain.operation
    if operation.id not in change.touched():
        return chain
    upgrade, downgrade = chain.upgrade, chain.downgrade
    for converter in change.converters():
        if operation.id not in converter.operations:
            continue
        if converter.kind is Kind.QUERY:
            upgrade = _both(converter.function, upgrade)
        else:
            downgrade = _both(downgrade, _step(converter))
    before = change.before.get(operation.id)
    return Chain(
        operation=operation if before is None else before.of(operation),
        upgrade=upgrade,
        downgrade=downgrade,
        typed=chain.typed and operation.id not in change.values_as_loaded,
        lenses=(*chain.lenses, *change.lenses.get(operation.id, ())),
    )


def _handing_lenses(chain: Chain) -> Chain:
    if not chain.lenses:
        return chain

    def hand(query: Query) -> None:
        query.lenses = chain.lenses

    return replace(chain, upgrade=_both(chain.upgrade, hand))


def _both(first: Callable[[Any], None], second: Callable[[Any], None]) -> Callable[[Any], None]:
    if first is _nothing:
        return second
    if second is _nothing:
        return first

    def both(message: Any) -> None:
        first(message)
        second(message)

    return both


def _step(converter: Converter) -> Callable[[Reply], None]:
    if converter.kind is Kind.HEAD:
        return converter.function
    return partial(_convert_body, converter.function)


def _convert_body(function: Callable[[Any], Any], reply: Reply) -> None:
    reply.body = function(reply.body)
