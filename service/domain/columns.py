"""Columns and their types: one small lattice, so that a type always fits the whole column."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class ColumnType(StrEnum):
    """The type that all values of a column have.

    `empty` has no value yet and takes anything. `integer` and `number` follow JSON's number grammar (RFC
    8259, section 6). `date` is `YYYY-MM-DD`, `timestamp` an RFC 3339 date-time (`T` or a blank between,
    the offset may be absent); both stay strings in answers. `json` holds arrays, objects or mixed values.
    """

    EMPTY = "empty"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    STRING = "string"
    JSON = "json"


_TEXTUAL = frozenset({ColumnType.STRING, ColumnType.DATE, ColumnType.TIMESTAMP})


def join(left: ColumnType, right: ColumnType, *, textual: bool) -> ColumnType:
    """Return the narrowest type that holds the values of both.

    `textual` says that the values are cells of text (a CSV's), where everything fits `string`; between JSON
    values of different kinds only `json` holds both.
    """
    if left is right or right is ColumnType.EMPTY:
        return left
    if left is ColumnType.EMPTY:
        return right
    if {left, right} == {ColumnType.INTEGER, ColumnType.NUMBER}:
        return ColumnType.NUMBER
    if textual and ColumnType.JSON not in {left, right}:
        return ColumnType.STRING
    if left in _TEXTUAL and right in _TEXTUAL:
        return ColumnType.STRING
    return ColumnType.JSON


@dataclass(frozen=True, slots=True)
class Column:
    """A named column.

    `textual`: its values came as cells of text, so `"5"` may stand for the number 5 and `""` for no value;
    where it is False the JSON values mean what they are.
    """

    name: str
    type: ColumnType = ColumnType.EMPTY
    textual: bool = False

    def holds(self, kind: ColumnType, *, text: bool) -> bool:
        """Whether a value of this kind fits as the column is; `text`: the value is a cell of text."""
        return self.type is ColumnType.EMPTY or join(self.type, kind, textual=text) is self.type

    def taking(self, kind: ColumnType, *, text: bool) -> Column:
        """Return the column once it has taken in a value of this kind.

        A cell of text (`text`) makes the column textual, unless it is one of JSON strings or mixed values:
        there `""` already stands for itself.
        """
        verbatim = self.type in {ColumnType.STRING, ColumnType.JSON}
        textual = self.textual or (text and not verbatim)
        joined = join(self.type, kind, textual=text)
        if joined is self.type and textual is self.textual:
            return self
        return Column(self.name, joined, textual)

    def as_document(self) -> dict[str, Any]:
        """Return the column as a JSON document."""
        return {"name": self.name, "type": self.type.value, "textual": self.textual}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Column:
        """Read back what `as_document` wrote."""
        return cls(document["name"], ColumnType(document["type"]), document["textual"])
