"""Trace anomalies on labelled traces of Train Ticket: F1 beside the trivial rules, over several splits of the normals.

Half of the normal traces, chosen by a seeded draw, is learned from and sets every threshold; the other half and all
anomalous traces are judged. Every rule that has a threshold is given the same budget of false alarms on the training
normals, on traces it did not learn from. Told are the mean over the splits, a 95 % interval of it (bootstrap over the
splits), and how the anomalous traces divide into those of a new structure and those that are only slow. Needs
traceanomaly_trainticket.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.forest_peer import scores as forest_scores
from benchmarks.peer import NotAvailable
from watchkeeper.datasets.read import read_members
from watchkeeper.detect.traces.vectors import FALSE_ALARMS, TraceVectorProfile
from watchkeeper.settings import Settings

SEEDS = range(100, 110)
CALIBRATION_SHARE = 0.2
BOOTSTRAPS = 2_000

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def read(folder: Path) -> tuple[Floats, Floats]:
    """Give normal and anomalous traces: times by call path, 0 where a trace does not have the path."""
    content = {Path(name).name: data for name, data in read_members("traceanomaly_trainticket", folder, _is_test)}
    return tuple(_vectors(content[name]) for name in ("test_normal", "test_abnormal"))  # type: ignore[return-value]


def _is_test(name: str) -> bool:
    return Path(name).name.startswith("test_")


def _vectors(data: bytes) -> Floats:
    rows = [line.partition(":")[2] for line in data.decode("ascii").splitlines() if ":" in line]
    return np.array([np.fromstring(row, sep=",") for row in rows])


def judged(train: Floats, test: Floats, true: Flags, seed: int) -> tuple[dict[str, Flags], dict[str, str]]:
    """Give what each rule flags of the test traces, and why a rule is missing."""
    profile = TraceVectorProfile.learn(train, seed=seed)
    fit, held = _divided(train, seed)
    known = {row.tobytes() for row in train > 0}
    flags = {
        "trace_vector_profile": profile.score(test) > profile.threshold,
        "always": np.ones(len(true), bool),
        "never": np.zeros(len(true), bool),
        "unseen_structure": np.array([row.tobytes() not in known for row in test > 0]),
        "n_sigma": _flagged(n_sigma(fit), held, test),
    }
    try:
        held_scores, test_scores = forest_scores(np.log1p(fit), [np.log1p(held), np.log1p(test)], seed=seed)
        flags["isolation_forest"] = test_scores > np.quantile(held_scores, 1 - FALSE_ALARMS)
    except NotAvailable as reason:
        return flags, {"isolation_forest": str(reason)}
    return flags, {}


def n_sigma(train: Floats) -> Callable[[Floats], Floats]:
    """Give the plain rule: how many standard deviations the furthest path is from its mean."""
    mean, spread = train.mean(axis=0), train.std(axis=0) + 1e-9
    return lambda vectors: np.asarray((np.abs(vectors - mean) / spread).max(axis=1), np.float64)


def _flagged(score: Callable[[Floats], Floats], held: Floats, test: Floats) -> Flags:
    return np.asarray(score(test) > np.quantile(score(held), 1 - FALSE_ALARMS))


def _divided(train: Floats, seed: int) -> tuple[Floats, Floats]:
    order = np.random.default_rng(seed).permutation(len(train))
    held = int(CALIBRATION_SHARE * len(train))
    return train[order[held:]], train[order[:held]]


def f1(found: Flags, true: Flags) -> float:
    """Give the F1 of the anomalous class, 0 when nothing is found."""
    total = int(found.sum() + true.sum())
    return 2 * int((found & true).sum()) / total if total else 0.0


def interval(values: list[float]) -> tuple[float, float]:
    """Give the 95 % interval of the mean by bootstrap over the splits."""
    draw = np.random.default_rng(0).integers(0, len(values), (BOOTSTRAPS, len(values)))
    low, high = np.quantile(np.array(values)[draw].mean(axis=1), [0.025, 0.975])
    return round(float(low), 4), round(float(high), 4)


def measure(folder: Path) -> dict[str, Any]:
    """Judge every split; gives the figures."""
    normal, anomalous = read(folder)
    figures: dict[str, dict[str, list[float]]] = {}
    skipped: dict[str, str] = {}
    for seed in SEEDS:
        order = np.random.default_rng(seed).permutation(len(normal))
        train, rest = normal[order[: len(normal) // 2]], normal[order[len(normal) // 2 :]]
        test = np.concatenate([rest, anomalous])
        true = np.arange(len(test)) >= len(rest)
        flags, missing = judged(train, test, true, seed)
        skipped.update(missing)
        slow = true & ~flags["unseen_structure"]
        for name, found in flags.items():
            told = figures.setdefault(name, {"f1": [], "precision": [], "recall": [], "recall_slow_only": [], "fp": []})
            told["f1"].append(f1(found, true))
            told["precision"].append(float(true[found].mean()) if found.any() else 0.0)
            told["recall"].append(float(found[true].mean()))
            told["recall_slow_only"].append(float(found[slow].mean()))
            told["fp"].append(float(found[~true].mean()))
        print(f"  split {seed}: F1 {figures['trace_vector_profile']['f1'][-1]:.4f}", file=sys.stderr, flush=True)
    rules = {}
    for name, told in figures.items():
        low, high = interval(told["f1"])
        means = {each: round(float(np.mean(values)), 4) for each, values in told.items()}
        rules[name] = {
            "f1": means["f1"],
            "f1_low": low,
            "f1_high": high,
            "precision": means["precision"],
            "recall": means["recall"],
            "recall_slow_only": means["recall_slow_only"],
            "false_alarms": means["fp"],
        }
    return {
        "normal_traces": len(normal),
        "anomalous_traces": len(anomalous),
        "splits": len(SEEDS),
        "false_alarm_budget": FALSE_ALARMS,
        **rules,
        **({"skipped": skipped} if skipped else {}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    print(json.dumps(measure(Settings().path("data")), indent=None if chosen.json else 2))


if __name__ == "__main__":
    main()
