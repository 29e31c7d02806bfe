"""URLs of stores: parsed once, and never shown with their password."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, urlsplit

_SECRET_PARAMETER = re.compile(r"([?&][^=&#]*(?:pass|pwd|secret|token)[^=&#]*=)[^&#]*", re.IGNORECASE)

FILE_SCHEMES = frozenset({"sqlite"})
PLACELESS_SCHEMES = frozenset({"memory", "duckdb"})


def redact(url: str) -> str:
    """Return the URL with `***` for its password and for parameters that look like one.

    It may be no URL at all (that is when it stands in an error), so it hides too much rather than too little:
    all behind the user's name up to the last `@`, or everything up to there where no user is named.
    """
    scheme, separator, rest = url.rpartition("://") if url.count("://") == 1 else ("", "", url)
    rest = _SECRET_PARAMETER.sub(r"\1***", rest)
    credentials, at, host = rest.rpartition("@")
    if at and not rest.startswith("/"):
        user, colon, _ = credentials.partition(":")
        rest = f"{user}:***@{host}" if colon else f"***@{host}"
    return f"{scheme}{separator}{rest}"


@dataclass(frozen=True, slots=True)
class StorageUrl:
    """The address of a storage, database or queue.

    `text` is the whole URL for the driver, password and all; `str()` and `repr()` show it redacted. `scheme`
    chooses the backend. `path` is the file of a `sqlite:` URL: `sqlite:///var/a.db` is relative,
    `sqlite:////var/a.db` absolute; None for all others.
    """

    text: str = field(repr=False)
    scheme: str
    path: Path | None = None

    @classmethod
    def parse(cls, text: str) -> StorageUrl:
        """Read a URL; raises `ValueError` where it has no scheme, no host or no file."""
        if not text.isprintable() or "://" not in text:
            raise ValueError(redact(text))
        parts = urlsplit(text)
        if parts.scheme in FILE_SCHEMES:
            return cls(text, parts.scheme, _file(text))
        if parts.scheme in PLACELESS_SCHEMES:
            if text != f"{parts.scheme}://":
                raise ValueError(redact(text))
        else:
            _check_server(parts)
        return cls(text, parts.scheme)

    @classmethod
    def for_file(cls, path: Path) -> StorageUrl:
        """Return the `sqlite:` URL of a file."""
        return cls(f"sqlite:///{path}", "sqlite", path)

    @property
    def redacted(self) -> str:
        """The URL as it may stand in a log."""
        return redact(self.text)

    def __str__(self) -> str:
        return self.redacted


def _check_server(parts: SplitResult) -> None:
    """Refuse what the drivers would take for something else without a word."""
    hosts = parts.netloc.rpartition("@")[2].split(",")
    # PostgreSQL's way to name a directory of Unix sockets (libpq, section 34.1.1.2).
    elsewhere = parts.scheme == "postgresql" and hosts == [""] and "host" in parse_qs(parts.query)
    if not elsewhere and not all(
        re.fullmatch(r"([^:\[\]\s]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?", host) for host in hosts
    ):
        raise ValueError(parts.scheme)
    # A Redis database is a number (redis-py takes any other path for 0), and a cluster has just one.
    numbers = {"redis": r"(/[0-9]{0,4})?", "rediss": r"(/[0-9]{0,4})?", "redis+cluster": "/?0?"}
    if re.fullmatch(numbers.get(parts.scheme, ".*"), parts.path) is None:
        raise ValueError(parts.scheme)


def _file(text: str) -> Path:
    """Return the file of a `scheme:///path`, which is taken as it stands: nothing is percent-decoded."""
    place = text.partition("://")[2]
    # `?` and `#` would begin SQLite's own URI parameters, and `:memory:` would be forgotten at exit.
    if not place.startswith("/") or place.endswith(("/", ":memory:")) or set("?#") & set(place):
        raise ValueError(text)
    return Path(place[1:])
