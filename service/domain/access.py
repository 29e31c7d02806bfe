"""Who calls, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from service.domain.errors import Forbidden, Unauthenticated


class Scope(StrEnum):
    """What a key may be allowed."""

    READ = "read"
    WRITE = "write"
    SQL_READ = "sql:read"
    SQL_WRITE = "sql:write"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent a request: the id of its key (None: no key was sent), its scopes, and its pin."""

    key_id: str | None
    scopes: frozenset[str]
    pin: date | None = None

    def may(self, scope: str | None) -> bool:
        """Return whether the caller has the scope (`admin` has all)."""
        return scope is None or scope in self.scopes or Scope.ADMIN in self.scopes

    def require(self, scope: str | None) -> None:
        """Return if the caller has the scope. Raises `Unauthenticated`, `Forbidden`."""
        if self.may(scope):
            return
        if self.key_id is None:
            raise Unauthenticated(
                f"This needs a key with the scope `{scope}`: send `Authorization: Bearer KEY`."
            )
        raise Forbidden(f"The key lacks the scope `{scope}`.")
