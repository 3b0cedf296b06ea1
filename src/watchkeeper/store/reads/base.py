"""What every read shares: the one method it needs of the store, time ranges, and values on their way to JSON.

Enters: Arrow tables of the store. Leaves: plain Python data. Nothing here knows a signal, and nothing writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import orjson
import pyarrow as pa

from watchkeeper.signals.schema import TIME_MAX_UNIX_NS

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS

READ_ROWS_MAX = 500_000
"""Rows of an intermediate answer (counts by bucket and the like); every read limits what it shows far below this."""


class Queryable(Protocol):
    """The part of the store that reads use: SQL over the tables logs, metrics and spans."""

    def sql(
        self,
        query: str,
        parameters: Sequence[Any] | Mapping[str, Any] = (),
        *,
        rows_max: int | None = None,
        timeout_s: float | None = None,
        time_range_unix_ns: tuple[int, int] | None = None,
    ) -> pa.Table:
        """Run one reading statement; `time_range_unix_ns` only prunes files and does not filter rows."""


class TimeRange(NamedTuple):
    """Half-open: `from_unix_ns` belongs to it, `to_unix_ns` does not."""

    from_unix_ns: int
    to_unix_ns: int

    @property
    def width_ns(self) -> int:
        """Give the length, at least 1."""
        return max(1, self.to_unix_ns - self.from_unix_ns)


ALL_TIME = TimeRange(0, TIME_MAX_UNIX_NS)


def rows(
    store: Queryable, query: str, parameters: Sequence[Any] | Mapping[str, Any] = (), *, within: TimeRange = ALL_TIME
) -> list[dict[str, Any]]:
    """Run a query and give its rows as dictionaries; `within` tells the store which files can hold any."""
    table = store.sql(query, parameters, rows_max=READ_ROWS_MAX, time_range_unix_ns=(within[0], within[1]))
    return table.to_pylist()  # type: ignore[no-any-return]


def json_object(text: str | None) -> dict[str, Any]:
    """Read an attribute column; what is no JSON object (there should be none) is kept under the key `$text`."""
    if not text or text == "{}":
        return {}
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {"$text": text}
    return value if isinstance(value, dict) else {"$text": text}


def json_list(text: str | None) -> list[Any]:
    """Read a column that holds a JSON array, such as a span's events; anything else is an empty one."""
    if not text or text == "[]":
        return []
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return []
    return value if isinstance(value, list) else []


def attribute_pointer(name: str) -> str:
    """Give the JSON pointer (RFC 6901) of a top-level key as signals/any_value.py writes it.

    >>> attribute_pointer("http.route"), attribute_pointer("a/b"), attribute_pointer("$x")
    ('/http.route', '/a~1b', '/$$x')
    """
    written = "$" + name if name.startswith("$") else name
    return "/" + written.replace("~", "~0").replace("/", "~1")


def filled(counts: Mapping[int, int], buckets: int) -> list[int]:
    """Give the counts of buckets 0 .. buckets-1, zero where there is none."""
    return [counts.get(index, 0) for index in range(buckets)]
