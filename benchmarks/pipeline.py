"""The whole product under load: OTLP/HTTP batches of 1,000 logs, durable, mined, scored and queryable.

A separate process sends as fast as acknowledgements come; the clock stops once every record is mined and scored. Beside
it, in the same run and on the same bytes: the reference decoder alone on one core, before and after, and drain3 alone
on the same lines. The ratios are what counts; absolute figures depend on the machine and its neighbours. Checked:
every acknowledged record is stored exactly once.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil

from benchmarks import drain3_peer
from benchmarks.otlp_batches import Prepared, Sender, hdfs_lines, prepare
from benchmarks.peer import NotAvailable

BATCH = 1_000
PREPARED = 64
CONNECTIONS = 8
PEER_SECONDS = 5.0
DRAIN_WAIT_S, SEAL_WAIT_S = 120.0, 150.0
WITHOUT_RATIO = {
    "peak memory": "neither the decoder nor drain3 keeps telemetry, indexes or answers queries",
    "bytes on disk": "neither writes anything",
    "acknowledgement, time to queryable": "neither takes requests or answers queries",
}


class Rate(NamedTuple):
    """How fast something worked: records a second on the wall, and processor seconds for a million."""

    per_s: float
    cpu_s_per_million: float


class Sent(NamedTuple):
    """What the sending process did; times are of the monotonic clock, which processes share."""

    records: int
    took_s: list[float]
    begun_s: float
    ended_s: float
    cpu_s: float


def requests() -> list[Prepared]:
    """Give the requests that everybody works on."""
    corpus, _ = hdfs_lines(PREPARED * BATCH)
    return [prepare(corpus[at : at + BATCH], "bench") for at in range(0, len(corpus) - BATCH + 1, BATCH)]


def send(url: str, seconds: float, connections: int, results: Any) -> None:
    """Send as fast as acknowledgements come; puts a Sent into results."""
    prepared = requests()
    took: list[list[float]] = [[] for _ in range(connections)]
    begun_cpu_s, begun_s = time.process_time(), time.monotonic()

    def one(number: int) -> None:
        sender, mine, turn = Sender(url), prepared[number::connections], 0
        while time.monotonic() - begun_s < seconds:
            took[number].append(sender.post(mine[turn % len(mine)].stamped(time.time_ns())))
            turn += 1
        sender.close()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    flat = [each for list_ in took for each in list_]
    results.put(Sent(len(flat) * BATCH, flat, begun_s, time.monotonic(), time.process_time() - begun_cpu_s))


def percentile(values: list[float], share: float) -> float:
    """Give a percentile; nan of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def start(home: str, *more: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """Start the product in a folder on free ports; gives the process and its addresses."""
    command = [sys.executable, "-m", "watchkeeper.cli.main", "up", "--json-ready"]
    for setting in (f"home={home}", "http_port=0", "otlp_http_port=0", "otlp_grpc_port=0", *more):
        command += ["--set", setting]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def watch_queryable(endpoints: dict[str, str], stop: threading.Event, took: list[float]) -> None:
    """Once a second send a marked record and ask for it until it is there; keeps the time from sending to seeing."""
    sender = Sender(f"{endpoints['otlp_http']}/v1/logs")
    with httpx.Client(timeout=60) as client:
        while not stop.wait(1.0):
            number = len(took) + 1
            content = prepare([f"marker {number} {time.time_ns()}"], "marker").stamped(time.time_ns())
            begun = time.perf_counter()
            sender.post(content)
            while True:
                seen = client.get(
                    f"{endpoints['http']}/api/v1/logs",
                    params={"service": "marker", "query": f'"marker {number} "', "from": "1m", "limit": 1},
                )
                if seen.status_code == 200 and seen.json()["items"]:
                    took.append(time.perf_counter() - begun)
                    break
    sender.close()


def measure_product(seconds: float) -> dict[str, float]:
    """Start the product, load it, and give its figures."""
    with tempfile.TemporaryDirectory() as home:
        process, endpoints = start(home, "detect_warmup_s=10")
        try:
            return load(process.pid, endpoints, seconds)
        finally:
            process.terminate()
            process.wait(60)


def load(pid: int, endpoints: dict[str, str], seconds: float) -> dict[str, float]:
    """Load a running product for `seconds` and give its figures; raises AssertionError when a record is lost."""
    server = psutil.Process(pid)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    url = f"{endpoints['otlp_http']}/v1/logs"
    process = context.Process(target=send, args=(url, seconds, CONNECTIONS, results))
    stop = threading.Event()
    queryable: list[float] = []
    watcher = threading.Thread(target=watch_queryable, args=(endpoints, stop, queryable))
    before = server.cpu_times()
    process.start()
    watcher.start()
    sent: Sent = results.get()
    until(endpoints, DRAIN_WAIT_S, 0.05, lambda status: is_worked_off(status, sent.records))
    drained_s = time.monotonic()
    after = server.cpu_times()
    peak = int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
    stop.set()
    process.join()
    watcher.join()
    progress("load sent; waiting for the last segment")
    status = until(endpoints, SEAL_WAIT_S, 1.0, lambda status: not status["store"]["hot_bytes"])
    logs = status["store"]["signals"]["logs"]
    assert logs["rows"] == sent.records + len(queryable), (logs["rows"], sent.records, len(queryable))
    cpu_s = after.user + after.system - before.user - before.system
    return {
        "records": sent.records,
        "records_per_s": sent.records / (drained_s - sent.begun_s),
        "drain_s": drained_s - sent.ended_s,
        "cpu_s_per_million": cpu_s / (sent.records / 1e6),
        "sender_cpu_s_per_million": sent.cpu_s / (sent.records / 1e6),
        "peak_memory_mib": peak / 2**20,
        "bytes_on_disk_per_record": logs["bytes"] / logs["rows"],
        "ack_p50_ms": statistics.median(sent.took_s) * 1e3,
        "ack_p99_ms": percentile(sent.took_s, 0.99) * 1e3,
        "queryable_p50_ms": percentile(queryable, 0.5) * 1e3,
        "queryable_p99_ms": percentile(queryable, 0.99) * 1e3,
        "queryable_probes": len(queryable),
    }


def is_worked_off(status: dict[str, Any], records: int) -> bool:
    """Tell whether every record is mined and scored: none waits, none is being worked on."""
    pipeline = status["pipeline"]
    return pipeline["lines_mined"] >= records and not pipeline["pending_batches"] and not pipeline["lag_s"]


def until(
    endpoints: dict[str, str], seconds: float, pause_s: float, reached: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """Ask for the status until `reached`; raises TimeoutError."""
    by_s = time.monotonic() + seconds
    while True:
        status: dict[str, Any] = httpx.get(f"{endpoints['http']}/api/v1/status", timeout=60).json()
        if reached(status):
            return status
        if time.monotonic() > by_s:
            raise TimeoutError(f"after {seconds:g} s: {status['pipeline']}, hot {status['store']['hot_bytes']} bytes")
        time.sleep(pause_s)


def measure_reference(seconds: float) -> Rate:
    """Measure the reference decoder alone on one core, on the bytes that the product gets."""
    from watchkeeper.receive.decode import reference
    from watchkeeper.receive.otlp_tables import assemble
    from watchkeeper.signals.schema import Signal

    contents = [one.stamped(time.time_ns()) for one in requests()]
    done, begun, begun_cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - begun < seconds:
        found = reference(Signal.LOGS, contents[done % len(contents)], received_unix_ns=1)
        assemble(Signal.LOGS, found.tables, sender="bench", received_unix_ns=1)
        done += 1
    records = done * BATCH
    return Rate(records / (time.perf_counter() - begun), (time.process_time() - begun_cpu) / records * 1e6)


def measure_drain3(seconds: float) -> Rate:
    """Measure drain3 alone on one core, on the product's lines; raises NotAvailable."""
    found = drain3_peer.timed(hdfs_lines(PREPARED * BATCH)[0], seconds)
    return Rate(found.lines / found.wall_s, found.cpu_s / found.lines * 1e6)


def against(product: dict[str, float], peer: str, rate: Rate) -> dict[str, float]:
    """Give how the product stands to a peer: throughput (higher is better) and processor time (lower is better)."""
    return {
        f"ratio_to_{peer}": product["records_per_s"] / rate.per_s,
        f"cpu_ratio_to_{peer}": product["cpu_s_per_million"] / rate.cpu_s_per_million,
        f"{peer}_per_s": rate.per_s,
        f"{peer}_cpu_s_per_million": rate.cpu_s_per_million,
    }


def run(seconds: float) -> dict[str, Any]:
    """Measure everything."""
    progress("reference decoder, before")
    before = measure_reference(PEER_SECONDS)
    progress(f"the product, {seconds:g} s of load")
    product = measure_product(seconds)
    progress("reference decoder, after")
    after = measure_reference(PEER_SECONDS)
    reference = Rate(*(statistics.mean(pair) for pair in zip(before, after, strict=True)))
    result: dict[str, Any] = {**product, **against(product, "reference_decoder", reference)}
    progress("drain3")
    try:
        result |= against(product, "drain3", measure_drain3(PEER_SECONDS))
    except NotAvailable as reason:
        result["skipped"] = {"drain3": str(reason)}
    return {**result, "lines": hdfs_lines(1)[1], "without_ratio": WITHOUT_RATIO}


def progress(text: str) -> None:
    """Tell how far the run is, beside the result."""
    print(f"  {text}", file=sys.stderr, flush=True)


def main() -> None:
    from benchmarks.tables import show

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to send (default: 60)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    chosen = parser.parse_args()
    result = run(chosen.seconds)
    print(json.dumps(result) if chosen.json else show("pipeline", result))


if __name__ == "__main__":
    main()
