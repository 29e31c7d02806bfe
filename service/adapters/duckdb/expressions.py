"""The client's columns, filters and orders as SQL over a snapshot's table; values are bound parameters."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from service.adapters.duckdb.columns import (
    MAX_BIGINT,
    MIN_BIGINT,
    Stored,
    filled,
    from_text,
    pointer,
    wide_key,
)
from service.adapters.duckdb.connections import literal
from service.domain.columns import Column, ColumnType
from service.domain.errors import InvalidCursor
from service.ports.engine import Behind, Derivation, Filter, Key, Operator, Order, Question, Value

_COMPARISONS = {
    Operator.EQ: "=",
    Operator.NE: "<>",
    Operator.GT: ">",
    Operator.GTE: ">=",
    Operator.LT: "<",
    Operator.LTE: "<=",
}
_TEXTS = frozenset({ColumnType.STRING, ColumnType.EMPTY})


class Bound:
    """The values of a statement, in the order of their numbers."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def __call__(self, value: object) -> str:
        """Return the placeholder of a value."""
        self.values.append(value)
        return f"${len(self.values)}"


@dataclass(frozen=True, slots=True)
class Expression:
    """A column of the client's view: SQL of its value for comparison, of its text, and of its JSON."""

    column: Column
    sql: str
    text: Callable[[Bound], str]
    json: Callable[[Bound], str]
    wide: bool = False

    @property
    def exact(self) -> bool:
        """Whether the value for comparison is also the value to show."""
        return self.column.type not in {ColumnType.TIMESTAMP, ColumnType.JSON}

    def shown(self, bound: Bound) -> str:
        """Return SQL of the value to show: the time as it was written, arrays and objects as JSON."""
        if self.exact:
            return self.sql
        return (self.text if self.column.type is ColumnType.TIMESTAMP else self.json)(bound)

    def pattern_text(self, bound: Bound) -> str:
        """Return SQL of the text that a pattern is held against."""
        return self.sql if self.column.type in _TEXTS else self.text(bound)


class Columns:
    """The columns that a question sees."""

    def __init__(self, stored: Mapping[str, Stored], view: tuple[Derivation, ...] | None) -> None:
        self._stored = stored
        self._view = None if view is None else {each.column.name: each for each in view}

    def names(self) -> list[str]:
        """Return the names in order."""
        return list(self._stored if self._view is None else self._view)

    def __getitem__(self, name: str) -> Expression:
        if self._view is None:
            return _plain(self._stored[name])
        derivation = self._view[name]
        source = None if derivation.source is None else self._stored.get(derivation.source)
        if source is not None and not derivation.steps and source.column.type is derivation.column.type:
            return _plain(source, derivation.column)
        return _derived(derivation, source)


def _plain(stored: Stored, column: Column | None = None) -> Expression:
    """Return the expression of a stored column, perhaps under another name."""

    def text(bound: Bound) -> str:
        member = f"json_extract_string(r, {bound(pointer(stored.column.name))})"
        return filled(member, textual=stored.column.textual)

    def as_json(bound: Bound) -> str:
        member = f"CAST(json_extract(r, {bound(pointer(stored.column.name))}) AS VARCHAR)"
        empty = f"nullif({member}, '\"\"')" if stored.column.textual else member
        return f"nullif({empty}, 'null')"

    return Expression(column or stored.column, stored.sql, text, as_json, stored.wide)


def _derived(derivation: Derivation, source: Stored | None) -> Expression:
    """Return the expression of a column that is computed from the text of a stored one."""
    text, nested = "CAST(NULL AS VARCHAR)", "FALSE"
    if source is not None and source.column.type in _TEXTS:
        text = source.sql
    elif source is not None:
        member = literal(pointer(source.column.name))
        text = filled(f"json_extract_string(r, {member})", textual=source.column.textual)
        if source.column.type is ColumnType.JSON:
            nested = f"coalesce(json_type(r, {member}) IN ('ARRAY', 'OBJECT'), FALSE)"
    for name, argument in derivation.steps:
        text = _STEPS[name](text, argument, nested)
    # An integer that was text may have any length.
    short = source is None or (source.column.type is ColumnType.INTEGER and not source.wide)
    wide = derivation.column.type is ColumnType.INTEGER and not short
    return Expression(
        derivation.column,
        from_text(text, derivation.column.type, wide=wide),
        lambda _: text,
        lambda _: f"CAST(to_json({text}) AS VARCHAR)",
        wide,
    )


# RFC 8259, section 6: what the view takes for a value of the type (`service.lenses.tokens`).
_GRAMMARS = {
    ColumnType.INTEGER: r"-?(?:0|[1-9][0-9]*)",
    ColumnType.NUMBER: r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?",
    ColumnType.BOOLEAN: "true|false",
}


