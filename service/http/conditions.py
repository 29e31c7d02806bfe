"""Entity tags and preconditions (RFC 9110, section 13).

A tag is `"REVISION-HASH"`: the revision tells whether a write is up to date in any representation, the hash
tells representations of one revision apart.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from aiohttp import web

from service.domain.errors import PreconditionFailed
from service.ports.storage import Guard

_TAG = re.compile(r'(?:W/)?"([^"]*)"')


def entity_tag(revision: int, parts: Iterable[str]) -> str:
    """Return the ETag of one representation of a revision."""
    hasher = hashlib.blake2b(digest_size=8)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        hasher.update(b"%d:" % len(encoded) + encoded)
    return f'"{revision}-{hasher.hexdigest()}"'


def is_known(request: web.Request, tag: str) -> bool:
    """Return whether `If-None-Match` says that the client has this representation already."""
    header = request.headers.get("If-None-Match")
    if header is None:
        return False
    return header.strip() == "*" or _opaque(tag) in _TAG.findall(header)


def guard_of(request: web.Request, revision: int, *, exists: bool) -> Guard:
    """Return what a write's `If-Match` and `If-None-Match` ask for, given the current revision.

    Raises `PreconditionFailed` where it does not hold already; the commit checks the guard again.
    """
    wanted = request.headers.get("If-Match")
    if wanted is not None:
        if not exists or not (wanted.strip() == "*" or revision in _revisions(wanted)):
            raise PreconditionFailed("The resource has changed since; read it again.")
        return Guard(exists=True) if wanted.strip() == "*" else Guard(revision=revision)
    unwanted = request.headers.get("If-None-Match")
    if unwanted is not None:
        if exists and (unwanted.strip() == "*" or revision in _revisions(unwanted)):
            raise PreconditionFailed("The resource is there already.")
        return Guard() if exists else Guard(revision=0)
    return Guard()


def _revisions(header: str) -> set[int]:
    numbers = (tag.partition("-")[0] for tag in _TAG.findall(header))
    return {int(number) for number in numbers if number.isascii() and number.isdigit() and len(number) < 19}


def _opaque(tag: str) -> str:
    return tag.removeprefix("W/").strip('"')
