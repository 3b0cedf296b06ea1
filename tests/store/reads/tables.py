"""Tables as the store shows them, in a DuckDB of the test's own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from watchkeeper.errors import QueryError
from watchkeeper.signals.schema import SCHEMAS, Signal

NOW = 1_763_700_000_000_000_000
SECOND = 1_000_000_000


class Tables:
    """Takes rows as dictionaries, fills in what is not said, and answers `sql` like the store does."""

    now = NOW
    second = SECOND

    def __init__(self) -> None:
        self.connection = duckdb.connect(":memory:", config={"threads": 2})
        self.ranges: list[tuple[int, int] | None] = []
        self._batch = 0
        for signal, schema in SCHEMAS.items():
            self.connection.register("empty", schema.empty_table())
            self.connection.execute(f"CREATE TABLE {signal.value} AS FROM empty")
            self.connection.unregister("empty")

    def add(self, signal: Signal, *given: dict[str, Any]) -> None:
        self._batch += 1
        schema = SCHEMAS[signal]
        own = {"batch": self._batch}
        rows = [{**_defaults(schema), **own, "row": at, **_written(row)} for at, row in enumerate(given)]
        self.connection.register("added", pa.Table.from_pylist(rows, schema=schema))
        self.connection.execute(f"INSERT INTO {signal.value} FROM added")
        self.connection.unregister("added")

    def logs(self, *given: dict[str, Any]) -> None:
        self.add(Signal.LOGS, *[{"severity_number": 9, "body_type": 1, **row} for row in given])

    def spans(self, *given: dict[str, Any]) -> None:
        self.add(
            Signal.SPANS,
            *[{"end_time_unix_ns": row["time_unix_ns"] + row.get("duration_ns", 0), **row} for row in given],
        )

    def metrics(self, *given: dict[str, Any]) -> None:
        self.add(Signal.METRICS, *given)

    def sql(
        self,
        query: str,
        parameters: Sequence[Any] | Mapping[str, Any] = (),
        *,
        rows_max: int | None = None,
        timeout_s: float | None = None,
        time_range_unix_ns: tuple[int, int] | None = None,
    ) -> pa.Table:
        self.ranges.append(time_range_unix_ns)
        with self.connection.cursor() as cursor:
            try:
                table = cursor.sql(query, params=parameters).to_arrow_table()
            except duckdb.Error as error:
                raise QueryError(str(error)) from error
        assert rows_max is None or table.num_rows <= rows_max
        return table


def _defaults(schema: pa.Schema) -> dict[str, Any]:
    def default(kind: pa.DataType) -> Any:
        if pa.types.is_dictionary(kind) or pa.types.is_string(kind):
            return ""
        return None

    row = {field.name: default(field.type) for field in schema}
    row.update(
        {name: "{}" for name in ("attributes", "resource_attributes", "scope_attributes") if name in row},
        time_source=0,
        received_unix_ns=NOW,
    )
    return row


def _written(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value for name, value in row.items()
    }
