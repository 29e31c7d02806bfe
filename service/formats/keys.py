"""The values of a unique key: text that can stand in a URL and in any store's index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from service.domain.errors import InvalidContent
from service.formats.text import MAX_BYTES_PER_CHAR
from service.formats.wording import pointer, quoted

MAX_KEY_BYTES: Final = 1_024
"""PostgreSQL indexes entries of up to a third of a page of 8 KiB; this leaves room."""

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def key_of_record(key: str, record: bytes, values: Mapping[str, object]) -> str:
    """Return a record's key value: a string's text, another scalar's token. Raises `InvalidContent`."""
    value = values.get(key)
    if isinstance(value, str):
        text = value
    elif value is None:
        text = ""
    elif isinstance(value, (dict, list)):
        raise InvalidContent(
            f"The key {quoted(key)} must be a string, number or boolean.", pointer=pointer(key)
        )
    else:
        text = bytes(_members.decode(record)[key]).decode()
    check_key(key, text)
    return text


def unusable_keys(key: str, texts: Sequence[str]) -> dict[int, InvalidContent]:
    """Return, by index, an error for each text that cannot be a key value."""
    errors: dict[int, InvalidContent] = {}
    if (
        all(texts)
        and max(map(len, texts), default=0) * MAX_BYTES_PER_CHAR <= MAX_KEY_BYTES
        and "\0" not in "".join(texts)
    ):
        return errors
    for index, text in enumerate(texts):
        try:
            check_key(key, text)
        except InvalidContent as error:
            errors[index] = error
    return errors


def check_key(key: str, text: str) -> None:
    """Raise `InvalidContent` where a text cannot be a key value."""
    if not text:
        raise InvalidContent(f"The key {quoted(key)} has no value.", pointer=pointer(key))
    if "\0" in text:
        raise InvalidContent(f"The key {quoted(key)} holds a NUL.", pointer=pointer(key))
    if len(text) * MAX_BYTES_PER_CHAR > MAX_KEY_BYTES and len(text.encode()) > MAX_KEY_BYTES:
        raise InvalidContent(
            f"The key {quoted(key)} has more than {MAX_KEY_BYTES} bytes.", pointer=pointer(key)
        )
