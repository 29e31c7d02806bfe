"""What the headers of an answer say about its contract, and about the end of that contract."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from multidict import CIMultiDict

from service.contracts.registry import Contract, Registry
from service.contracts.resolve import Resolved, Source

Headers = tuple[tuple[str, str], ...]


class Promises:
    """Tells clients which contract they have; the headers of each are made once."""

    def __init__(self, registry: Registry, link_base: str) -> None:
        self._registry = registry
        self._link_base = link_base
        self._headers = lru_cache(maxsize=256)(self._made)

    def add(self, headers: CIMultiDict[str], resolved: Resolved) -> None:
        """Add the headers of a contract; its links stand behind those that are there already."""
        for name, value in self._headers(resolved.contract, resolved.source):
            if name == "Link" and name in headers:
                headers[name] = f"{headers[name]}, {value}"
            else:
                headers[name] = value

    def _made(self, contract: Contract, source: Source) -> Headers:
        chosen = (("API-Version", contract.date.isoformat()), ("API-Version-Source", source.value))
        if contract.deprecated is None:
            return chosen
        return (*chosen, *ending(contract, self._links(contract)))

    def _links(self, contract: Contract) -> str:
        changelog = f"{self._link_base}/versions"
        guide = contract.guide or changelog
        links = [f'<{guide}>; rel="deprecation"; type="text/html"']
        if contract.sunset is not None:
            links.append(f'<{guide}>; rel="sunset"; type="text/html"')
        successor = self._registry.successor(contract)
        if successor is not None:
            links.append(f'<{changelog}/{contract.date}...{successor.date}>; rel="successor-version"')
        return ", ".join(links)


def ending(contract: Contract, links: str) -> Headers:
    """Return `Deprecation` (RFC 9745), `Sunset` (RFC 8594) and `Link` (RFC 5829) of a deprecated contract.

    They are sent from the day they are declared: both dates may still lie in the future.
    """
    headers = []
    if contract.deprecated is not None:
        headers.append(("Deprecation", f"@{int(contract.deprecated.timestamp())}"))
    if contract.sunset is not None:
        headers.append(("Sunset", http_date(contract.sunset)))
    return (*headers, ("Link", links))


def http_date(moment: datetime) -> str:
    """Return a moment as HTTP writes it (RFC 9110, section 5.6.7)."""
    return format_datetime(moment.astimezone(UTC), usegmt=True)
