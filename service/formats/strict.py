"""JSON objects taken at their word: strict to RFC 8259, each name once, their own tokens kept."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from service.domain.errors import InvalidContent
from service.formats.wording import pointer, quoted

MAX_DEPTH: Final = 64
"""A record is at depth 1."""

MAX_FIELD_BYTES: Final = 16 << 20
"""A longer value is refused, in every format."""

NOT_UTF8: Final = "JSON must be UTF-8, and this is not."
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def parse_record(
    raw: bytes, *, max_depth: int = MAX_DEPTH, max_field_bytes: int = MAX_FIELD_BYTES
) -> tuple[bytes, dict[str, Any]]:
    """Return a record's canonical bytes and its decoded values.

    The bytes are what was sent without the blanks between tokens. The values serve to judge types: a number
    that Python's cannot hold is stood in for by another of its type. Raises `InvalidContent`.
    """
    record, values = parse(raw, max_depth=max_depth)
    if not isinstance(values, dict):
        raise InvalidContent(f"A record must be a JSON object; this is {_kind(values)}.")
    if len(record) > max_field_bytes:
        for name, value in _members.decode(record).items():
            if len(value) > max_field_bytes:
                raise InvalidContent(
                    f"The value of {quoted(name)} has more than {max_field_bytes} bytes.",
                    pointer=pointer(name),
                )
    return record, values


def parse(raw: bytes, *, max_depth: int = MAX_DEPTH) -> tuple[bytes, object]:
    """Return the canonical bytes and the decoded form of any JSON value. Raises `InvalidContent`."""
    try:
        record = msgspec.json.format(raw, indent=-1)
        values = _decoded(record, max_depth)
    except RecursionError:
        raise too_deep(max_depth) from None
    except UnicodeDecodeError:
        raise InvalidContent(NOT_UTF8) from None
    except msgspec.DecodeError as error:
        raise not_json(error) from None
    return record, values


def not_json(error: msgspec.DecodeError) -> InvalidContent:
    """Return the error for what the parser did not take."""
    reason = str(error).removeprefix("JSON is malformed: ")
    return InvalidContent(f"This is not valid JSON: {reason[:1].lower()}{reason[1:]}.")


def _decoded(record: bytes, max_depth: int) -> object:
    try:
        values: object = msgspec.json.decode(record)
    except msgspec.ValidationError:
        # Well-formed, as `format` has found, but with a number beyond Python's.
        values = _slowly_decoded(record)
    flat = b"[" not in record and record.count(b"{") < 2
    names = len(values) if flat and isinstance(values, dict) else _count_names(values, 1, max_depth)
    # Without blanks each name is one `":`, and a string can only add some: equal means that none was lost.
    if record.count(b'":') != names:
        _slowly_decoded(record)
    return values


def _count_names(value: object, depth: int, max_depth: int) -> int:
    """Return how many names the objects within a value have. Raises `InvalidContent` where it is too deep."""
    if isinstance(value, dict):
        names, inner = len(value), list(value.values())
    elif isinstance(value, list):
        names, inner = 0, value
    else:
        return 0
    if depth > max_depth:
        raise too_deep(max_depth)
    for item in inner:
        if type(item) is dict or type(item) is list:
            names += _count_names(item, depth + 1, max_depth)
    return names


def _slowly_decoded(record: bytes) -> object:
    """Decode with each pair looked at. Raises `InvalidContent` where a name occurs twice in an object."""
    values: object = json.loads(record.decode(), object_pairs_hook=_object, parse_int=_some_integer)
    return values


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidContent(f"The name {quoted(twice)} occurs twice in an object.", pointer=pointer(twice))
    return members


def _some_integer(token: str) -> int:
    """Stand in for an integer of any length, which `int` may refuse."""
    return len(token)


def _kind(value: object) -> str:
    kinds = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def too_deep(max_depth: int) -> InvalidContent:
    """Return the error for what is nested too deep."""
    return InvalidContent(f"The record is nested more than {max_depth} deep.")
