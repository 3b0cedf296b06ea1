"""SQL over segments and hot batches: DuckDB in memory, one connection, a cursor for each query.

Enters: a query and a Snapshot taker. Leaves: an Arrow table of at most `rows_max` rows. The tables of a query are
temporary views on its own cursor: `read_parquet` of exactly the segments of its snapshot, the hot batches as Arrow,
and a column `time` (TIMESTAMPTZ). Segments that share their columns are scanned together; columns that older ones
lack are null. DuckDB is imported at the first query. Users' SQL is checked by store/sandbox.py first.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from watchkeeper.errors import QueryError
from watchkeeper.settings import Settings
from watchkeeper.signals.schema import SCHEMAS, Signal
from watchkeeper.store.sandbox import Checked, check
from watchkeeper.store.segments import Segment
from watchkeeper.store.view import Snapshot, TimeRange, View

if TYPE_CHECKING:
    import duckdb

_log = logging.getLogger(__name__)

THREADS = 2
BATCH_ROWS = 8192
CHECKED_KEPT = 256
TRUNCATED = b"watchkeeper.truncated"

Parameters = Sequence[Any] | Mapping[str, Any]


class HotTable:
    """Hot batches as DuckDB takes them: a new Arrow stream for each scan, without a copy."""

    def __init__(self, schema: pa.Schema, batches: Sequence[pa.RecordBatch]) -> None:
        self._schema = schema
        self._batches = list(batches)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Give the batches by the Arrow C stream interface."""
        reader = pa.RecordBatchReader.from_batches(self._schema, self._batches)
        return reader.__arrow_c_stream__(requested_schema)


class Queries:
    """Runs queries; safe to use from any thread. `suspect` is asked to quarantine what is broken among segments."""

    def __init__(
        self, telemetry: Path, settings: Settings, view: View, suspect: Callable[[Sequence[Segment]], int]
    ) -> None:
        self._telemetry = telemetry
        self._view = view
        self._suspect = suspect
        self._memory_bytes = settings.integer("query_memory_bytes_max")
        self._timeout_s = settings.number("query_timeout_s")
        self._rows_max = settings.integer("query_rows_max")
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._checked: OrderedDict[str, Checked] = OrderedDict()

    def run(
        self,
        query: str,
        parameters: Parameters = (),
        *,
        rows_max: int | None = None,
        timeout_s: float | None = None,
        time_range_unix_ns: TimeRange | None = None,
    ) -> pa.Table:
        """Run one reading statement; see Store.sql."""
        import duckdb

        cursor = self._cursor()
        try:
            return self._run(
                cursor,
                query,
                parameters,
                rows_max=self._rows_max if rows_max is None else rows_max,
                timeout_s=self._timeout_s if timeout_s is None else timeout_s,
                time_range=time_range_unix_ns,
            )
        except duckdb.Error as error:
            raise QueryError(_message(error)) from error
        finally:
            cursor.close()

    def close(self) -> None:
        """Close DuckDB."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _run(
        self,
        cursor: duckdb.DuckDBPyConnection,
        query: str,
        parameters: Parameters,
        *,
        rows_max: int,
        timeout_s: float,
        time_range: TimeRange | None,
    ) -> pa.Table:
        import duckdb

        checked = self._check(cursor, query)
        for attempt in (1, 2):
            with self._view.snapshot(checked.signals, time_range) as snapshot:
                try:
                    self._make_views(cursor, snapshot)
                    return _fetch(cursor, query, parameters, rows_max=rows_max, timeout_s=timeout_s)
                except _harmless_errors():
                    raise
                except duckdb.Error as error:
                    held = [segment for group in snapshot.segments.values() for segment in group]
                    if attempt == 2 or not self._suspect(held):
                        raise
                    _log.warning("a query met a broken segment and is run again without it: %s", error)
        raise AssertionError("the second attempt returns or raises")

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            if self._connection is None:
                self._connection = _connect(self._telemetry, self._memory_bytes)
            return self._connection.cursor()

    def _check(self, cursor: duckdb.DuckDBPyConnection, query: str) -> Checked:
        with self._lock:
            checked = self._checked.get(query)
        if checked is None:
            checked = check(cursor, query)
            with self._lock:
                self._checked[query] = checked
                while len(self._checked) > CHECKED_KEPT:
                    self._checked.popitem(last=False)
        return checked

    def _make_views(self, cursor: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> None:
        for signal, segments in snapshot.segments.items():
            cursor.register(f"hot_{signal.value}", HotTable(SCHEMAS[signal], snapshot.hot[signal]))
            cursor.execute(_view_sql(self._telemetry, signal, segments))


def _connect(telemetry: Path, memory_bytes: int) -> duckdb.DuckDBPyConnection:
    import duckdb

    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": str(THREADS),
            "memory_limit": f"{memory_bytes // 1024}KiB",
            "temp_directory": "",
            "python_enable_replacements": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
        },
    )
    for statement in (
        "SET GLOBAL TimeZone = 'UTC'",
        "SET GLOBAL parquet_metadata_cache = true",
        f"SET GLOBAL allowed_directories = [{_quoted(telemetry)}]",
        "SET GLOBAL enable_external_access = false",
        "SET GLOBAL lock_configuration = true",
    ):
        connection.execute(statement)
    return connection


def _view_sql(telemetry: Path, signal: Signal, segments: Sequence[Segment]) -> str:
    """Give the statement that makes a signal's table out of its hot batches and segments."""
    alike: dict[str, list[Segment]] = defaultdict(list)
    for segment in segments:
        alike[segment.columns].append(segment)
    parts = [f"SELECT * FROM hot_{signal.value}"]
    for group in alike.values():
        paths = ", ".join(_quoted(telemetry / segment.path) for segment in group)
        parts.append(f"SELECT * FROM read_parquet([{paths}], hive_partitioning = false)")
    rows = " UNION ALL BY NAME ".join(parts)
    time = "make_timestamptz(time_unix_ns // 1000) AS time"
    return f"CREATE OR REPLACE TEMP VIEW {signal.value} AS SELECT *, {time} FROM ({rows})"


