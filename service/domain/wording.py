"""How errors speak of what was sent: bounded, escaped, by RFC 6901 pointer."""

from __future__ import annotations

import msgspec

_SHOWN_CHARS = 60


def quoted(text: str) -> str:
    """Return a name or value as a JSON string of at most about 60 characters, fit for a message."""
    shown = text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
    return msgspec.json.encode(shown).decode()


def pointer(*names: str | int) -> str:
    """Return the JSON pointer (RFC 6901) that leads through these members and indexes."""
    return "".join("/" + str(name).replace("~", "~0").replace("/", "~1") for name in names)
