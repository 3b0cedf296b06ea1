"""How right a training job's time left is from the half on, in real first jobs of several sizes; how long they take.

Each job is a real one: a process of its own with the product's limits, over lines that the real store holds, without
any job before it. The lines are made of words drawn by Zipf's law, `--distinct` forms each repeated; `--store` takes a
store that training_volume has left instead. The error is what |told - true| exceeds FLOOR_S by, over the true time
left, at every quarter of a second from the half of the whole time on. What else ran on the machine is told beside it:
the share of a core that the job had, in quarters of its time, for a job cannot foresee that others come or go.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import pyarrow as pa

from benchmarks.training_volume import BATCH, HOUR_NS, Seen, batch_of, open_store, train
from watchkeeper.signals.schema import Signal
from watchkeeper.store.store import Store

FLOOR_S = 2.0
WORDS = 1_500
TOKENS = (5, 25)
REPEATED = 20
LOOK_S = 0.5


class Share(NamedTuple):
    """The processor time of the worker at one moment."""

    at_s: float
    cpu_s: float


def synthetic(distinct: int, *, words: int = WORDS, tokens: tuple[int, int] = TOKENS, seed: int = 0) -> list[str]:
    """Give so many distinct lines of made-up words, none of them masked."""
    random = np.random.default_rng(seed)
    letters = np.array(list("bcdfghjklmnpqrstvwxyz"))
    known = np.array(sorted({"".join(random.choice(letters, random.integers(3, 8))) for _ in range(2 * words)})[:words])
    chances = 1.0 / np.arange(1, len(known) + 1)
    chances /= chances.sum()
    lines: dict[str, None] = {}
    while len(lines) < distinct:
        lines[" ".join(random.choice(known, random.integers(*tokens, endpoint=True), p=chances))] = None
    return list(lines)


def fill(store: Store, lines: list[str], until_unix_ns: int) -> None:
    """Write every line REPEATED times, spread over an hour in a seeded order."""
    order = np.random.default_rng(1).permutation(np.tile(np.arange(len(lines)), REPEATED))
    corpus = pa.array(lines)
    for begin in range(0, len(order), BATCH):
        chosen = order[begin : begin + BATCH]
        times = until_unix_ns - HOUR_NS + np.arange(begin, begin + len(chosen)) * (HOUR_NS // len(order))
        batch = batch_of(corpus.take(pa.array(chosen)), times)
        store.append(Signal.LOGS, "protobuf", "bench", until_unix_ns, f"{begin}".encode(), batch).result(60)
    store.seal_now()


class Watch:
    """Notes the processor time of this process's child while a job runs."""

    def __init__(self) -> None:
        self.shares: list[Share] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def __enter__(self) -> Watch:
        self._begun_s = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _loop(self) -> None:
        while not self._ended.wait(LOOK_S):
            try:
                cpu_s = sum(sum(each.cpu_times()[:2]) for each in psutil.Process(os.getpid()).children())
            except psutil.Error:
                continue
            if cpu_s > 0:
                self.shares.append(Share(time.monotonic() - self._begun_s, cpu_s))

    def quarters(self) -> list[float]:
        """Give the share of a core in each quarter of the job's time."""
        if len(self.shares) < 5:
            return []
        at = [self.shares[round(part * (len(self.shares) - 1) / 4)] for part in range(5)]
        return [round((b.cpu_s - a.cpu_s) / (b.at_s - a.at_s), 2) for a, b in pairwise(at)]


def errors(seen: list[Seen], total_s: float) -> list[float]:
    """Give the error at each look from the half on."""
    late = [(each.left_s, total_s - each.at_s) for each in seen if total_s / 2 <= each.at_s < total_s]
    return [max(0.0, abs(told - true) - FLOOR_S) / true for told, true in late]


def measure(store: Store, home: Path, until_unix_ns: int) -> dict[str, Any]:
    with Watch() as watch:
        job, seen, total_s = train(store, home, until_unix_ns)
    if job.status != "completed":
        raise RuntimeError(f"the job {job.status}: {job.reason}\n{job.log_tail}")
    late = errors(seen, total_s)
    return {
        "stored_lines": store.stats().signals[Signal.LOGS].rows,
        "distinct_lines": job.result["trained_on"]["distinct"],
        "seconds": round(total_s, 1),
        "processor_seconds": round(watch.shares[-1].cpu_s, 1) if watch.shares else None,
        "core_share_by_quarter": watch.quarters(),
        "floor_s": FLOOR_S,
        "looks": len(late),
        "worst_error": round(max(late, default=0.0), 3),
        "median_error": round(statistics.median(late), 3) if late else 0.0,
        "share_of_looks_within_a_quarter": round(sum(each <= 0.25 for each in late) / max(1, len(late)), 3),
        "peak_memory_mib": round(job.peak_memory_bytes / 2**20),
        "held_out_accuracy": job.result["quality"]["model_accuracy"],
        "steps": job.result["parameters"]["steps_planned"],
        "told_at_s": [[round(each.at_s, 1), round(each.left_s, 1)] for each in seen[:: max(1, len(seen) // 20)]],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--distinct", type=int, nargs="*", default=[200, 5_000])
    parser.add_argument("--store", type=Path, help="a folder that training_volume --folder has left")
    chosen = parser.parse_args()
    for distinct in chosen.distinct:
        with tempfile.TemporaryDirectory() as folder, open_store(Path(folder)) as store:
            until_unix_ns = time.time_ns()
            fill(store, synthetic(distinct), until_unix_ns)
            print(json.dumps(measure(store, Path(folder), until_unix_ns)), flush=True)
    if chosen.store:
        with open_store(chosen.store) as store:
            until_unix_ns = int((chosen.store / "until").read_text())
            print(json.dumps(measure(store, chosen.store, until_unix_ns)), flush=True)


if __name__ == "__main__":
    main()
