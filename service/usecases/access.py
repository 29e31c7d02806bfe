"""Access: API keys, what they may do, and the contract day that each is pinned to.

A key is known by its SHA-256 only. Its document holds the pin too, so a request costs one look-up, and both
change by compare-and-set.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from service.domain.access import Caller, Scope
from service.domain.errors import Busy, Conflict, InvalidContent, KeyNotFound, Unauthenticated
from service.ports.clock import Clock
from service.ports.storage import Document, Documents

KEYS = "key"
IDS = "key-id"
ADMIN = "admin"
MAX_KEY_CHARS = 512
MAX_NAME_CHARS = 200
ROLLBACK = timedelta(hours=72)
"""How long after a pin was moved it may go back."""

_ATTEMPTS = 16

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key: never the key itself."""

    id: str
    name: str
    scopes: frozenset[str]
    created: datetime
    pin: date | None


class Access:
    """Tells callers apart by `Authorization: Bearer KEY`, and keeps their keys."""

    def __init__(
        self,
        documents: Documents,
        clock: Clock,
        *,
        anonymous_scopes: frozenset[str],
        admin_key: str | None,
        first: date,
    ) -> None:
        self._documents = documents
        self._clock = clock
        self.anonymous = Caller(None, anonymous_scopes)
        self._admin = None if admin_key is None else _sha256(admin_key)
        self._first = first

    async def authenticate(self, authorization: str, *, contact: bool = False) -> Caller:
        """Return who sent this header.

        `contact` says that the request is to a contract-bound path: the first of a key pins it to this UTC
        day. Raises `Unauthenticated` for a key that is unknown or revoked.
        """
        digest = _digest_of(authorization)
        document = await self._documents.get(KEYS, digest)
        if self._admin is not None and hmac.compare_digest(digest, self._admin):
            document = document or await self._adopt(digest)
        elif document is None or document.body["id"] == ADMIN:
            raise Unauthenticated("The key is not known or was revoked.")
        if contact and document.body["pin"] is None:
            document = await self._pin_first(document)
        key = _key(document)
        return Caller(key.id, key.scopes, key.pin)

    async def create(self, name: str, scopes: frozenset[str]) -> tuple[Key, str]:
        """Return a new key: what is known of it, and the secret, which is not kept."""
        secret = f"aero_{secrets.token_urlsafe(32)}"
        digest, key_id = _sha256(secret), secrets.token_hex(8)
        body = self._body(key_id, name, scopes)
        # The id first: a key that works can then always be found and revoked.
        await self._documents.create(IDS, key_id, {"digest": digest})
        document = await self._documents.create(KEYS, digest, body)
        assert document is not None  # noqa: S101 - 256 random bits are not taken
        return _key(document), secret

    async def list(self, after: str, limit: int) -> tuple[Sequence[Key], str | None]:
        """Return at most `limit` keys behind an id, sorted by id, and the id behind which there are more."""
        listed = await self._documents.list(IDS, after=after, limit=limit + 1)
        last = listed[limit - 1].id if len(listed) > limit else None
        found = [await self._documents.get(KEYS, entry.body["digest"]) for entry in listed[:limit]]
        return [_key(document) for document in found if document is not None], last

    async def get(self, id: str) -> Key:
        """Return the key with this id. Raises `KeyNotFound`."""
        return _key(await self._find(id))

    async def revoke(self, id: str) -> None:
        """End a key, at once and on every replica.

        Raises `KeyNotFound`, and `Conflict` for that of the setting.
        """
        if id == ADMIN:
            raise Conflict("This key is the setting ADMIN_KEY: it ends when the setting does.")
        document = await self._find(id)
        await self._documents.remove(KEYS, document.id)
        await self._documents.remove(IDS, id)

    async def move_pin(self, id: str, day: date) -> Key:
        """Move a key's own pin forward, to today at most, or within 72 hours back to where it was.

        A key without a pin takes any day since the first contract. Raises `InvalidContent` where the day is
        none of these.
        """
        return await self._change(id, lambda body, now: self._moved(body, day, now))

    async def set_pin(self, id: str, day: date) -> Key:
        """Set any key's pin to any day that can be served, as an admin may.

        Raises `KeyNotFound`, `InvalidContent`.
        """
        return await self._change(id, lambda body, now: self._set(body, day, now))

    async def _change(self, id: str, change: Callable[[Body, datetime], Body]) -> Key:
        """Change a key's document, whoever else does so at the same time."""
        for _ in range(_ATTEMPTS):
            document = await self._find(id)
            body = change(document.body, self._clock.now())
            if body == document.body:
                return _key(document)
            if updated := await self._documents.update(KEYS, document.id, body, version=document.version):
                return _key(updated)
        raise Busy("The key is being changed by others; try again.")

    def _set(self, body: Body, day: date, now: datetime) -> Body:
        if not self._first <= day <= now.date():
            raise InvalidContent(
                f"A pin is a day from {self._first}, the first contract, to {now.date()} (today, UTC).",
                pointer="/date",
            )
        return {**body, "pin": day.isoformat(), "back": None}

    def _moved(self, body: Body, day: date, now: datetime) -> Body:
        if body["pin"] is None:
            return self._set(body, day, now)
        pin, back = date.fromisoformat(body["pin"]), body["back"]
        if day == pin:
            return body
        if back is not None and day.isoformat() == back["date"] and now < _moment(back["until"]):
            return {**body, "pin": back["date"], "back": None}
        if pin < day <= now.date():
            until = (now + ROLLBACK).isoformat()
            return {**body, "pin": day.isoformat(), "back": {"date": body["pin"], "until": until}}
        raise InvalidContent(
            f"The pin is {pin}: it moves forward, to {now.date()} (today, UTC) at most, "
            "and within 72 hours back to where it was.",
            pointer="/date",
        )

    async def _find(self, id: str) -> Document:
        digest = self._admin
        if id != ADMIN:
            entry = await self._documents.get(IDS, id) if id.isascii() and id.isalnum() else None
            digest = None if entry is None else entry.body["digest"]
        document = None if digest is None else await self._documents.get(KEYS, digest)
        if document is None:
            raise KeyNotFound(f"There is no key {id[:64]!r}; GET /keys lists those there are.")
        return document

    async def _adopt(self, digest: str) -> Document:
        """Give the key of the setting a document for its pin; it is worth nothing without the setting."""
        body = self._body(ADMIN, "ADMIN_KEY", frozenset(Scope))
        created = await self._documents.create(KEYS, digest, body)
        document = created or await self._documents.get(KEYS, digest)
        assert document is not None  # noqa: S101 - created now or by another just before
        return document

    async def _pin_first(self, document: Document) -> Document:
        """Store the day of the first contact; of many first contacts one is stored, and all get it."""
        body = {**document.body, "pin": self._clock.now().date().isoformat()}
        updated = await self._documents.update(KEYS, document.id, body, version=document.version)
        if updated is not None:
            return updated
        current = await self._documents.get(KEYS, document.id)
        if current is None:
            raise Unauthenticated("The key is not known or was revoked.")
        return current if current.body["pin"] is not None else await self._pin_first(current)

    def _body(self, id: str, name: str, scopes: frozenset[str]) -> Body:
        return {
            "id": id,
            "name": name,
            "scopes": sorted(scopes),
            "created": self._clock.now().isoformat(),
            "pin": None,
            "back": None,
        }


def _digest_of(authorization: str) -> str:
    scheme, _, key = authorization.partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key or len(key) > MAX_KEY_CHARS or not key.isascii():
        raise Unauthenticated("Send `Authorization: Bearer KEY`.")
    return _sha256(key)


def _sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _key(document: Document) -> Key:
    body = document.body
    return Key(
        id=body["id"],
        name=body["name"],
        scopes=frozenset(body["scopes"]),
        created=_moment(body["created"]),
        pin=date.fromisoformat(body["pin"]) if body["pin"] else None,
    )
