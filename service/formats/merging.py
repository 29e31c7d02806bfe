"""JSON Merge Patch (RFC 7396) on bytes: what the patch does not name keeps its own."""

from __future__ import annotations

import msgspec

from service.formats.fitting import canonical

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def merge_patch(target: bytes, patch: bytes) -> bytes:
    """Return the target record with the patch merged in. Raises `InvalidContent` (the patch)."""
    return _merge(target, canonical(patch))


def _merge(target: bytes, patch: bytes) -> bytes:
    """Merge objects; `canonical` has bounded their depth, and so this recursion."""
    members = _members.decode(target) if target[:1] == b"{" else {}
    for name, value in _members.decode(patch).items():
        raw = bytes(value)
        if raw == b"null":
            members.pop(name, None)
        elif raw[:1] == b"{":
            members[name] = msgspec.Raw(_merge(bytes(members.get(name, b"null")), raw))
        else:
            members[name] = value
    return msgspec.json.encode(members)
