"""How clients' statements get into the database: their role is made, or put right, where it is lacking."""

from __future__ import annotations

import asyncio

from service.adapters.postgres.driver import asyncpg
from service.adapters.postgres.errors import translated
from service.adapters.postgres_sql.guard import REACHING_OUT, Finding
from service.adapters.postgres_sql.provision import Facts, Provision
from service.adapters.postgres_sql.role import Role
from service.adapters.postgres_sql.sessions import Session, Sessions
from service.adapters.postgres_sql.showing import show
from service.adapters.postgres_sql.views import Shown
from service.domain.errors import Busy, StoreUnavailable

_LOCKED_OUT = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InsufficientPrivilegeError)


class Entrance:
    """Opens sessions as the clients' role of the database at `url`.

    `repairs` counts what was put right: who has looked before that looks again.
    """

    def __init__(self, url: str, provision: Provision, sessions: Sessions) -> None:
        self._url = url
        self._provision = provision
        self._sessions = sessions
        self._facts: Facts | None = None
        self._repairing = asyncio.Lock()
        self.repairs = 0

    async def enter(self) -> Session:
        """Open a session. Raises `StoreError`, and `Busy` where there are too many."""
        seen = self.repairs
        async with self._repairing:
            facts = self._facts = self._facts or await self._provision.facts()
        role = Role.of(self._url, facts.database)
        with translated(self._provision.place):
            try:
                try:
                    return await self._sessions.open(role, facts.version)
                except _LOCKED_OUT:
                    await self.repair(frozenset({Finding.UNEQUIPPED}), Shown(), seen)
                return await self._sessions.open(role, facts.version)
            except asyncpg.TooManyConnectionsError:
                raise Busy(f"{self._provision.place.text} has no connection left. Try again.") from None

    async def repair(self, findings: frozenset[Finding], shown: Shown, seen: int) -> bool:
        """Put right what was found when `repairs` was `seen`; False where others have done so since.

        Raises `StoreError`, `Busy`.
        """
        async with self._repairing:
            if self.repairs != seen:
                return False
            facts = self._facts = await self._provision.facts()
            role = Role.of(self._url, facts.database)
            if findings - {Finding.STALE}:
                await self._provision.role(role, facts)
            if Finding.STALE in findings:
                await show(self._provision, role, shown)
            self.repairs += 1
            return True

    def closed(self, findings: frozenset[Finding]) -> StoreUnavailable:
        """Return the error where putting right has not helped."""
        reason = (
            "the role of clients' statements may do more than they should (is it a member of another role,"
            f" may PUBLIC use the service's schemas, create in others, or call {', '.join(REACHING_OUT)}?)"
            if Finding.UNSAFE in findings
            else "what clients' statements need is taken away again and again"
        )
        return StoreUnavailable(f"{self._provision.place.text}: {reason}.")