def _cast(text: str, kind: Any, nested: str) -> str:
    """Return SQL of the text where it is one of the type; an array or object is none."""
    grammar = _GRAMMARS.get(ColumnType(kind))
    if grammar is None:
        return text if nested == "FALSE" else f"CASE WHEN NOT {nested} THEN {text} END"
    return f"CASE WHEN NOT {nested} AND regexp_full_match({text}, '{grammar}') THEN {text} END"


def _mapped(text: str, values: Mapping[str, str], nested: str) -> str:
    del nested
    cases = " ".join(f"WHEN {literal(old)} THEN {literal(new)}" for old, new in values.items())
    return f"CASE {text} {cases} ELSE {text} END"


def _defaulted(text: str, value: Any, nested: str) -> str:
    del nested
    if value is None:
        return text
    shown = json.dumps(value) if isinstance(value, bool) else str(value)
    return f"coalesce({text}, {literal(shown)})"


_STEPS: dict[str, Callable[[str, Any, str], str]] = {"cast": _cast, "map": _mapped, "default": _defaulted}


def condition(filters: Sequence[Filter], columns: Columns, bound: Bound) -> list[str]:
    """Return the filters as SQL conditions that must all hold."""
    return [_filter(each, columns[each.column], bound) for each in filters]


def _filter(each: Filter, expression: Expression, bound: Bound) -> str:
    operator, sql = each.operator, expression.sql
    if operator is Operator.NULL:
        return f"{sql} IS {'' if each.values[0] else 'NOT '}NULL"
    if operator is Operator.LIKE or operator is Operator.ILIKE:
        escape = r" ESCAPE '\'" if "\\" in str(each.values[0]) else ""
        text = expression.pattern_text(bound)
        return f"{text} {operator.value.upper()} {bound(each.values[0])}{escape}"
    if operator is Operator.IN:
        held = [_bindable(value, expression) for value in each.values if not _beyond(value, expression)]
        return f"{sql} IN ({', '.join(map(bound, held))})" if held else "FALSE"
    (value,) = each.values
    side = _beyond(value, expression)
    if side:
        lower = operator in {Operator.GT, Operator.GTE} and side < 0
        upper = operator in {Operator.LT, Operator.LTE} and side > 0
        return f"{sql} IS NOT NULL" if lower or upper or operator is Operator.NE else "FALSE"
    return f"{sql} {_COMPARISONS[operator]} {bound(_bindable(value, expression))}"


def _beyond(value: Value, expression: Expression) -> int:
    """Return -1 or 1 where a value lies below or above all that the column can hold, else 0."""
    if not isinstance(value, int) or expression.wide or isinstance(value, bool):
        return 0
    return (value > MAX_BIGINT) - (value < MIN_BIGINT)


def _bindable(value: Value, expression: Expression) -> object:
    return wide_key(value) if expression.wide and isinstance(value, int) else value


def order_terms(order: Sequence[Order], columns: Columns) -> list[str]:
    """Return what to sort by, but for the position."""
    return [f"{columns[each.column].sql} {'DESC' if each.descending else 'ASC'} NULLS LAST" for each in order]


def behind_condition(question: Question, behind: Behind, columns: Columns, bound: Bound) -> str:
    """Return the SQL condition of standing behind a place in the question's order."""
    position = f"p > {bound(behind.position)}"
    keys = behind.keys or ()
    if not question.order:
        return position
    terms, equal = [], []
    for order, key in zip(question.order, keys, strict=True):
        expression = columns[order.column]
        if key is None:  # nulls come last: nothing but nulls follows
            equal.append(f"{expression.sql} IS NULL")
            continue
        value = bound(_key(key, expression))
        sign = "<" if order.descending else ">"
        terms.append(" AND ".join([*equal, f"({expression.sql} {sign} {value} OR {expression.sql} IS NULL)"]))
        equal.append(f"{expression.sql} = {value}")
    terms.append(" AND ".join([*equal, position]))
    return "(" + " OR ".join(f"({term})" for term in terms) + ")"


_KEY_TYPES: dict[ColumnType, tuple[type, ...]] = {
    ColumnType.INTEGER: (int,),
    ColumnType.NUMBER: (float, int),
    ColumnType.BOOLEAN: (bool,),
    ColumnType.TIMESTAMP: (int,),
}


def _key(key: Key, expression: Expression) -> object:
    """Return the key of a cursor as a value to bind. Raises `InvalidCursor`."""
    kind = expression.column.type
    expected = (str,) if expression.wide else _KEY_TYPES.get(kind, (str,))
    if type(key) not in expected:
        raise no_place()
    if kind is ColumnType.DATE:
        try:
            return date.fromisoformat(str(key))
        except ValueError:
            raise no_place() from None
    return key


def key_of(value: Any) -> Key:
    """Return a value that records were sorted by as the key of a cursor."""
    return value.isoformat() if isinstance(value, date) else value


def no_place() -> InvalidCursor:
    """Return the error for a cursor that stands nowhere in the order that is asked for."""
    return InvalidCursor("after", "The cursor is not of this sort; begin again without `after`.")
