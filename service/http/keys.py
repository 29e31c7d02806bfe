"""`/keys`: API keys for admins, and for each key who it is and what it is pinned to."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec

from service.contracts.messages import Document, Reply
from service.contracts.registry import Registry
from service.contracts.resolve import choose
from service.domain.access import Scope
from service.domain.dates import parse_version
from service.domain.errors import InvalidContent, Unauthenticated, VersionError, VersionMalformed
from service.http import parameters
from service.http.answers import Answer, Ask
from service.http.moments import moment
from service.http.uploads import Uploads
from service.ports.clock import Clock
from service.usecases.access import MAX_NAME_CHARS, Access, Key

MAX_LISTED = 1000


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /keys."""

    name: str
    scopes: list[Scope]


class NewPin(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST …/pin."""

    date: str


class KeysResource:
    """API keys."""

    def __init__(self, access: Access, registry: Registry, uploads: Uploads, clock: Clock) -> None:
        self._access = access
        self._registry = registry
        self._uploads = uploads
        self._clock = clock

    async def list(self, ask: Ask) -> Answer:
        """List the keys, a page at a time."""
        after, limit = parameters.listing(ask.query, MAX_LISTED)
        keys, last = await self._access.list(after, limit)
        following = None if last is None else f"{ask.link_base}/keys?after={last}&limit={limit}"
        return _answer({"keys": [self._describe(key) for key in keys], "next": following})

    async def create(self, ask: Ask) -> Answer:
        """Make a key; its secret is told this once."""
        wanted = _decode(await self._uploads.small_json(ask), NewKey)
        if not 0 < len(wanted.name) <= MAX_NAME_CHARS:
            raise InvalidContent(f"A name has 1 to {MAX_NAME_CHARS} characters.", pointer="/name")
        key, secret = await self._access.create(wanted.name, frozenset(wanted.scopes))
        answer = _answer({**self._describe(key), "key": secret})
        answer.reply.status = 201
        answer.reply.headers["Location"] = f"{ask.link_base}/keys/{key.id}"
        return answer

    async def read(self, ask: Ask) -> Answer:
        """Tell of one key."""
        return _answer(self._describe(await self._access.get(ask.path("id"))))

    async def revoke(self, ask: Ask) -> Answer:
        """End a key."""
        await self._access.revoke(ask.path("id"))
        return Answer(Reply(204))

    async def set_pin(self, ask: Ask) -> Answer:
        """Set a key's pin to any day."""
        day = await self._day(ask)
        return _answer(self._describe(await self._access.set_pin(ask.path("id"), day)))

    async def read_own(self, ask: Ask) -> Answer:
        """Tell a caller who it is."""
        caller = ask.caller
        if caller.key_id is None:
            nobody = {"id": None, "name": None, "scopes": sorted(caller.scopes), "created": None, "pin": None}
            return _answer({**nobody, "contract": self._registry.first.date.isoformat()})
        return _answer(self._describe(await self._access.get(caller.key_id)))

    async def move_own_pin(self, ask: Ask) -> Answer:
        """Move the caller's own pin."""
        if ask.caller.key_id is None:
            raise Unauthenticated("Only a key has a pin: send `Authorization: Bearer KEY`.")
        day = await self._day(ask)
        return _answer(self._describe(await self._access.move_pin(ask.caller.key_id, day)))

    async def _day(self, ask: Ask) -> date:
        """Return the day that a body names, if a header could ask for it as well.

        Raises `InvalidContent`, `VersionInFuture`, `VersionBeforeFirst`.
        """
        text = _decode(await self._uploads.small_json(ask), NewPin).date
        try:
            day = parse_version(text)
        except VersionMalformed as error:
            raise InvalidContent(f"{text!r:.40} is no day such as 2026-11-20.", pointer="/date") from error
        try:
            return choose(self._registry, (day.isoformat(),), None, self._clock.now()).day
        except VersionError as error:
            error.pointer = "/date"
            raise

    def _describe(self, key: Key) -> dict[str, Any]:
        contract = None if key.pin is None else self._registry.on(key.pin)
        return {
            "id": key.id,
            "name": key.name,
            "scopes": sorted(key.scopes),
            "created": moment(key.created),
            "pin": None if key.pin is None else key.pin.isoformat(),
            "contract": None if contract is None else contract.date.isoformat(),
        }


def _answer(value: Any) -> Answer:
    return Answer(Reply(200, Document(value), {"Cache-Control": "no-store"}))


def _decode(body: bytes, kind: Any) -> Any:
    """Return a body as a struct. Raises `InvalidContent` with the pointer to what is wrong."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        sentence, _, path = str(error).partition(" - at `$")
        raise InvalidContent(f"{sentence}.", pointer=_pointer(path.rstrip("`"))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidContent(f"The body is no JSON: {error}.") from None


def _pointer(path: str) -> str | None:
    """Return a JSON pointer for a path of msgspec's, such as `.scopes[0]`."""
    parts = path.replace("[", ".").replace("]", "").split(".")
    return "".join(f"/{part}" for part in parts if part) or None
