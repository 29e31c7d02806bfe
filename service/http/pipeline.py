"""The order of business of every request under a contract.

    caller -> contract -> cached answer, or:
    scope -> query upward -> resource -> reply downward -> types -> encoding -> ETag -> cache -> send

aiohttp runs no middleware here: a request that is answered from the cache takes one coroutine.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import perf_counter

from aiohttp import web
from multidict import CIMultiDict, istr

from service.contracts.registry import Chain, Registry
from service.contracts.resolve import Resolved, Resolver
from service.domain.access import Caller
from service.domain.errors import AeroliteError
from service.http import problems
from service.http.access_log import AccessLog
from service.http.answers import DATASET_VERSION, Answer, Ask, Handler
from service.http.cache import Entry, ResponseCache
from service.http.conditions import entity_tag, is_known
from service.http.cors import Cors
from service.http.leaving import CLIENT_LEFT, ClientLeft
from service.http.lifecycle import Lifecycle
from service.http.negotiation import takes_gzip
from service.http.observe import RequestIds
from service.http.parameters import pairs, read_query
from service.http.prebuilt import SERVER, HttpDate, Prebuilt, head_of
from service.http.promises import Promises
from service.http.rendering import MIN_GZIP_BYTES, NEVER_GZIPPED, Rendered, gzipped, gzipped_chunks, render
from service.ports.clock import Clock
from service.usecases.access import Access
from service.usecases.batches import closing
from service.usecases.reading import Reading
from service.usecases.usage import Usage

log = logging.getLogger("aerolite.http")

VARY = "API-Version, Authorization, Accept, Accept-Encoding"
UNRESOLVED = "-"

# Looked up in every request: a name that knows its lower case saves making it.
API_VERSION = istr("API-Version")
AUTHORIZATION = istr("Authorization")
ACCEPT = istr("Accept")
ACCEPT_ENCODING = istr("Accept-Encoding")
IF_NONE_MATCH = istr("If-None-Match")
X_REQUEST_ID = istr("X-Request-Id")


@dataclass(frozen=True, slots=True)
class Shared:
    """What every endpoint needs; one object for all of them."""

    registry: Registry
    resolver: Resolver
    clock: Clock
    access: Access
    reading: Reading
    cache: ResponseCache
    access_log: AccessLog
    request_ids: RequestIds
    lifecycle: Lifecycle
    cors: Cors
    dates: HttpDate
    usage: Usage
    base_path: str = ""


class Endpoint:
    """One operation as an aiohttp handler."""

    def __init__(self, shared: Shared, operation: str, handler: Handler, link_base: str) -> None:
        self._shared = shared
        self._operation = shared.registry.operations[operation]
        self._handler = handler
        self._link_base = link_base
        self._promises = Promises(shared.registry, link_base)
        self._cacheable = self._operation.method == "GET" and self._operation.bound

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, whatever happens."""
        shared = self._shared
        started = perf_counter()
        request_id = shared.request_ids.of(request)
        visit = Visit(request, request_id)
        under_way = shared.lifecycle.requests
        under_way.add(request.task)
        try:
            response = await self._answer(visit)
        except AeroliteError as error:
            response = self._problem(visit, error)
        except ClientLeft:
            response = web.Response(status=CLIENT_LEFT)  # for the log: nobody is there to read it
        except Exception:
            log.exception("unexpected", extra={"request": {"id": request_id}})
            response = self._problem(visit, problems.unexpected(request_id))
        finally:
            under_way.discard(request.task)
        contract = UNRESOLVED
        if visit.resolved is not None:
            contract = visit.resolved.contract.date.isoformat()
            # Who showed a key that is none is no client of a contract.
            if visit.caller is not NOBODY:
                shared.usage.count(contract, visit.resolved.source, visit.caller.key_id)
        shared.access_log.wrote(request, self._operation.id, contract, response.status, request_id, started)
        return response

    async def _answer(self, visit: Visit) -> web.StreamResponse:
        shared, request = self._shared, visit.request
        bound = self._operation.bound
        authorization = request.headers.get(AUTHORIZATION)
        if authorization is None:
            visit.caller = caller = shared.access.anonymous
        else:
            if bound:
                self._resolve(visit, None, quietly=True)
            visit.caller = caller = await shared.access.authenticate(authorization, contact=bound)
        key = self._cache_key(request, caller) if self._cacheable else None
        entry = None if key is None else shared.cache.get(key)
        if entry is not None:
            visit.resolved = entry.resolved
            caller.require(self._operation.scope)
            if await self._holds(entry):
                shared.cache.hit(key)
                return self._from_entry(visit, entry)
            shared.cache.drop(key)
        if bound:
            self._resolve(visit, caller)
        return await self._fresh(visit, key)

    async def _holds(self, entry: Entry) -> bool:
        """Return whether an entry is of the current revision, and its contract is still the one asked for."""
        dataset = await self._shared.reading.dataset(entry.dataset)
        return dataset.revision == entry.revision and self._shared.clock.now() < entry.valid_until

    def _resolve(self, visit: Visit, caller: Caller | None, *, quietly: bool = False) -> None:
        """Find the contract; `quietly` for an error that may come before the caller is known."""
        header = visit.request.headers.getall(API_VERSION, ())
        resolver = self._shared.resolver
        visit.resolved = None
        try:
            visit.resolved = resolver.choose(header, None if caller is None else caller.pin)
        except AeroliteError:
            if not quietly:
                raise
        else:
            if not quietly:
                resolver.admit(visit.resolved)

    def _cache_key(self, request: web.Request, caller: Caller) -> Hashable:
        """Return all that a client sent that makes a difference to its answer."""
        headers = request.headers
        return (
            request.raw_path,
            tuple(headers.getall(API_VERSION, ())),
            headers.get(ACCEPT),
            headers.get(ACCEPT_ENCODING),
            caller.key_id is None,
            caller.pin,
        )

    async def _fresh(self, visit: Visit, key: Hashable) -> web.StreamResponse:
        visit.caller.require(self._operation.scope)
        self._shared.cors.admit(visit.request, visit.caller)
        chain = self._chain(visit.resolved)
        sent = pairs(visit.request.rel_url.raw_query_string)
        query = read_query(chain.operation, sent)
        chain.upgrade(query)
        async with AsyncExitStack() as stack:
            ask = Ask(
                request=visit.request,
                resolved=visit.resolved,
                caller=visit.caller,
                query=query,
                link_base=self._link_base,
                request_id=visit.request_id,
                stack=stack,
                shown=tuple(sent),
            )
            answer = await self._handler(ask)
            if not answer.timeless:
                chain.downgrade(answer.reply)
            rendered = await render(answer, typed=chain.typed)
            return await self._send(visit, answer, rendered, key)

    def _chain(self, resolved: Resolved | None) -> Chain:
        contract = self._shared.registry.newest if resolved is None else resolved.contract
        return self._shared.registry.chain(self._operation.id, contract)

    async def _send(
        self, visit: Visit, answer: Answer, rendered: Rendered, key: Hashable
    ) -> web.StreamResponse:
        request, reply = visit.request, answer.reply
        headers: CIMultiDict[str] = CIMultiDict(reply.headers)
        if rendered.media_type:
            headers["Content-Type"] = rendered.media_type
        gzip = takes_gzip(request.headers.get("Accept-Encoding", "")) and (
            rendered.media_type not in NEVER_GZIPPED
            if rendered.body is None
            else len(rendered.body) >= MIN_GZIP_BYTES
        )
        if gzip:
            headers["Content-Encoding"] = "gzip"
        if answer.tag is not None:
            headers["ETag"] = self._etag(visit, answer, rendered, gzip=gzip)
        self._promise(headers, visit)
        if (
            answer.tag is not None
            and request.method in {"GET", "HEAD"}
            and is_known(request, headers["ETag"])
        ):
            return self._finish(visit, web.Response(status=304, headers=_without_content(headers)))
        if rendered.body is None:
            return await self._stream(visit, reply.status, headers, rendered, gzip=gzip)
        body = await gzipped(rendered.body) if gzip else rendered.body
        if key is not None and answer.tag is not None:
            self._keep(key, answer.tag, visit, web.Response(status=reply.status, headers=headers, body=body))
        return self._finish(visit, web.Response(status=reply.status, headers=headers, body=body))

    def _keep(self, key: Hashable, tag: tuple[str, int], visit: Visit, response: web.Response) -> None:
        assert visit.resolved is not None  # noqa: S101 - what is kept has a contract
        assert isinstance(response.body, bytes)  # noqa: S101 - made of bytes
        dataset, revision = tag
        entry = Entry(
            dataset=dataset,
            revision=revision,
            resolved=visit.resolved,
            valid_until=self._shared.resolver.valid_until,
            etag=response.headers["ETag"],
            status=response.status,
            headers=response.headers,
            head=head_of(response.status, response.reason or "", response.headers, response.body),
            body=response.body,
        )
        self._shared.cache.put(key, entry)

    def _from_entry(self, visit: Visit, entry: Entry) -> web.StreamResponse:
        shared, request = self._shared, visit.request
        if IF_NONE_MATCH in request.headers and is_known(request, entry.etag):
            headers = _without_content(entry.headers)
            return self._finish(visit, web.Response(status=304, headers=headers))
        if Prebuilt.fits(request) and not (shared.cors.enabled or shared.lifecycle.draining):
            tail = f"X-Request-Id: {visit.request_id}\r\nDate: {shared.dates.now()}\r\n\r\n"
            body = entry.body if request.method == "GET" else b""
            return Prebuilt(entry.status, entry.head + tail.encode("ascii"), body)
        return self._finish(visit, web.Response(status=entry.status, headers=entry.headers, body=entry.body))

    async def _stream(
        self, visit: Visit, status: int, headers: CIMultiDict[str], rendered: Rendered, *, gzip: bool
    ) -> web.StreamResponse:
        """Send chunks; whatever fails on the way cuts the connection, so a short body never looks whole."""
        request = visit.request
        response = web.StreamResponse(status=status, headers=headers)
        self._finish(visit, response)
        assert rendered.chunks is not None  # noqa: S101 - a rendering has a body or chunks
        if request.method == "HEAD":
            return response
        chunks = gzipped_chunks(rendered.chunks) if gzip else rendered.chunks
        async with closing(chunks):
            # The first chunk before the headers: what fails at once still gets a problem document.
            first = await anext(chunks)
            try:
                await response.prepare(request)
                await response.write(first)
                async for chunk in chunks:
                    await response.write(chunk)
                await response.write_eof()
            except ConnectionError:
                log.debug("left", extra={"request": {"id": visit.request_id}})
            except Exception as error:  # noqa: BLE001 - whatever it was, the answer is not whole
                log.warning("cut", extra={"request": {"id": visit.request_id, "cause": repr(error)}})
                if request.transport is not None:
                    request.transport.abort()
        return response

    def _etag(self, visit: Visit, answer: Answer, rendered: Rendered, *, gzip: bool) -> str:
        assert answer.tag is not None  # noqa: S101 - the caller has looked
        assert visit.resolved is not None  # noqa: S101 - only bound operations have tags
        name, revision = answer.tag
        version = answer.reply.headers.get(DATASET_VERSION)
        return entity_tag(
            revision,
            (
                self._operation.id,
                name,
                visit.request.path,
                visit.resolved.contract.date.isoformat(),
                *(() if version is None else (version,)),
                *answer.normalised,
                rendered.media_type,
                "gzip" if gzip else "identity",
            ),
        )

    def _problem(self, visit: Visit, error: AeroliteError) -> web.StreamResponse:
        response = problems.response(error, visit.request_id)
        self._promise(response.headers, visit)
        return self._finish(visit, response)

    def _promise(self, headers: CIMultiDict[str], visit: Visit) -> None:
        """Add the headers that every answer of a contract-bound path has."""
        headers["Server"] = SERVER
        headers["X-Content-Type-Options"] = "nosniff"
        if not self._operation.bound:
            return
        headers["Vary"] = VARY
        private = AUTHORIZATION in visit.request.headers
        headers.setdefault("Cache-Control", "private, no-cache" if private else "no-cache")
        if visit.resolved is not None:
            self._promises.add(headers, visit.resolved)

    def _finish(self, visit: Visit, response: web.StreamResponse) -> web.StreamResponse:
        """Add what differs from request to request."""
        response.headers[X_REQUEST_ID] = visit.request_id
        self._shared.cors.allow(visit.request, response)
        if self._shared.lifecycle.draining:
            response.force_close()
        return response


def _without_content(headers: CIMultiDict[str]) -> CIMultiDict[str]:
    kept = headers.copy()
    for name in ("Content-Type", "Content-Encoding", "Content-Length"):
        kept.popall(name, None)
    return kept


class Visit:
    """One request on its way: what is known of it so far."""

    __slots__ = ("caller", "request", "request_id", "resolved")

    def __init__(self, request: web.Request, request_id: str) -> None:
        self.request = request
        self.request_id = request_id
        self.resolved: Resolved | None = None
        self.caller = NOBODY


NOBODY = Caller(None, frozenset())
