"""The metric detector's speed and size on 10,000 series: fused core, its twin, the whole detector, beside river.

The core is timed on blocks of several steps, the detector on Arrow batches of one point a series; processor time on one
core. river's half-space trees (river_peer.py) judge a small sample of the same values, one model for each series.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks import river_peer
from benchmarks.peer import NotAvailable
from benchmarks.tables import show
from watchkeeper.detect.metrics.core import Field, Scores, SeriesState
from watchkeeper.detect.metrics.detector import MetricDetector
from watchkeeper.signals.schema import METRICS

SERIES = 10_000
SERVICES = 500
STEPS = (1, 4, 16, 60)
REPEATS = 7
BATCHES = 60
PEER_SERIES = 4
PEER_STEPS = 500
START_NS = 1_763_700_000_000_000_000
STEP_NS = 10_000_000_000

Floats = npt.NDArray[np.float64]


def values(steps: int, series: int) -> Floats:
    """Give made-up values (steps, series) of levels and noises of many sizes, the same at every call."""
    random = np.random.default_rng(0)
    level = 10.0 ** random.uniform(-3, 9, series)
    return level * (1.0 + 0.05 * random.standard_normal((steps, series)))


def fastest(work: Callable[[], object]) -> float:
    """Give the least processor time of some runs, in seconds."""
    taken = []
    for _ in range(REPEATS):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return min(taken)


def core_speed(steps: int, *, twin: bool) -> float:
    """Give points a second of the core, state and scores being there."""
    state, rows = SeriesState(SERIES), np.arange(SERIES)
    state.begin(rows, rate=1 / 360, warm=30.0)
    if twin:
        state.use_twin()
    block = values(steps, SERIES)
    out = Scores(np.empty_like(block), np.empty_like(block))
    calls = max(1, 64 // steps)

    def work() -> None:
        for _ in range(calls):
            state.update(rows, block, out=out)

    work()
    return steps * calls * SERIES / fastest(work)


def batches(count: int) -> list[pa.RecordBatch]:
    """Give batches of one gauge point a series and step, of SERVICES services."""
    per_service = SERIES // SERVICES
    service = np.repeat(np.arange(SERVICES), per_service).astype(np.int32)
    name = np.tile(np.arange(per_service), SERVICES).astype(np.int32)
    services = [f"service-{number}" for number in range(SERVICES)]
    fixed = {
        "service": pa.DictionaryArray.from_arrays(service, services),
        "entity": pa.DictionaryArray.from_arrays(service, [f"service={one}" for one in services]),
        "name": pa.DictionaryArray.from_arrays(name, [f"metric.{number}" for number in range(per_service)]),
        "kind": pa.DictionaryArray.from_arrays(np.zeros(SERIES, np.int32), ["gauge"]),
        "series": pa.array(np.random.default_rng(1).permutation(SERIES).astype(np.int64) * 2**40),
        "attributes": pa.array(["{}"] * SERIES),
    }
    made = []
    for step, row in enumerate(values(count, SERIES)):
        times = pa.array(np.full(SERIES, START_NS + step * STEP_NS))
        said = {**fixed, "time_unix_ns": times, "received_unix_ns": times, "value_double": pa.array(row)}
        columns = [said[one.name] if one.name in said else pa.nulls(SERIES, one.type) for one in METRICS]
        made.append(pa.RecordBatch.from_arrays(columns, schema=METRICS))
    return made


def detector_figures() -> dict[str, Any]:
    """Time the whole detector and weigh it."""
    made = batches(BATCHES)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    detector = MetricDetector()
    begun = time.process_time()
    detector.learn(made[0])
    first_s = time.process_time() - begun
    begun = time.process_time()
    for batch in made[1:]:
        detector.learn(batch)
    taken = time.process_time() - begun
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {
        "points_per_s": round((len(made) - 1) * SERIES / taken),
        "first_batch_s": round(first_s, 2),
        "memory_for_10000_series_mib": round(grown_mib, 1),
    }


def peer_speed() -> tuple[float, float]:
    """Give points a second of river's half-space trees and of the core, each series by itself on the same values."""
    sample = values(PEER_STEPS, PEER_SERIES)
    state, rows = SeriesState(PEER_SERIES), np.arange(PEER_SERIES)
    state.begin(rows, rate=1 / 360, warm=30.0)
    own_s = fastest(lambda: state.update(rows, sample))
    return sample.size / river_peer.half_space_trees_s(sample), sample.size / own_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    figures: dict[str, Any] = {"detector": detector_figures()}
    print("  detector done", file=sys.stderr, flush=True)
    speeds = {steps: core_speed(steps, twin=False) for steps in STEPS}
    twin = core_speed(16, twin=True)
    figures["core"] = {
        **{f"blocks_of_{steps}_points_per_s": round(speed) for steps, speed in speeds.items()},
        "state_bytes_a_series": len(Field) * 8,
        "twin_points_per_s": round(twin),
        "ratio_to_twin": round(speeds[16] / twin, 1),
    }
    print("  core done", file=sys.stderr, flush=True)
    try:
        peer, own = peer_speed()
        figures["river"] = {
            "half_space_trees_points_per_s": round(peer),
            "core_on_the_same_points_per_s": round(own),
            "ratio_to_river": round(own / peer, 1),
        }
    except NotAvailable as reason:
        figures["skipped"] = {"river": str(reason)}
    print(json.dumps(figures) if as_json else show("metric_speed", figures))


if __name__ == "__main__":
    main()
