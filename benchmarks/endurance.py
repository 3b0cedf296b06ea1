"""Does memory stay flat? A day of the shop's traffic, sent as fast as it is taken, beside the server's memory.

Event time runs through `--hours`, ending now; step by step, the services beside each other. Flat is when the last
third's median is at most FLAT_MAX of the middle third's. Reported too: what was found, for this traffic has no fault,
so a finding is a false alarm. Checked: every acknowledged record is stored.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import httpx
import numpy as np
import psutil

from benchmarks.otlp_batches import Sender
from benchmarks.pipeline import start
from benchmarks.shop_traffic import SHAPES, STEP_NS, STEP_S, Step, steps

VARIANTS = 90
FLAT_MAX = 1.15
SAMPLE_EVERY_S = 0.5
TELL_EVERY_S = 10.0
DRAIN_WAIT_S = 120.0
MIB = 2**20


class Sample(NamedTuple):
    """The memory when so many hours of event time had been sent."""

    hours: float
    mib: float


class Service:
    """One service that sends, over a connection to each path; `send` is for one thread at a time."""

    def __init__(self, otlp_http: str, variants: list[dict[str, Step]]) -> None:
        self._variants = variants
        self._senders = {path: Sender(f"{otlp_http}{path}") for path in variants[0]}

    def send(self, number: int, begins_unix_ns: int) -> int:
        """Send one step of all signals; gives the records."""
        records = 0
        for path, step in self._variants[number * 7 % len(self._variants)].items():
            self._senders[path].post(step.at(begins_unix_ns, number))
            records += step.records
        return records


class Watch:
    """Samples a process's memory in a thread of its own; `hours` is moved on by who sends."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.hours = 0.0
        self.samples: list[Sample] = []

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, with a last sample."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self.samples.append(Sample(self.hours, self._process.memory_info().rss / MIB))
            if self._stop.wait(SAMPLE_EVERY_S):
                return


def verdict(samples: list[Sample]) -> dict[str, Any]:
    """Judge memory over event time. `slope` is of the last two thirds, where everything has been seen once."""
    last = samples[-1].hours
    thirds = [[s.mib for s in samples if last * n / 3 <= s.hours <= last * (n + 1) / 3] for n in range(3)]
    later = [s for s in samples if s.hours >= last / 3]
    slope = float(np.polyfit([s.hours for s in later], [s.mib for s in later], 1)[0]) if len(later) > 2 else 0.0
    ratio = statistics.median(thirds[2]) / statistics.median(thirds[1])
    return {
        "last_to_middle_third_ratio": ratio,
        "flat": "yes" if ratio <= FLAT_MAX else f"no: over {FLAT_MAX}",
        "start_mib": samples[0].mib,
        "first_third_median_mib": statistics.median(thirds[0]),
        "middle_third_median_mib": statistics.median(thirds[1]),
        "last_third_median_mib": statistics.median(thirds[2]),
        "end_mib": samples[-1].mib,
        "peak_mib": max(s.mib for s in samples),
        "slope_mib_per_hour": slope,
    }


def run(hours: float) -> dict[str, Any]:
    """Send `hours` of event time and give the figures; raises AssertionError when records are lost."""
    progress("making the traffic")
    variants = {name: steps(name, VARIANTS) for name in SHAPES}
    with tempfile.TemporaryDirectory() as home:
        process, endpoints = start(home)
        try:
            return load(process.pid, endpoints, variants, hours)
        finally:
            process.terminate()
            process.wait(60)


def load(
    pid: int, endpoints: dict[str, str], variants: dict[str, list[dict[str, Step]]], hours: float
) -> dict[str, Any]:
    """Send to a running product and give the figures."""
    services = [Service(endpoints["otlp_http"], each) for each in variants.values()]
    count = round(hours * 3600 / STEP_S)
    first_ns = time.time_ns() - count * STEP_NS
    watch = Watch(pid)
    begun_s = told_s = time.monotonic()
    watch.start()
    sent = 0
    with ThreadPoolExecutor(len(services)) as pool:
        for number in range(count):
            begins_ns = first_ns + number * STEP_NS
            sent += sum(pool.map(Service.send, services, [number] * len(services), [begins_ns] * len(services)))
            watch.hours = (number + 1) * STEP_S / 3600
            if time.monotonic() - told_s > TELL_EVERY_S:
                told_s = time.monotonic()
                progress(f"{watch.hours:.1f} of {hours:g} h, {sent:,} records, {watch.samples[-1].mib:.0f} MiB")
    status = drained(endpoints)
    took_s = time.monotonic() - begun_s
    watch.stop()
    stored = sum(signal["rows"] for signal in status["store"]["signals"].values())
    assert stored == sent, f"{sent} records were acknowledged and {stored} are stored"
    found = httpx.get(f"{endpoints['http']}/api/v1/findings", params={"limit": 200}, timeout=60).json()["items"]
    for finding in found[:10]:
        progress(f"found: {finding['title']}")
    return {
        **verdict(watch.samples),
        "findings": len(found),
        "findings_by_kind": ", ".join(f"{n} {kind}" for kind, n in Counter(each["kind"] for each in found).items())
        or "-",
        "services_watched": sum(each["state"] == "watching" for each in status["learning"]),
        "event_hours": hours,
        "records": sent,
        "took_s": took_s,
        "speed_ratio": hours * 3600 / took_s,
        "records_per_s": sent / took_s,
    }


def drained(endpoints: dict[str, str]) -> dict[str, Any]:
    """Wait until the pipeline has nothing left to do and give the status; raises TimeoutError."""
    by_s = time.monotonic() + DRAIN_WAIT_S
    while time.monotonic() < by_s:
        status: dict[str, Any] = httpx.get(f"{endpoints['http']}/api/v1/status", timeout=60).json()
        if not status["pipeline"]["pending_batches"] and not status["pipeline"]["lag_s"]:
            return status
        time.sleep(0.1)
    raise TimeoutError(f"the pipeline is not done after {DRAIN_WAIT_S:g} s: {status['pipeline']}")


def progress(text: str) -> None:
    """Tell how far the run is, beside the result."""
    print(f"  {text}", file=sys.stderr, flush=True)


def main() -> None:
    from benchmarks.tables import show

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24.0, help="of event time (default: 24)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    chosen = parser.parse_args()
    result = run(chosen.hours)
    print(json.dumps(result) if chosen.json else show("endurance", result))


if __name__ == "__main__":
    main()
