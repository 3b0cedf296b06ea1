"""What users' SQL may be: one reading statement over logs, metrics and spans, told from DuckDB's own syntax tree.

This is one of two locks. The other is DuckDB's configuration (no file outside `telemetry/`, no extension, no change
of settings), set in store/query.py. Only what is known to be harmless passes: kinds of statements, tables, table
functions. Does not run anything of the user's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from watchkeeper.errors import QueryError
from watchkeeper.signals.schema import Signal

if TYPE_CHECKING:
    import duckdb

_EXPLAIN = re.compile(r"\s*explain\b(\s+analyze\b)?", re.IGNORECASE)
_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_TABLES = frozenset(signal.value for signal in Signal)
_FUNCTIONS = frozenset({"generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "unnest"})
_QUERY_CHARACTERS_MAX = 100_000


@dataclass(frozen=True)
class Checked:
    """A query that may run, the tables that it reads, and whether it only explains itself."""

    query: str
    signals: tuple[Signal, ...]
    explains: bool


def check(connection: duckdb.DuckDBPyConnection, query: str) -> Checked:
    """Tell what a query reads; raises QueryError for anything but one reading statement. Cost: ~1 ms."""
    if len(query) > _QUERY_CHARACTERS_MAX:
        raise QueryError(f"the query has {len(query)} characters; at most {_QUERY_CHARACTERS_MAX} are taken")
    explain = _EXPLAIN.match(query)
    tree = _parse(connection, query[explain.end() :] if explain else query)
    statements = tree["statements"]
    if len(statements) != 1:
        raise QueryError(f"{len(statements)} statements where one is expected; send them one by one")
    names: set[str] = set()
    common: set[str] = set()
    for node in _walk(statements):
        _check_node(node)
        if isinstance(node.get("cte_map"), dict):
            common.update(str(entry["key"]).lower() for entry in node["cte_map"].get("map", []))
        if node.get("type") == "BASE_TABLE":
            names.add(_table_name(node))
    unknown = sorted(names - common - _TABLES)
    if unknown:
        raise QueryError(f"there is no table {unknown[0]!r}; the tables are logs, metrics and spans")
    shows_all = any(node.get("type") == "SHOW_REF" and not node.get("query") for node in _walk(statements))
    signals = tuple(signal for signal in Signal if signal.value in names or shows_all)
    return Checked(query, signals, explains=explain is not None)


def _parse(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, Any]:
    rows = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchall()
    tree: dict[str, Any] = json.loads(rows[0][0])
    if not tree.get("error"):
        return tree
    message = str(tree.get("error_message", "it cannot be parsed"))
    if tree.get("error_type") == "not implemented":
        raise QueryError(
            "only reading statements are allowed: SELECT, WITH, FROM, VALUES, DESCRIBE, SUMMARIZE, EXPLAIN"
        )
    position = tree.get("position")
    raise QueryError(f"{message} (at character {position})" if position else message)


def _check_node(node: dict[str, Any]) -> None:
    kind = node.get("type")
    if isinstance(kind, str) and kind.endswith("_NODE") and kind not in _NODES:
        raise QueryError(f"only reading statements are allowed, also inside of others; {kind.lower()} is not one")
    if kind == "TABLE_FUNCTION":
        name = str(node.get("function", {}).get("function_name", "?")).lower()
        if name not in _FUNCTIONS:
            raise QueryError(f"the table function {name}() is not allowed; there are: {', '.join(sorted(_FUNCTIONS))}")


def _table_name(node: dict[str, Any]) -> str:
    name = str(node.get("table_name", "")).lower()
    schema = str(node.get("schema_name") or node.get("catalog_name") or "")
    return f"{schema}.{name}" if schema else name


def _walk(node: Any) -> Iterator[dict[str, Any]]:
    pending = [node]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            yield node
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)
