"""What a training job costs those who send: the acknowledgement's 99th percentile with a job, and without one.

Windows with and without a job take turns, so that what else runs on the machine hits both alike; the result is the
ratio within each pair of neighbours, and its median. A job that is on reads the stored lines first, then trains.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from itertools import chain, islice
from typing import Any

import httpx
import psutil

from benchmarks.otlp_batches import Prepared, Sender, prepare
from benchmarks.pipeline import percentile, progress, start
from watchkeeper.settings import Settings
from watchkeeper.training.public_lines import public_lines

BATCH = 100
STORED = 100_000
EVERY_S = 0.02
JOBS = "/api/v1/training/jobs"
ENDLESS = {"epochs": 1_000_000, "steps_max": 10_000_000}
WATCHED = [{"cluster_id": "local", "namespace": "default", "deployment": "bench"}]


def requests() -> list[Prepared]:
    lines = list(islice(chain.from_iterable(public_lines("bgl", Settings().path("data"))), STORED))
    return [prepare(lines[at : at + BATCH], "bench") for at in range(0, len(lines), BATCH)]


def window(sender: Sender, prepared: list[Prepared], seconds: float) -> list[float]:
    """Send at a steady pace; gives the seconds to each acknowledgement."""
    took: list[float] = []
    begun_s = time.monotonic()
    for turn in range(int(seconds / EVERY_S)):
        wait_s = begun_s + turn * EVERY_S - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
        took.append(sender.post(prepared[turn % len(prepared)].stamped(time.time_ns())))
    return took


def begin(client: httpx.Client) -> str:
    """Begin a job and give its id once its process runs."""
    answer = client.post(JOBS, json={"workloads": WATCHED, "parameters": ENDLESS}).json()
    while not client.get(f"{JOBS}/{answer['id']}").json()["statistics"]["time_elapsed_s"]:
        time.sleep(0.1)
    return str(answer["id"])


def worker_cpu_s(server: int) -> float:
    """Give the processor time of the server's worker until now."""
    return sum(sum(child.cpu_times()[:2]) for child in psutil.Process(server).children())


def measure(rounds: int, seconds: float) -> dict[str, Any]:
    prepared = requests()
    took: dict[bool, list[float]] = {False: [], True: []}
    ratios, stages, cpu_s = [], set(), 0.0
    with tempfile.TemporaryDirectory() as home:
        process, endpoints = start(home, "detect_warmup_s=10")
        sender = Sender(f"{endpoints['otlp_http']}/v1/logs")
        client = httpx.Client(base_url=endpoints["http"], timeout=60)
        try:
            for one in prepared:
                sender.post(one.stamped(time.time_ns()))
            window(sender, prepared, seconds / 2)
            for number in range(rounds):
                p99: dict[bool, float] = {}
                for with_job in (False, True) if number % 2 else (True, False):
                    job = begin(client) if with_job else ""
                    told = window(sender, prepared, seconds)
                    if with_job:
                        cpu_s += worker_cpu_s(process.pid)
                        stages.add(client.post(f"{JOBS}/{job}/cancel", json={}).json()["stage"])
                    took[with_job] += told
                    p99[with_job] = percentile(told, 0.99)
                ratios.append(p99[True] / p99[False])
                progress(f"{number + 1} of {rounds}: {p99[False] * 1e3:.1f} ms, with a job {p99[True] * 1e3:.1f} ms")
        finally:
            client.close()
            sender.close()
            process.terminate()
            process.wait(60)
    ordered = sorted(ratios)
    return {
        "p99_ms": percentile(took[False], 0.99) * 1e3,
        "p99_with_job_ms": percentile(took[True], 0.99) * 1e3,
        "p50_ms": percentile(took[False], 0.5) * 1e3,
        "p50_with_job_ms": percentile(took[True], 0.5) * 1e3,
        "p99_ratio": statistics.median(ratios),
        "p99_ratio_lowest": ordered[0],
        "p99_ratio_highest": ordered[-1],
        "pairs": rounds,
        "acknowledgements": len(took[False]) + len(took[True]),
        "job_share_of_a_core": cpu_s / (rounds * seconds),
        "stages_reached": ", ".join(sorted(stages)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20.0, help="of a window")
    chosen = parser.parse_args()
    print(json.dumps(measure(chosen.rounds, chosen.seconds)))


if __name__ == "__main__":
    main()
