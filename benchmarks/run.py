"""Runs benchmarks one after another, each in a process of its own, and gathers figures, failures and what was skipped.

Tells which of how many runs and for how long; what a benchmark says on standard error passes through, its figures are
the last line of its standard output.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from benchmarks.tables import show

NAMES = (
    "idle",
    "edge",
    "decoders",
    "remote_write",
    "patterns",
    "log_anomalies",
    "metric_anomalies",
    "metric_speed",
    "metric_stream",
    "metric_forecasts",
    "nab",
    "trace_anomalies",
    "root_causes",
    "categories",
    "reports",
    "root_causes_nezha",
    "store",
    "pipeline",
    "training_ack",
    "training_volume",
    "feedback_simulation",
    "endurance",
)
TELL_EVERY_S = 15.0
OWN_ERRORS = "watchkeeper.errors."
"""How the last line of a traceback begins when the error says by itself what to do, such as to fetch a data set."""


class Ran(NamedTuple):
    """What came of a run: figures of each benchmark, why the others have none, seconds of each."""

    figures: dict[str, Any]
    failed: dict[str, str]
    seconds: dict[str, float]


def run(names: Sequence[str], arguments: dict[str, list[str]] | None = None) -> Ran:
    """Run these benchmarks, with more arguments for some, and print their tables as they end."""
    ran = Ran({}, {}, {})
    begun_s = time.monotonic()
    for number, name in enumerate(names, 1):
        print(f"\n[{number}/{len(names)}] {name} ({time.monotonic() - begun_s:.0f} s so far)", flush=True)
        one_s = time.monotonic()
        output, why = run_one(name, (arguments or {}).get(name, []))
        ran.seconds[name] = round(time.monotonic() - one_s, 1)
        try:
            if not why:
                ran.figures[name] = json.loads(output.strip().rpartition("\n")[2])
        except ValueError:
            why = f"its last line is no JSON: {output[-80:]!r}"
        if why:
            ran.failed[name] = why
            print(f"  FAILED after {ran.seconds[name]:.0f} s: {why}", flush=True)
        else:
            print(show(name, ran.figures[name]), flush=True)
    print(f"\n{len(ran.figures)} of {len(names)} done in {time.monotonic() - begun_s:.0f} s", flush=True)
    for name, why in ran.failed.items():
        print(f"  FAILED: {name}: {why}", flush=True)
    for name, figures in ran.figures.items():
        for what, why in figures.get("skipped", {}).items():
            print(f"  skipped: {name}: {what}: {why}", flush=True)
    return ran


def document(ran: Ran) -> dict[str, Any]:
    """Give all of a run as one document, with date, machine and version."""
    about = {"date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "commit": _commit()}
    return {**about, "machine": machine(), **ran._asdict()}


def machine() -> dict[str, object]:
    """Tell what the run ran on."""
    described = Path("/proc/cpuinfo")
    text = described.read_text() if described.exists() else ""
    models = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def run_one(name: str, more: Sequence[str] = ()) -> tuple[str, str]:
    """Run one benchmark, telling now and then that it still runs; gives its output, and why it failed or ""."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", *more]
    begun_s = time.monotonic()
    done = threading.Event()

    def tell() -> None:
        while not done.wait(TELL_EVERY_S):
            print(f"  ... {name}: {time.monotonic() - begun_s:.0f} s", flush=True)

    trace: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        helpers = [
            threading.Thread(target=tell, daemon=True),
            threading.Thread(target=_forward, args=(process.stderr, trace)),
        ]
        for helper in helpers:
            helper.start()
        output = process.stdout.read()
        process.wait()
        done.set()
        for helper in helpers:
            helper.join()
    if not process.returncode:
        return output, ""
    reason = trace[-1].strip() if trace else f"exit status {process.returncode}"
    if not reason.startswith(OWN_ERRORS):
        print("".join(trace), end="", flush=True)
    return output, reason.removeprefix(OWN_ERRORS)


def _forward(lines: IO[str], trace: list[str]) -> None:
    """Pass a benchmark's standard error on as it comes; a traceback is kept in `trace` instead."""
    for line in lines:
        if trace or line.startswith("Traceback "):
            trace.append(line)
        else:
            print(line, end="", flush=True)


def _commit() -> str:
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip()
