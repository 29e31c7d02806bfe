"""`/versions`: the contracts there are, what differs between two of them, for machines and for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from service.contracts.declarations import Operation
from service.contracts.differences import ChangeNote, OperationNote, between, notes, operations_between
from service.contracts.messages import Document, Reply
from service.contracts.registry import Contract, Registry
from service.domain.dates import parse_version
from service.domain.errors import InvalidParameter, VersionMalformed
from service.http.answers import Answer, Ask
from service.http.changelog import changelog_page, difference_page
from service.http.moments import moment
from service.http.negotiation import prefers_html
from service.ports.clock import Clock
from service.usecases.sunsetting import Standing, Sunsetting


class VersionsResource:
    """The contracts, their state and their differences."""

    def __init__(self, registry: Registry, sunsetting: Sunsetting, clock: Clock) -> None:
        self._registry = registry
        self._sunsetting = sunsetting
        self._clock = clock

    async def list(self, ask: Ask) -> Answer:
        """List the contracts, oldest first: the changelog."""
        listed = [self._describe(contract) for contract in self._registry.contracts]
        if prefers_html(ask.request.headers.get("Accept", "")):
            return changelog_page(listed, ask.link_base)
        return _json({"versions": listed})

    async def compare(self, ask: Ask) -> Answer:
        """Tell what differs between the contracts of two days."""
        older, newer = self._contract(ask, "from"), self._contract(ask, "to")
        if older.date > newer.date:
            raise InvalidParameter("from", f"Ask the other way round: /versions/{newer.date}...{older.date}")
        changes = between(self._registry, older, newer)
        operations = operations_between(self._registry, changes, older, newer)
        difference = {
            "from": older.date.isoformat(),
            "to": newer.date.isoformat(),
            "breaking": any(change.breaking for change in changes),
            "changes": [describe_change(change) for change in changes],
            "operations": _operations(operations),
        }
        if prefers_html(ask.request.headers.get("Accept", "")):
            return difference_page(difference, ask.link_base)
        return _json(difference)

    async def usage(self, _: Ask) -> Answer:
        """Tell who uses which contract, and which can be sunset today."""
        now = self._clock.now()
        contracts = [
            Standing(contract.date.isoformat(), self._registry.state(contract, now))
            for contract in self._registry.contracts
        ]
        told = await self._sunsetting.tell(contracts)
        return Answer(Reply(200, Document(told), {"Cache-Control": "no-store"}))

    def _contract(self, ask: Ask, name: str) -> Contract:
        """Return the contract of a day in the path. Raises `InvalidParameter`."""
        try:
            day = parse_version(ask.path(name))
        except VersionMalformed:
            raise InvalidParameter(name, f"{name!r} is a day such as {self._registry.newest.date}.") from None
        contract = None if day > self._today() else self._registry.on(day)
        if contract is None:
            raise InvalidParameter(
                name,
                f"{name!r} is a day from {self._registry.first.date} to {self._today()} (today, UTC).",
                valid=[each.date.isoformat() for each in self._registry.contracts],
            )
        return contract

    def _today(self) -> date:
        return self._clock.now().date()

    def _describe(self, contract: Contract) -> dict[str, Any]:
        return {
            "version": contract.date.isoformat(),
            "state": self._registry.state(contract, self._clock.now()),
            "description": contract.description,
            "deprecated": moment(contract.deprecated),
            "sunset": moment(contract.sunset),
            "guide": contract.guide,
            "changes": [describe_change(change) for change in notes(self._registry, contract)],
        }


def describe_change(change: ChangeNote) -> dict[str, Any]:
    """Return a change as JSON."""
    return {
        "version": change.version,
        "name": change.name,
        "description": change.description,
        "breaking": change.breaking,
        "operations": [_named(operation) for operation in change.operations],
    }


def _operations(found: Sequence[OperationNote]) -> list[dict[str, Any]]:
    return [
        {
            **_named(note.after),
            "parameters": {"added": note.parameters_added, "removed": note.parameters_removed},
            "answers": {"from": _answers(note.before), "to": _answers(note.after)},
            "typed": {"from": note.typed_before, "to": note.typed_after},
        }
        for note in found
    ]


def _answers(operation: Operation) -> dict[str, Any]:
    """Return the shapes of an operation's answers by status and media type."""
    return {str(status): dict(answer.content) for status, answer in operation.answers.items()}


def _named(operation: Operation) -> dict[str, str]:
    return {"id": operation.id, "method": operation.method, "path": operation.path}


def _json(value: dict[str, Any]) -> Answer:
    return Answer(Reply(200, Document(value), {"Cache-Control": "no-cache", "Vary": "Accept"}))
