"""A training over many stored lines: the most memory that the job held, its seconds, how right the time left was.

The lines are public ones over and over, each with a number of its own, written by the real store; the job is a real
one, in a process of its own with the product's limits. `--folder` keeps the store for another run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from watchkeeper.app.findings import FindingStore
from watchkeeper.app.training import Training
from watchkeeper.models.versions import ModelVersions
from watchkeeper.settings import Settings
from watchkeeper.signals.schema import LOGS, Signal
from watchkeeper.store.store import Store
from watchkeeper.training.jobs import Job
from watchkeeper.training.public_lines import public_lines
from watchkeeper.training.workloads import Workload

BATCH = 50_000
SETS = ("hdfs", "bgl", "openstack", "hadoop")
CORPUS = 50_000
"""Lines of each set."""
HOUR_NS = 3_600 * 10**9
GRACE_S = 5.0
WATCHED = Workload("local", "default", "bench")
RESOURCE = json.dumps({"service.name": "bench"})


class Seen(NamedTuple):
    """The estimate at one moment: seconds since the start, seconds left as told."""

    at_s: float
    left_s: float


def open_store(home: Path) -> Store:
    settings = Settings(chosen={"home": str(home), "disk_free_bytes_min": 0}, environment={})

    def decode(_: object) -> pa.RecordBatch:
        raise ValueError("the log of this benchmark's store cannot be decoded again")

    return Store.open(home, settings, decode)


def fill(store: Store, lines: int, until_unix_ns: int) -> None:
    """Write lines of the last hour through the store, sealed into segments."""
    corpus = pa.array(mixed())
    for begin in range(0, lines, BATCH):
        numbers = np.arange(begin, min(begin + BATCH, lines))
        bodies = pc.binary_join_element_wise(corpus.take(pa.array(numbers % len(corpus))), pc.cast(numbers, "str"), " ")
        times = until_unix_ns - HOUR_NS + numbers * (HOUR_NS // lines)
        batch = batch_of(bodies, times)
        store.append(Signal.LOGS, "protobuf", "bench", until_unix_ns, f"{begin}".encode(), batch).result(60)
        if (begin // BATCH) % 10 == 9:
            store.seal_now()
    store.seal_now()


def mixed() -> list[str]:
    """Give lines of several programs, in turns."""
    folder = Settings().path("data")
    parts = [islice(chain.from_iterable(public_lines(name, folder)), CORPUS) for name in SETS]
    return [line for lines in zip_longest(*parts) for line in lines if line]


def batch_of(bodies: pa.Array, times: np.ndarray) -> pa.RecordBatch:
    rows = len(bodies)
    known: dict[str, Any] = {
        "time_unix_ns": times,
        "received_unix_ns": times,
        "body": bodies,
        "service": ["bench"] * rows,
        "entity": ["service:bench"] * rows,
        "resource_attributes": [RESOURCE] * rows,
        "severity_number": np.full(rows, 9, np.int32),
        "body_type": np.ones(rows, np.uint8),
        "row": np.arange(rows, dtype=np.int32),
    }
    arrays = [
        pa.array(known[field.name]).cast(field.type) if field.name in known else pa.nulls(rows, field.type)
        for field in LOGS
    ]
    return pa.record_batch(arrays, schema=LOGS)


def train(store: Store, home: Path, until_unix_ns: int) -> tuple[Job, list[Seen], float]:
    settings = Settings(chosen={"home": str(home)}, environment={})
    models = ModelVersions(store.metadata, home / "models")
    training = Training(store, models, FindingStore(store.metadata), settings)
    training.start()
    try:
        begun_s = time.monotonic()
        job = training.begin(
            workloads=[WATCHED], from_unix_ns=until_unix_ns - HOUR_NS, until_unix_ns=until_unix_ns + HOUR_NS
        )
        seen: list[Seen] = []
        while job.running:
            time.sleep(0.25)
            job = training.jobs.get(job.id)
            left_s = job.statistics.remaining_time_s
            if left_s is not None and job.running:
                seen.append(Seen(time.monotonic() - begun_s, left_s))
        return job, seen, time.monotonic() - begun_s
    finally:
        training.stop()


def worst_error(seen: list[Seen], total_s: float) -> float:
    """Give the largest relative error of the time left from the half on, until GRACE_S before the end."""
    late = [each for each in seen if total_s / 2 <= each.at_s <= total_s - GRACE_S]
    return max((abs(each.left_s - (total_s - each.at_s)) / (total_s - each.at_s) for each in late), default=0.0)


def measure(lines: int, home: Path, runs: int) -> dict[str, Any]:
    with open_store(home) as store:
        told = home / "until"
        if not told.exists():
            until_unix_ns = time.time_ns()
            begun_s = time.monotonic()
            fill(store, lines, until_unix_ns)
            print(f"stored in {time.monotonic() - begun_s:.0f} s", flush=True)
            told.write_text(str(until_unix_ns))
        figures: dict[str, Any] = {"stored_lines": store.stats().signals[Signal.LOGS].rows}
        for name in ("first", "again")[:runs]:
            job, seen, total_s = train(store, home, int(told.read_text()))
            if job.status != "completed":
                raise RuntimeError(f"the job {job.status}: {job.reason}\n{job.log_tail}")
            paces = job.result["paces"]
            figures[name] = {
                "peak_memory_mib": job.peak_memory_bytes / 2**20,
                "seconds": total_s,
                "read_lines_per_s": 1 / paces["fetching data"],
                "distinct_lines": job.result["trained_on"]["distinct"],
                "held_out_accuracy": job.result["quality"]["model_accuracy"],
                "worst_error_of_time_left": worst_error(seen, total_s),
            }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=2, help="2: again, when there is a version to compare with")
    parser.add_argument("--folder", type=Path, help="where the store is kept for another run")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(chosen.lines, chosen.folder or Path(folder), chosen.runs)))


if __name__ == "__main__":
    main()
