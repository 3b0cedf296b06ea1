"""The whole product under load: OTLP/HTTP batches of 1,000 logs, durable, mined, scored and queryable.

Beside it, in the same run and on the same lines: the reference decoder alone on one core, and drain3 alone on one core
when it is installed. The ratios are what counts; absolute figures depend on the machine and its neighbours.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import multiprocessing
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil

BATCH = 1_000
PREPARED = 64
CONNECTIONS = 2
PROTOBUF = {"content-type": "application/x-protobuf"}


class Prepared(NamedTuple):
    """A request's bytes and where its records' time stamps stand, so that each sending has its own times."""

    content: bytearray
    time_offsets: list[int]


def lines(count: int) -> list[str]:
    """Give real HDFS lines when the data set is there, else lines of the same shape."""
    from watchkeeper.datasets.logs import log_parts
    from watchkeeper.errors import DataSetError
    from watchkeeper.settings import Settings

    try:
        part = log_parts("hdfs", Settings().path("data"))[0]
        with part.open() as stream:
            return [line.decode("utf-8", "replace").rstrip() for line in itertools.islice(stream, count)]
    except DataSetError:
        return [
            f"Receiving block blk_{(i * 7919) % 10**9} src: /10.0.{i % 250}.{i % 199}:{i % 60000} dest: /10.0.0.1:50010"
            for i in range(count)
        ]


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def prepare(bodies: list[str], service: str) -> Prepared:
    """Write one request by hand, noting the offsets of the time stamps."""
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource

    records, offsets, at = [], [], 0
    for number, body in enumerate(bodies):
        record = LogRecord(time_unix_nano=1, severity_number=9, severity_text="INFO", body=AnyValue(string_value=body))  # type: ignore[arg-type]
        record.attributes.append(KeyValue(key="thread.id", value=AnyValue(int_value=number % 16)))
        data = record.SerializeToString()
        head = b"\x12" + varint(len(data))
        offsets.append(at + len(head) + 1)
        records.append(head + data)
        at += len(head) + len(data)
    scope = b"".join(records)
    resource = Resource(
        attributes=[KeyValue(key="service.name", value=AnyValue(string_value=service))]
    ).SerializeToString()
    inner_head = b"\x0a" + varint(len(resource)) + resource + b"\x12" + varint(len(scope))
    outer_head = b"\x0a" + varint(len(inner_head) + len(scope)) + inner_head
    return Prepared(bytearray(outer_head + scope), [len(outer_head) + offset for offset in offsets])


def send(url: str, seconds: float, number: int, connections: int, results: Any) -> None:
    """Send as fast as acknowledgements come; puts (records, acknowledgement times in s) into results."""
    corpus = lines(PREPARED * BATCH)
    batches = [
        prepare(corpus[start : start + BATCH], f"bench-{number}") for start in range(0, len(corpus) - BATCH + 1, BATCH)
    ]

    async def sender(client: httpx.AsyncClient, mine: list[Prepared]) -> list[float]:
        took, turn, until = [], 0, time.monotonic() + seconds
        while time.monotonic() < until:
            batch = mine[turn % len(mine)]
            now = time.time_ns()
            for step, offset in enumerate(batch.time_offsets):
                struct.pack_into("<Q", batch.content, offset, now + step)
            begun = time.perf_counter()
            answer = await client.post(url, content=bytes(batch.content), headers=PROTOBUF)
            if answer.status_code == 200:
                took.append(time.perf_counter() - begun)
                turn += 1
            else:
                await asyncio.sleep(float(answer.headers.get("retry-after", 1)))
        return took

    async def all_of_them() -> list[float]:
        async with httpx.AsyncClient(timeout=60) as client:
            lists = await asyncio.gather(*(sender(client, batches[i::connections]) for i in range(connections)))
        return [took for one in lists for took in one]

    took = asyncio.run(all_of_them())
    results.put((len(took) * BATCH, took))


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def start(home: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
    command = [sys.executable, "-m", "watchkeeper.cli.main", "up", "--json-ready"]
    for setting in (f"home={home}", "http_port=0", "otlp_http_port=0", "otlp_grpc_port=0", "detect_warmup_s=10"):
        command += ["--set", setting]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def watch_queryable(endpoints: dict[str, str], stop: threading.Event, took: list[float]) -> None:
    """Once a second send a marked record and ask for it until it is there; keeps the time from sending to seeing."""
    with httpx.Client(timeout=60) as client:
        number = 0
        while not stop.wait(1.0):
            number += 1
            batch = prepare([f"marker {number} {time.time_ns()}"], "marker")
            struct.pack_into("<Q", batch.content, batch.time_offsets[0], time.time_ns())
            begun = time.perf_counter()
            answer = client.post(f"{endpoints['otlp_http']}/v1/logs", content=bytes(batch.content), headers=PROTOBUF)
            while answer.status_code == 200:
                seen = client.get(
                    f"{endpoints['http']}/api/v1/logs",
                    params={"service": "marker", "query": f'"marker {number} "', "from": "1m", "limit": 1},
                )
                if seen.status_code == 200 and seen.json()["items"]:
                    took.append(time.perf_counter() - begun)
                    break


def measure_product(seconds: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as home:
        process, endpoints = start(home)
        try:
            return _load(process, endpoints, seconds)
        finally:
            process.terminate()
            process.wait(60)


def _load(process: subprocess.Popen[str], endpoints: dict[str, str], seconds: float) -> dict[str, float]:
    server = psutil.Process(process.pid)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    url = f"{endpoints['otlp_http']}/v1/logs"
    sender = context.Process(target=send, args=(url, seconds, 0, CONNECTIONS, results))
    stop, queryable = threading.Event(), []
    watcher = threading.Thread(target=watch_queryable, args=(endpoints, stop, queryable))
    before = server.cpu_times()
    sender.start()
    watcher.start()
    records, took = results.get()
    sender.join()
    stop.set()
    watcher.join()
    idle_by = time.monotonic() + 120
    status = httpx.get(f"{endpoints['http']}/api/v1/status", timeout=60).json()
    drained_from = time.monotonic()
    while status["pipeline"]["pending_batches"] and time.monotonic() < idle_by:
        time.sleep(0.1)
        status = httpx.get(f"{endpoints['http']}/api/v1/status", timeout=60).json()
    drain_s = time.monotonic() - drained_from
    after = server.cpu_times()
    cpu_s = after.user + after.system - before.user - before.system
    peak = int(Path(f"/proc/{process.pid}/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
    sealed_by = time.monotonic() + 90
    while status["store"]["signals"]["logs"]["rows"] and status["store"]["hot_bytes"] and time.monotonic() < sealed_by:
        time.sleep(1)
        status = httpx.get(f"{endpoints['http']}/api/v1/status", timeout=60).json()
    logs = status["store"]["signals"]["logs"]
    return {
        "records": records,
        "records_per_s": records / (seconds + drain_s),
        "drain_s": drain_s,
        "cpu_s_per_million": cpu_s / (records / 1e6),
        "peak_memory_mib": peak / 2**20,
        "bytes_on_disk_per_record": logs["bytes"] / max(1, logs["rows"]),
        "ack_p50_ms": statistics.median(took) * 1e3,
        "ack_p99_ms": percentile(took, 0.99) * 1e3,
        "queryable_p50_ms": percentile(queryable, 0.5) * 1e3,
        "queryable_p99_ms": percentile(queryable, 0.99) * 1e3,
    }


def measure_reference(seconds: float) -> float:
    """Give records/s of the reference decoder alone on one core, on the same batches."""
    from watchkeeper.receive.decode import reference
    from watchkeeper.receive.otlp_tables import assemble
    from watchkeeper.signals.schema import Signal

    corpus = lines(8 * BATCH)
    contents = [bytes(prepare(corpus[i : i + BATCH], "bench").content) for i in range(0, len(corpus), BATCH)]
    done, until, begun = 0, time.perf_counter() + seconds, time.perf_counter()
    while time.perf_counter() < until:
        found = reference(Signal.LOGS, contents[done % len(contents)], received_unix_ns=1)
        assemble(Signal.LOGS, found.tables, sender="bench", received_unix_ns=1)
        done += 1
    return done * BATCH / (time.perf_counter() - begun)


def measure_drain3(seconds: float) -> float | None:
    """Give lines/s of drain3 alone on one core with the masks of its example configuration; None when not installed."""
    from benchmarks import drain3_peer

    if not drain3_peer.is_installed():
        return None
    miner = drain3_peer.miner()
    corpus = lines(PREPARED * BATCH)
    done, until, begun = 0, time.perf_counter() + seconds, time.perf_counter()
    while time.perf_counter() < until:
        miner.add_log_message(corpus[done % len(corpus)])
        done += 1
    return done / (time.perf_counter() - begun)


def run(seconds: float) -> dict[str, Any]:
    reference_before = measure_reference(5)
    product = measure_product(seconds)
    reference_after = measure_reference(5)
    reference = (reference_before + reference_after) / 2
    drain3 = measure_drain3(5)
    return {
        **product,
        "reference_decoder_records_per_s": reference,
        "ratio_to_reference_decoder": product["records_per_s"] / reference,
        "drain3_lines_per_s": drain3,
        "ratio_to_drain3": product["records_per_s"] / drain3 if drain3 else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    result = run(chosen.seconds)
    if chosen.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:36s} {value:14,.2f}" if value is not None else f"{name:36s} {'-':>14s}")


if __name__ == "__main__":
    main()
