"""Forecasts on the machines of asd and smd (train parts): does the band hold what comes, and who forecasts nothing?

At some cuts of each metric, two days are known and four hours are to come. Beside the forecast stands the naive one:
the last value, its band from how far values moved over the same time before. `trends_per_cut` counts cuts told as a
trend. Needs the data sets asd and smd.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.tables import show
from watchkeeper.datasets.read import read_members
from watchkeeper.detect.metrics.capacity import is_near
from watchkeeper.detect.metrics.forecast import forecast
from watchkeeper.settings import Settings

STEP_S = {"asd": 300.0, "smd": 60.0}
KNOWN_S = 2 * 86_400.0
AHEAD_S = 4 * 3_600.0
CUTS = 3
NAIVE_STEPS = 12
BAND_NORMAL = 1.645

Floats = npt.NDArray[np.float64]


def trains(name: str, folder: Path) -> Iterator[Floats]:
    """Give each machine's train part (T, metrics)."""
    for _, content in read_members(name, folder, lambda member: member.endswith(".npz")):
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            yield np.asarray(archive["train"], np.float64).T


def naive(values: Floats, ahead: int) -> tuple[Floats, Floats]:
    """Give the last value and the half width of its band for each step to come (ahead,)."""
    steps = np.unique(np.linspace(1, ahead, NAIVE_STEPS).astype(int))
    moved = [float(np.sqrt(np.mean((values[step:] - values[:-step]) ** 2))) for step in steps.tolist()]
    width = np.interp(np.arange(1, ahead + 1), steps, moved)
    return np.full(ahead, values[-1]), BAND_NORMAL * width


def judge(name: str, folder: Path) -> dict[str, float]:
    """Give coverage, width and error of both forecasts, in spreads of the known values."""
    known, ahead = int(KNOWN_S / STEP_S[name]), int(AHEAD_S / STEP_S[name])
    sums: dict[str, list[float]] = {}
    seconds = 0.0
    for machine in trains(name, folder):
        for cut in np.linspace(known, len(machine) - ahead, CUTS).astype(int).tolist():
            for values, coming in zip(machine[cut - known : cut].T, machine[cut : cut + ahead].T, strict=True):
                spread = float(np.std(values))
                if spread == 0.0:
                    continue
                times = (np.arange(known) * STEP_S[name] * 1e9).astype(np.int64)
                begun = time.process_time()
                limit = float(values.max()) + spread
                own = forecast(times, values, limit=limit, horizon_s=AHEAD_S)
                seconds += time.process_time() - begun
                later = times[-1] + (np.arange(1, ahead + 1) * STEP_S[name] * 1e9).astype(np.int64)
                low, mid, high = (np.interp(later, own.times_unix_ns, one) for one in (own.low, own.mid, own.high))
                last, half = naive(values, ahead)
                said = {
                    "coverage_of_90": float(((coming >= low) & (coming <= high)).mean()),
                    "naive_coverage_of_90": float((np.abs(coming - last) <= half).mean()),
                    "width": float((high - low).mean()) / spread,
                    "naive_width": float(2 * half.mean()) / spread,
                    "error": float(np.abs(coming - mid).mean()) / spread,
                    "naive_error": float(np.abs(coming - last).mean()) / spread,
                    "trends_per_cut": float(own.is_trend),
                    "limits_told_per_cut": float(is_near(own, float(values[-1]), limit)),
                    "limits_told_falsely_per_cut": float(
                        is_near(own, float(values[-1]), limit) and float(coming.max()) < limit
                    ),
                }
                for what, value in said.items():
                    sums.setdefault(what, []).append(value)
    count = len(sums["error"])
    figures = {what: round(float(np.mean(each)), 4) for what, each in sums.items()}
    return {"cuts": count, **figures, "forecast_ms": round(1e3 * seconds / count, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    figures: dict[str, Any] = {"forecasts": {}}
    for name in STEP_S:
        figures["forecasts"][name] = judge(name, Settings().path("data"))
        print(f"  {name} done", file=sys.stderr, flush=True)
    print(json.dumps(figures) if as_json else show("metric_forecasts", figures))


if __name__ == "__main__":
    main()
