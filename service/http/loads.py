"""Loading, now or by a job: `Prefer: respond-async` (RFC 7240, section 4.1) is answered at once."""

from __future__ import annotations

from aiohttp import web

from service.http.answers import Answer, Ask
from service.http.jobs import accepted
from service.ports.storage import Guard
from service.usecases.jobs.desk import Desk
from service.usecases.jobs.load import LoadOrders, Verb
from service.usecases.loading import Loading, LoadOptions, Source


class Loads:
    """What the operations that load have in common; `now` loads while the client waits."""

    def __init__(self, now: Loading, desk: Desk, orders: LoadOrders) -> None:
        self.now = now
        self._desk = desk
        self._orders = orders

    async def deferred(
        self, ask: Ask, verb: Verb, name: str, source: Source, options: LoadOptions, guard: Guard
    ) -> Answer | None:
        """Return the answer that a job was accepted, or None where the client rather waits."""
        if not prefers_async(ask.request):
            return None
        job = await self._orders.post(verb, name, source, options, guard)
        answer = accepted(ask, job, self._desk.types)
        answer.reply.headers["Preference-Applied"] = "respond-async"
        return answer


def prefers_async(request: web.Request) -> bool:
    """Return whether a client would rather have an answer at once than the outcome."""
    preferences = ",".join(request.headers.getall("Prefer", ())).lower().split(",")
    return any(each.partition(";")[0].partition("=")[0].strip() == "respond-async" for each in preferences)
