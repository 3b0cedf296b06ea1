"""How fast the store takes telemetry to the disk and into segments while it is read, and what a row costs there.

Rows are log records of ~150 characters with changing numbers, in requests of `--batch` rows from `--senders` threads;
each sender waits for its acknowledgement before it goes on. A reader asks for counts by minute all the while. Batches
are made beforehand, so the decoder is not measured.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from watchkeeper.errors import Refused
from watchkeeper.settings import Settings
from watchkeeper.signals.schema import LOGS, Signal
from watchkeeper.store.entry import Entry
from watchkeeper.store.store import Store

SECOND_NS = 10**9
SERVICES = ("frontend", "catalogue", "cart", "checkout", "payment", "recommendation")


def make(rows: int, number: int, chance: random.Random) -> tuple[bytes, pa.RecordBatch]:
    """Give one request: bytes of about the size that OTLP protobuf has, and the batch they decode to."""
    start = time.time_ns() - number * SECOND_NS
    service = SERVICES[number % len(SERVICES)]
    bodies = [
        f"{chance.choice(('GET', 'POST'))} /api/{service}/items/{chance.randrange(10**6)} from"
        f" 10.0.{chance.randrange(256)}.{chance.randrange(256)}"
        f" took {chance.random() * 100:.3f} ms, status {chance.choice((200, 200, 200, 404, 500))}"
        for _ in range(rows)
    ]
    columns: dict[str, list[Any]] = {
        "time_unix_ns": [start + i * 10**6 for i in range(rows)],
        "observed_time_unix_ns": [start + i * 10**6 for i in range(rows)],
        "severity_number": [9] * rows,
        "severity_text": ["INFO"] * rows,
        "body": bodies,
        "attributes": [
            f'{{"http.route":"/api/{service}/items","thread.id":{chance.randrange(64)}}}' for _ in range(rows)
        ],
        "trace_id": [f"{chance.getrandbits(128):032x}" for _ in range(rows)],
        "span_id": [f"{chance.getrandbits(64):016x}" for _ in range(rows)],
        "service": [service] * rows,
        "resource_attributes": [f'{{"service.name":"{service}"}}'] * rows,
        "received_unix_ns": [start] * rows,
    }
    arrays = [pa.array(columns[f.name]).cast(f.type) if f.name in columns else pa.nulls(rows, f.type) for f in LOGS]
    content = "".join(f"{body}{'.' * 60}" for body in bodies).encode()
    return content, pa.record_batch(arrays, schema=LOGS)


def write(store: Store, requests: list[tuple[bytes, pa.RecordBatch]], sender: str, waits_s: list[float]) -> None:
    for content, batch in requests:
        began = time.perf_counter()
        while True:
            try:
                store.append(Signal.LOGS, "protobuf", sender, time.time_ns(), content, batch).result()
                break
            except Refused as refused:
                time.sleep(refused.retry_after_s / 20)
        waits_s.append(time.perf_counter() - began)


def read(store: Store, stop: threading.Event, took_s: list[float]) -> None:
    while not stop.is_set():
        began = time.perf_counter()
        store.sql("SELECT time_unix_ns // 60000000000 AS minute, service, count(*) FROM logs GROUP BY ALL")
        took_s.append(time.perf_counter() - began)


def not_needed(entry: Entry) -> pa.RecordBatch:
    raise AssertionError("the benchmark starts with an empty log")


def run(folder: Path, *, rows: int, batch: int, senders: int) -> dict[str, float]:
    """Store `rows` rows and give the figures."""
    chance = random.Random(7)
    per_sender = max(1, rows // batch // senders)
    work = [[make(batch, s * per_sender + i, chance) for i in range(per_sender)] for s in range(senders)]
    total = senders * per_sender * batch
    stop, waits_s, queries_s = threading.Event(), [0.0], [0.0]
    with Store.open(folder, Settings(chosen={"home": str(folder)}, environment={}), not_needed) as store:
        store.sql("SELECT 1")
        reader = threading.Thread(target=read, args=(store, stop, queries_s))
        writers = [threading.Thread(target=write, args=(store, w, f"s{i}", waits_s)) for i, w in enumerate(work)]
        reader.start()
        began = time.perf_counter()
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        durable_s = time.perf_counter() - began
        store.seal_now()
        sealed_s = time.perf_counter() - began
        stop.set()
        reader.join()
        extent = store.stats().signals[Signal.LOGS]
        counted = store.sql("SELECT count(*) AS n FROM logs")["n"][0].as_py()
        assert extent.rows == counted == total, (extent.rows, counted, total)
        payload_bytes = sum(len(content) for requests in work for content, _ in requests)
        return {
            "rows": total,
            "rows_per_second_durable": round(total / durable_s),
            "rows_per_second_sealed": round(total / sealed_s),
            "acknowledged_ms_median": round(statistics.median(waits_s) * 1000, 2),
            "acknowledged_ms_p99": round(statistics.quantiles(waits_s, n=100)[98] * 1000, 2),
            "queries_beside": len(queries_s) - 1,
            "query_ms_median": round(statistics.median(queries_s) * 1000, 1),
            "request_bytes_per_row": round(payload_bytes / total, 1),
            "segment_bytes_per_row": round(extent.bytes / total, 1),
            "segments": extent.segments,
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=2000, help="rows of a request")
    parser.add_argument("--senders", type=int, default=4)
    parser.add_argument("--folder", type=Path, help="where to write (default: the temporary folder)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    chosen = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="watchkeeper-benchmark-", dir=chosen.folder))
    try:
        figures = run(place / "home", rows=chosen.rows, batch=chosen.batch, senders=chosen.senders)
    finally:
        shutil.rmtree(place)
    if chosen.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:28} {value:,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
