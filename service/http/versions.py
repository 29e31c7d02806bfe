"""`/versions`: the contracts there are."""

from __future__ import annotations

from typing import Any

from service.contracts.messages import Document, Reply
from service.contracts.registry import Contract, Registry
from service.http.answers import Answer, Ask


class VersionsResource:
    """The contracts and their state."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def list(self, _: Ask) -> Answer:
        """List the contracts, oldest first."""
        listed = [self._describe(contract) for contract in self._registry.contracts]
        return Answer(Reply(200, Document({"versions": listed})))

    def _describe(self, contract: Contract) -> dict[str, Any]:
        newest = contract is self._registry.newest
        return {
            "version": contract.date.isoformat(),
            "state": "current" if newest else "supported",
            "description": contract.description,
        }
