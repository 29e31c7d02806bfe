"""Access: which key a request was sent with, and what it may do."""

from __future__ import annotations

import hashlib
import hmac

from service.domain.access import Caller, Scope
from service.domain.errors import Unauthenticated
from service.ports.storage import Documents

KEYS = "key"
MAX_KEY_CHARS = 512


class Access:
    """Tells callers apart by `Authorization: Bearer KEY`; keys are known by their SHA-256 only."""

    def __init__(
        self, documents: Documents, *, anonymous_scopes: frozenset[str], admin_key: str | None
    ) -> None:
        self._documents = documents
        self.anonymous = Caller(None, anonymous_scopes)
        self._admin = None if admin_key is None else _sha256(admin_key)

    async def authenticate(self, authorization: str) -> Caller:
        """Return who sent this header. Raises `Unauthenticated` for a key that is unknown or revoked."""
        scheme, _, key = authorization.partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key or len(key) > MAX_KEY_CHARS or not key.isascii():
            raise Unauthenticated("Send `Authorization: Bearer KEY`.")
        digest = _sha256(key)
        if self._admin is not None and hmac.compare_digest(digest, self._admin):
            return Caller("admin", frozenset(Scope))
        document = await self._documents.get(KEYS, digest)
        if document is None:
            raise Unauthenticated("The key is not known or was revoked.")
        return Caller(document.body["id"], frozenset(document.body["scopes"]))


def _sha256(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
