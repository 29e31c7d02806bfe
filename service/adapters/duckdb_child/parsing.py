"""What a statement is, by DuckDB's own parser: one, which reads, and which tables it names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import msgspec

from service.adapters.duckdb_child.failures import Refused, position

_TABLE_FUNCTIONS = frozenset(
    {
        "duckdb_columns",
        "duckdb_functions",
        "duckdb_keywords",
        "duckdb_tables",
        "duckdb_types",
        "duckdb_views",
        "generate_series",
        "histogram",
        "histogram_values",
        "json_each",
        "json_tree",
        "pg_timezone_names",
        "pragma_table_info",
        "pragma_version",
        "range",
        "repeat",
        "repeat_row",
        "summary",
        "test_all_types",
        "unnest",
    }
)
"""Those that touch nothing outside; all else reads files or settings, runs SQL of its own, or may one day."""

_REFUSED_FUNCTIONS = frozenset({"current_setting"})
_REFUSED_VIEWS = frozenset({"duckdb_databases", "duckdb_logs", "pg_settings", "pragma_database_list"})
"""What tells the settings and where the files are."""

_READING_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_LISTING_SCHEMAS = frozenset({"information_schema", "pg_catalog"})
_LISTING_NAMES = frozenset(
    {"duckdb_columns", "duckdb_tables", "duckdb_views", "sqlite_master", "sqlite_schema"}
)
_BLANK = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
_EXPLAIN = re.compile(
    rf"{_BLANK}EXPLAIN{_BLANK}(?:ANALYZE\b{_BLANK})?(?:\([^()]*\))?", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Parsed:
    """Which tables a statement names, as it spells them, and whether it asks what tables there are."""

    names: tuple[str, ...]
    listing: bool


def parse(connection: duckdb.DuckDBPyConnection, sql: str) -> Parsed:
    """Return what a statement names. Raises `Refused`, and DuckDB's error where it does not parse."""
    if "\0" in sql:
        # The parser takes it for the end, and would not see what follows.
        raise Refused("There is a NUL in the statement.", sql.index("\0") + 1)
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        many = f"One statement at a time: there are {len(statements)}."
        raise Refused(many if statements else "There is no statement.")
    kind = statements[0].type
    start = 0
    if kind is duckdb.StatementType.EXPLAIN:
        # What follows is parsed again by itself; what this misses does not parse then.
        explain = _EXPLAIN.match(sql)
        start = explain.end() if explain is not None else 0
    elif kind is not duckdb.StatementType.SELECT:
        if kind is duckdb.StatementType.MULTI:
            raise Refused("PIVOT needs its columns here: PIVOT … ON a IN (…).")
        raise Refused(f"Datasets can only be read: {_verb(kind.name)} is refused.", writes=True)
    return _named(_tree(connection, sql, start), sql)


def _tree(connection: duckdb.DuckDBPyConnection, sql: str, start: int) -> Any:
    found = connection.execute(
        "SELECT json_serialize_sql($1, skip_null := true, skip_empty := true, skip_default := true)",
        [sql[start:]],
    ).fetchone()
    try:
        tree = msgspec.json.decode(found[0] if found is not None else b"{}")
    except RecursionError:
        raise Refused("The statement is nested too deeply.") from None
    if tree["error"]:
        if tree["error_type"] == "not implemented":
            raise Refused("Only what reads can be explained.", writes=True)
        raise Refused(tree["error_message"], position(sql, tree.get("position"), start))
    return tree["statements"]


def _named(tree: Any, sql: str) -> Parsed:
    names: dict[str, None] = {}
    listing = False
    for node in _nodes(tree):
        _check_function(node, sql)
        kind = node.get("type")
        if "cte_map" in node and kind not in _READING_NODES:
            raise Refused(f"Datasets can only be read: {_verb(kind)} is refused.", writes=True)
        if kind == "TABLE_FUNCTION":
            listing |= node["function"].get("function_name", "").lower() in _LISTING_NAMES
        elif kind == "SHOW_REF" and "query" not in node:
            listing |= node.get("show_type") != "SHOW"
            names[_unquoted(node.get("table_name", ""))] = None
        elif kind == "BASE_TABLE":
            name = node["table_name"]
            if name.lower() in _REFUSED_VIEWS:
                raise Refused(f"{name} is not available.", position(sql, node.get("query_location")))
            listing |= node.get("schema_name", "").lower() in _LISTING_SCHEMAS
            listing |= name.lower() in _LISTING_NAMES
            names[name] = None
    return Parsed(tuple(names), listing)


def _check_function(node: dict[str, Any], sql: str) -> None:
    """Refuse what reaches outside. Raises `Refused`."""
    if node.get("type") == "TABLE_FUNCTION":
        function = node["function"]
        allowed = function.get("function_name", "").lower() in _TABLE_FUNCTIONS
    else:
        function = node
        allowed = str(node.get("function_name", "")).lower() not in _REFUSED_FUNCTIONS
    if not allowed:
        where = node.get("query_location", function.get("query_location"))
        raise Refused(f"The function {function.get('function_name')} is not available.", position(sql, where))


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield all objects in a tree; without recursion, which a client could exhaust."""
    left = [tree]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            yield each
            left.extend(reversed(each.values()))
        elif isinstance(each, list):
            left.extend(reversed(each))


def _verb(kind: object) -> str:
    return str(kind).removesuffix("_NODE").removesuffix("_QUERY").replace("_", " ")


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name[:1] == name[-1:] == '"' and len(name) > 1 else name