def _fetch(
    cursor: duckdb.DuckDBPyConnection, query: str, parameters: Parameters, *, rows_max: int, timeout_s: float
) -> pa.Table:
    import duckdb

    timer = threading.Timer(timeout_s, cursor.interrupt)
    timer.daemon = True
    timer.start()
    try:
        relation = cursor.sql(query, params=parameters) if parameters else cursor.sql(query)
        if relation is None:
            raise QueryError("the query gives no rows; only reading statements are allowed")
        reader = relation.to_arrow_reader(min(BATCH_ROWS, rows_max + 1))
        batches, rows = [], 0
        for batch in reader:
            batches.append(batch)
            rows += batch.num_rows
            if rows > rows_max:
                break
        table = pa.Table.from_batches(batches, schema=reader.schema)
        truncated = b"true" if rows > rows_max else b"false"
        return table.slice(0, rows_max).replace_schema_metadata({TRUNCATED: truncated})
    except duckdb.InterruptException as error:
        raise QueryError(f"the query ran longer than {timeout_s:g} s and was stopped; narrow its time range") from error
    finally:
        timer.cancel()


def _harmless_errors() -> tuple[type[Exception], ...]:
    """Give the errors that are the query's own and say nothing of a segment."""
    import duckdb

    return (
        QueryError,
        duckdb.BinderException,
        duckdb.CatalogException,
        duckdb.ConversionException,
        duckdb.InterruptException,
        duckdb.OutOfMemoryException,
        duckdb.OutOfRangeException,
        duckdb.ParserException,
        duckdb.PermissionException,
        duckdb.SyntaxException,
    )


def _message(error: Exception) -> str:
    """Give DuckDB's message without its kind in front."""
    text = str(error).strip()
    kind, _, rest = text.partition(": ")
    return rest if kind.endswith(" Error") and rest else text


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
