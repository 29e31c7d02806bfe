"""URLs of stores: parsed once, and never shown with their password."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, urlsplit

_SECRET_PARAMETER = re.compile(r"([?&][^=&#]*(?:pass|pwd|secret|token)[^=&#]*=)[^&#]*", re.IGNORECASE)

_NO_HOST = "it names no host, or none that there can be"

FILE_SCHEMES = frozenset({"sqlite"})
PLACELESS_SCHEMES = frozenset({"memory", "duckdb"})


class Unfit(ValueError):
    """What is wrong with a URL, in words that may be shown: they quote nothing of it."""


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
        """Read a URL. Raises `Unfit` for what is wrong behind its scheme, `ValueError` where it has none."""
        if not text.isprintable() or "://" not in text:
            raise ValueError(redact(text))
        try:
            parts = urlsplit(text)
        except ValueError:  # an IPv6 address that is none
            raise Unfit(_NO_HOST) from None
        if parts.scheme in FILE_SCHEMES:
            return cls(text, parts.scheme, _file(text))
        if parts.scheme in PLACELESS_SCHEMES:
            if text != f"{parts.scheme}://":
                raise Unfit(f"{parts.scheme}:// is all that it takes")
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
    """Refuse what the drivers would take for something else, or refuse only when they connect."""
    hosts = parts.netloc.rpartition("@")[2].split(",")
    # PostgreSQL's way to name a directory of Unix sockets (libpq, section 34.1.1.2).
    elsewhere = parts.scheme == "postgresql" and hosts == [""] and "host" in parse_qs(parts.query)
    for host in () if elsewhere else hosts:
        _check_host(host)
    # A Redis database is a number (redis-py takes any other path for 0), and a cluster has just one.
    if parts.scheme in {"redis", "rediss"} and re.fullmatch(r"(/[0-9]{0,4})?", parts.path) is None:
        raise Unfit("a database of Redis is a number")
    if parts.scheme == "redis+cluster" and parts.path not in {"", "/", "/0"}:
        raise Unfit("a Redis Cluster has no database but 0")


def _check_host(host: str) -> None:
    found = re.fullmatch(r"(?:[^:\[\]\s]+|\[[0-9a-fA-F:.]+\])(?::(?P<port>.*))?", host)
    if found is None:
        raise Unfit(_NO_HOST)
    port = found["port"]
    if port is not None and not (re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 1 << 16):
        raise Unfit("a port is a number from 1 to 65535")


def _file(text: str) -> Path:
    """Return the file of a `scheme:///path`, which is taken as it stands: nothing is percent-decoded."""
    place = text.partition("://")[2]
    # `?` and `#` would begin SQLite's own URI parameters, and `:memory:` would be forgotten at exit.
    if not place.startswith("/"):
        raise Unfit("a file follows three slashes, or four where its path is absolute")
    if place.endswith(("/", ":memory:")):
        raise Unfit("it names no file")
    if set("?#") & set(place):
        raise Unfit("it names a file with ? or # in it, which SQLite would not take for a part of the name")
    return Path(place[1:])
