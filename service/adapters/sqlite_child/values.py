"""Values of a dataset's records as SQLite's: what a view's column shows of a record."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from service.adapters.sqlite_child.messages import ColumnSpec
from service.domain.columns import ColumnType

Value: TypeAlias = str | int | float | None

_MIN, _MAX = -(1 << 63), (1 << 63) - 1
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_string = msgspec.json.Decoder(str)

# RFC 8259, section 6: what a cast takes for a value of the type.
_GRAMMARS = {
    ColumnType.INTEGER: re.compile(r"-?(?:0|[1-9][0-9]*)"),
    ColumnType.NUMBER: re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"),
    ColumnType.BOOLEAN: re.compile(r"true|false"),
}


class Records:
    """Shows columns of records; the last record is kept decoded, since its columns come one by one."""

    def __init__(self, columns: Sequence[ColumnSpec]) -> None:
        self._columns = [(spec.source, _compiled(spec)) for spec in columns]
        self._record: bytes | None = None
        self._id: int | None = None
        self._members: Mapping[str, msgspec.Raw] = {}

    def unknown(self, id: int) -> bool:
        """Return whether the record of an id must be given next: it is not the last that was."""
        if id == self._id:
            return False
        self._id = id
        return True

    def value(self, record: bytes | None, place: int) -> Value:
        """Return what the column at a place shows of a record; None is the last one."""
        if record is not None and record != self._record:
            self._members = _members.decode(record)
            self._record = record
        source, shown = self._columns[place]
        found = None if source is None else self._members.get(source)
        return shown(None if found is None else bytes(found))


def _compiled(spec: ColumnSpec) -> Callable[[bytes | None], Value]:
    kind = ColumnType(spec.type)
    if kind is ColumnType.JSON and not spec.steps:
        return lambda token: _as_json(token, textual=spec.textual)
    steps = [_STEPS[name](argument) for name, argument in spec.steps]
    finish = _FINISHES.get(kind, _same)

    def shown(token: bytes | None) -> Value:
        text, nested = _text(token, textual=spec.textual)
        for step in steps:
            text = step(text, nested)
        return None if text is None else finish(text)

    return shown


def _text(token: bytes | None, *, textual: bool) -> tuple[str | None, bool]:
    """Return the text of a value, None where it is none, and whether it is an array or object."""
    if token is None or token == b"null" or (textual and token == b'""'):
        return None, False
    if token[:1] == b'"':
        return _string.decode(token), False
    return token.decode(), token[:1] in {b"[", b"{"}


def _as_json(token: bytes | None, *, textual: bool) -> str | None:
    text, _ = _text(token, textual=textual)
    return None if text is None or token is None else token.decode()


Step: TypeAlias = Callable[[str | None, bool], str | None]


def _cast(to: str) -> Step:
    grammar = _GRAMMARS.get(ColumnType(to))

    def step(text: str | None, nested: bool) -> str | None:
        if text is None or nested:
            return None
        return text if grammar is None or grammar.fullmatch(text) else None

    return step


def _mapped(values: Mapping[str, str]) -> Step:
    return lambda text, _: None if text is None else values.get(text, text)


def _defaulted(value: Any) -> Step:
    shown = value if isinstance(value, str) or value is None else json.dumps(value)
    return lambda text, _: shown if text is None else text


_STEPS: dict[str, Callable[[Any], Step]] = {"cast": _cast, "map": _mapped, "default": _defaulted}


def _same(text: str) -> Value:
    return text


def _integer(text: str) -> Value:
    """Return the integer; one that 64 bits cannot hold stays its digits, which lose nothing."""
    if len(text) > len(str(_MIN)):
        return text
    number = int(text)
    return number if _MIN <= number <= _MAX else text


_FINISHES: dict[ColumnType, Callable[[str], Value]] = {
    ColumnType.INTEGER: _integer,
    ColumnType.NUMBER: float,
    ColumnType.BOOLEAN: lambda text: int(text == "true"),
    ColumnType.JSON: json.dumps,
}
