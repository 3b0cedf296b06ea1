"""The same search on batches that have just arrived, for live tails.

Enters: Arrow batches of logs. Leaves: LogRecords that the filter lets through, as search_logs would give them. Uses the
very same SQL on a small DuckDB of its own, so that a tail and a search cannot differ in what they find.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from watchkeeper.store.reads.logs import RECORD_COLUMNS, LogFilter, records


class LiveFilter:
    """One tail's filter; not for use by two threads at once. Cost: about a millisecond a call, and the scan."""

    def __init__(self, log_filter: LogFilter) -> None:
        self._condition = log_filter.condition
        self._connection = duckdb.connect(":memory:", config={"threads": 1, "memory_limit": "256MB"})

    def matching(self, batches: Sequence[pa.RecordBatch], *, limit: int) -> tuple[list[dict[str, Any]], int]:
        """Give the newest `limit` matching records, oldest first, and how many others were left out.

        What is found is first only numbered, so that a flood of long lines is never held twice.
        """
        if not batches:
            return [], 0
        arrived = pa.Table.from_batches(batches)
        try:
            found = self._positions(arrived)
            shown = found[-limit:]
            return self._records(arrived.take(pa.array(shown))), len(found) - len(shown)
        except duckdb.OutOfMemoryException:
            return [], arrived.num_rows

    def _positions(self, arrived: pa.Table) -> npt.NDArray[np.int64]:
        """Give where the matching rows stand, by their time."""
        numbered = arrived.append_column("position", pa.array(np.arange(arrived.num_rows)))
        table = self._run(
            numbered,
            f"SELECT position FROM logs WHERE {self._condition.sql} ORDER BY time_unix_ns, position",
            self._condition.parameters,
        )
        positions: npt.NDArray[np.int64] = table.column(0).to_numpy()
        return positions

    def _records(self, chosen: pa.Table) -> list[dict[str, Any]]:
        """Give the chosen rows as records, in the order they stand in."""
        if not chosen.num_rows:
            return []
        numbered = chosen.append_column("position", pa.array(np.arange(chosen.num_rows)))
        query = f"SELECT {RECORD_COLUMNS} FROM logs ORDER BY position"
        return records(self._run(numbered, query, ()).to_pylist())

    def _run(self, table: pa.Table, query: str, parameters: Sequence[Any]) -> pa.Table:
        self._connection.register("logs", table)
        try:
            return self._connection.sql(query, params=list(parameters)).to_arrow_table()
        finally:
            self._connection.unregister("logs")

    def close(self) -> None:
        """Give the memory back."""
        self._connection.close()
