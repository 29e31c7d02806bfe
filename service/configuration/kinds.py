"""The kinds of values that settings take: each reads a text strictly and says in words what it takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Generic, TypeVar

from service.configuration.urls import StorageUrl, redact

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

MAX_INTEGER = 2**63 - 1

_BYTES_PER_UNIT: dict[str, int] = {"": 1, "b": 1} | {
    f"{letter}{infix}b": base**power
    for infix, base in (("", 1000), ("i", 1024))
    for power, letter in enumerate("kmgt", start=1)
}


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A kind of value.

    `parse` reads its text or raises `ValueError`; `allowed` says what it takes. `mask` makes a text that may
    hold a secret fit to be seen. `show` is the value as a JSON scalar for a log.
    """

    parse: Callable[[str], T]
    allowed: str
    mask: Callable[[str], str] | None = None
    show: Callable[[T], str | int | float | bool] = str


def _matched(pattern: str, text: str) -> re.Match[str]:
    match = re.fullmatch(pattern, text, re.ASCII)
    if match is None:
        raise ValueError(text)
    return match


def _within(value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ValueError(value)


def _range(what: str, least: float, most: float) -> str:
    return f"{what}, at least {least}" if most == MAX_INTEGER else f"{what} from {least} to {most}"


def _items(text: str) -> list[str]:
    """Split a list at commas and blanks."""
    return text.replace(",", " ").split()


def integer(least: int, most: int = MAX_INTEGER, *, remark: str = "") -> Kind[int]:
    """Take a whole number in a range."""

    def parse(text: str) -> int:
        value = int(_matched(r"[0-9]{1,19}", text)[0])
        _within(value, least, most)
        return value

    return Kind(parse, _range("a whole number", least, most) + remark, show=int)


def seconds(least: float, most: float) -> Kind[float]:
    """Take a number of seconds in a range, fractions too."""

    def parse(text: str) -> float:
        value = float(_matched(r"[0-9]{1,9}(\.[0-9]{1,9})?", text)[0])
        _within(value, least, most)
        return value

    return Kind(parse, _range("a number of seconds", least, most), show=float)


def size(least: int, most: int = MAX_INTEGER) -> Kind[int]:
    """Take a number of bytes, as it is or with a unit (`64MiB`, `1 GiB`, `500 MB`)."""

    def parse(text: str) -> int:
        number, unit = _matched(r"([0-9]{1,19}) ?([A-Za-z]{0,3})", text).groups()
        if unit.lower() not in _BYTES_PER_UNIT:
            raise ValueError(text)
        value = int(number) * _BYTES_PER_UNIT[unit.lower()]
        _within(value, least, most)
        return value

    return Kind(parse, _range("bytes, such as 1048576, 64 MiB or 2 GB", least, most), show=int)


def choice(options: type[E]) -> Kind[E]:
    """Take one of a few words."""
    return Kind(options, " or ".join(options))


def subset(words: Iterable[str]) -> Kind[frozenset[str]]:
    """Take several of a few words."""
    known = tuple(words)

    def parse(text: str) -> frozenset[str]:
        chosen = frozenset(_items(text))
        if not chosen <= set(known):
            raise ValueError(text)
        return chosen

    return Kind(parse, f"a list of {', '.join(known)}", show=lambda chosen: ",".join(sorted(chosen)))


def url(schemes: Iterable[str]) -> Kind[StorageUrl]:
    """Take the URL of a store."""
    known = tuple(schemes)

    def parse(text: str) -> StorageUrl:
        if text.partition("://")[0].lower() not in known:
            raise ValueError(redact(text))
        return StorageUrl.parse(text)

    forms = ("sqlite:///FILE" if scheme == "sqlite" else f"{scheme}://" for scheme in known)
    return Kind(parse, f"a URL with {', '.join(forms)}", mask=redact)


def _parse_boolean(text: str) -> bool:
    values = {"1": True, "true": True, "0": False, "false": False}
    if text.lower() not in values:
        raise ValueError(text)
    return values[text.lower()]


def _parse_host(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        label = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
        name = _matched(rf"{label}(\.{label})*", text)[0]
    # What looks like an address and is none would be looked up as a name, which takes long and fails later.
    if len(name) > 253 or re.fullmatch(r"[0-9.]+", name):
        raise ValueError(text)
    return name


def _parse_prefix(text: str) -> str:
    return _matched(r"/|(/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+/?", text)[0].rstrip("/")


def _parse_origins(text: str) -> tuple[str, ...]:
    origins = tuple(dict.fromkeys(item.lower() for item in _items(text)))
    for origin in origins:
        _matched(r"\*|[a-z][a-z0-9+.-]*://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", origin)
    if "*" in origins and len(origins) > 1:
        raise ValueError(text)
    return origins


def _parse_text(text: str) -> str:
    if not text.isprintable() or len(text) > 200:
        raise ValueError(text)
    return text


def _parse_path(text: str) -> Path:
    if not text.isprintable():
        raise ValueError(text)
    return Path(text)


def _hide(_: Any) -> str:
    return "***"


BOOLEAN = Kind(_parse_boolean, "1, 0, true or false", show=bool)
HOST = Kind(_parse_host, "an IP address or a host name")
PREFIX = Kind(_parse_prefix, "a path such as /api, of letters, digits and - . _ ~")
ORIGINS = Kind(_parse_origins, "* or a list of origins such as https://example.org", show=",".join)
TEXT = Kind(_parse_text, "at most 200 printable characters")
DIRECTORY = Kind(_parse_path, "the path of a directory")
API_KEY = Kind(
    # RFC 6750, section 2.1: what can stand behind `Authorization: Bearer`. Eight characters keep out `admin`.
    lambda text: _matched(r"(?=.{8,256}\Z)[A-Za-z0-9._~+/-]+=*", text)[0],
    "8 to 256 letters, digits and - . _ ~ + /",
    mask=_hide,
    show=_hide,
)
