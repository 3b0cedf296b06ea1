"""What it costs to count log lines by workload: as batches pass, and by SQL over what is stored, each time anew.

`python -m benchmarks.workload_counts` prints one line of JSON a case. Times are of the processor, so that other load on
the machine counts little.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from watchkeeper.signals.schema import LOGS, Signal
from watchkeeper.training.counts import WorkloadCounter

LINES = 50_000
ROUNDS = 10
STORED = 1_000_000
HOUR_NS = 3_600 * 10**9


def resources(workloads: int) -> pa.Array:
    said = [
        {
            "service.name": f"deployment-{number}",
            "k8s.namespace.name": f"namespace-{number % 50}",
            "k8s.deployment.name": f"deployment-{number}",
            "k8s.pod.name": f"deployment-{number}-7c9f",
            "host.name": f"node-{number % 20}",
            "telemetry.sdk.language": "java",
        }
        for number in range(workloads)
    ]
    return pa.array([json.dumps(each) for each in said])


def columns(workloads: int, lines: int, now: int) -> dict[str, pa.Array]:
    random = np.random.default_rng(7)
    codes = pa.array(random.integers(0, workloads, lines).astype(np.int32))
    return {
        "time_unix_ns": pa.array(now - random.integers(0, HOUR_NS // 2, lines)),
        "resource_attributes": pa.DictionaryArray.from_arrays(codes, resources(workloads)),
    }


def as_batches_pass(workloads: int) -> dict[str, object]:
    now = time.time_ns()
    told = {**columns(workloads, LINES, now), "batch": pa.array(np.ones(LINES, np.int64))}
    empty = {field.name: pa.nulls(LINES, field.type) for field in LOGS if field.name not in told}
    batch = pa.RecordBatch.from_pydict({**empty, **told}).select(LOGS.names)
    counter = WorkloadCounter(now_unix_ns=lambda: now)
    counter.observe(Signal.LOGS, batch)
    begun = time.thread_time()
    for _ in range(ROUNDS):
        counter.observe(Signal.LOGS, batch)
    observed = time.thread_time() - begun
    begun = time.thread_time()
    found = counter.counts()
    asked = time.thread_time() - begun
    assert sum(each.log_count for each in found.items) == LINES * (ROUNDS + 1)
    return {
        "way": "as batches pass",
        "workloads": workloads,
        "nanoseconds_a_line": round(observed / (ROUNDS * LINES) * 1e9),
        "milliseconds_to_ask": round(asked * 1e3, 1),
    }


def by_sql(workloads: int) -> dict[str, object]:
    now = time.time_ns()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "logs.parquet"
        pq.write_table(pa.table(columns(workloads, STORED, now)), file, compression="zstd", row_group_size=65_536)
        connection = duckdb.connect(config={"threads": 1})
        begun = time.process_time()
        query = f"SELECT resource_attributes, count(*) FROM '{file}' WHERE time_unix_ns > {now - HOUR_NS} GROUP BY 1"
        rows = len(connection.execute(query).fetchall())
        took = time.process_time() - begun
        connection.close()
    return {"way": "SQL", "workloads": rows, "stored_lines": STORED, "seconds_to_ask": round(took, 2)}


def main() -> None:
    for workloads in (10, 10_000):
        print(json.dumps(as_batches_pass(workloads)))
        print(json.dumps(by_sql(workloads)))


if __name__ == "__main__":
    main()
