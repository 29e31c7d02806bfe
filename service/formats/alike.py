"""Records as rows: what is known of their members once need not be looked for in each."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import msgspec
from msgspec.structs import astuple

MAX_MEMBERS = 200
"""Records of more are read as if they differed: a type of so many members is too large to be kept."""

encoder = msgspec.json.Encoder()


class Reader:
    """Reads records that all have members of these names, in this order."""

    def __init__(self, names: tuple[str, ...]) -> None:
        """Raise `ValueError` where the names cannot be those of a type."""
        self._decoder = msgspec.json.Decoder(row_type(names))

    def rows(self, records: Sequence[bytes]) -> list[tuple[msgspec.Raw, ...]] | None:
        """Return the values of each record, or None where one has other members or another order."""
        return rows_of(self._decoder, b"\n".join([*records, b""]))


class Writer:
    """Writes of each row the values at these places, under these names."""

    def __init__(self, names: tuple[str, ...], places: Sequence[int]) -> None:
        """Raise `ValueError` where the names cannot be those of a type."""
        self._type = row_type(names)
        self._pick = None if len(places) == 1 else itemgetter(*places)
        self._place = places[0]

    def records(self, rows: Sequence[tuple[msgspec.Raw, ...]]) -> list[bytes]:
        """Return a record for each row."""
        return encoder.encode_lines(self._picked(rows)).split(b"\n")[:-1]

    def joined(self, rows: Sequence[tuple[msgspec.Raw, ...]]) -> bytes:
        """Return the records with commas between them."""
        return encoder.encode(self._picked(rows))[1:-1]

    def _picked(self, rows: Sequence[tuple[msgspec.Raw, ...]]) -> list[msgspec.Struct]:
        make, pick = self._type, self._pick
        if pick is None:
            return [make(row[self._place]) for row in rows]
        return [make(*pick(row)) for row in rows]


class Renaming:
    """Leads members of the first names out under the second, in this order; the others stay away."""

    def __init__(self, old: tuple[str, ...], new: tuple[str, ...]) -> None:
        """Raise `ValueError` where the names cannot be those of a type."""
        self._decoder = msgspec.json.Decoder(row_type(old, whole=False))
        self._new = row_type(new, whole=False)

    def records(self, records: Sequence[bytes]) -> list[bytes]:
        """Return the records."""
        return encoder.encode_lines(self._renamed(records)).split(b"\n")[:-1]

    def joined(self, records: Sequence[bytes]) -> bytes:
        """Return the records with commas between them."""
        return encoder.encode(self._renamed(records))[1:-1]

    def _renamed(self, records: Sequence[bytes]) -> list[msgspec.Struct]:
        new = self._new
        return [new(*astuple(row)) for row in self._decoder.decode_lines(b"\n".join(records))]


def rows_of(decoder: msgspec.json.Decoder[Any], lines: bytes) -> list[tuple[Any, ...]] | None:
    """Return the values of records that a decoder of their type reads, if it tells all that they say."""
    try:
        rows = decoder.decode_lines(lines)
    except msgspec.ValidationError:
        return None
    return list(map(astuple, rows)) if encoder.encode_lines(rows) == lines else None


def row_type(names: tuple[str, ...], *, whole: bool = True, of: type = msgspec.Raw) -> type[msgspec.Struct]:
    """Return a type with members of these names; `whole`: a record has them all.

    Raises `ValueError` for a quote, a backslash or a control character in a name, and for too many.
    """
    if not 0 < len(names) <= MAX_MEMBERS:
        raise ValueError(f"A type of records has 1 to {MAX_MEMBERS} names.")
    fields = [f"m{at}" for at in range(len(names))]
    return msgspec.defstruct(
        "Row",
        [(field, of) if whole else (field, of, msgspec.UNSET) for field in fields],
        rename=dict(zip(fields, names, strict=True)),
        gc=False,
    )
