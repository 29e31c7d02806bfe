"""The role that clients' statements run as: its name, and a password that every replica derives."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

_MAX_NAME_BYTES = 63
_ITERATIONS = 4096


@dataclass(frozen=True, slots=True)
class Role:
    """A role, and its password; None where the URL has none, so that the server asks for none."""

    name: str
    password: str | None = field(repr=False)

    @classmethod
    def of(cls, url: str, database: str) -> Role:
        """Return the role for a database (roles are those of the whole server)."""
        name = f"aerolite_sql_{database}"
        if len(name.encode()) > _MAX_NAME_BYTES:
            name = f"aerolite_sql_{hashlib.sha256(database.encode()).hexdigest()[:32]}"
        secret = password_of(url)
        if secret is None:
            return cls(name, None)
        return cls(name, hmac.digest(secret.encode(), name.encode(), "sha256").hex())

    def verifier(self) -> str | None:
        """Return what a server keeps of the password, so that the password itself stands in no log.

        RFC 5803, as PostgreSQL writes it (`pg_authid.rolpassword`).
        """
        if self.password is None:
            return None
        salt = secrets.token_bytes(16)
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), salt, _ITERATIONS)
        stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
        server = hmac.digest(salted, b"Server Key", "sha256")
        return f"SCRAM-SHA-256${_ITERATIONS}:{_base64(salt)}${_base64(stored)}:{_base64(server)}"


def password_of(url: str) -> str | None:
    """Return the password in a URL, or None."""
    parts = urlsplit(url)
    _, _, password = parts.netloc.rpartition("@")[0].partition(":")
    return unquote(password) or parse_qs(parts.query).get("password", [None])[-1]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
