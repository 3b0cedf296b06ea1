"""Anomalies of whole machines on smd and asd: volumes, events at a false-alarm budget, delay; peers beside.

Learnt from the official train part only, then causally from the test part; every variant and setting was chosen on
asd and on synthetic incidents in train parts (metric_injections), smd only reports. The joint scorer is told that a
new segment begins with the test part, as the two parts of smd were brought to 0..1 apart from each other. Events:
each machine's threshold is set on its own train scores. VUS-PR: buffer as TSB-AD (the period of the test part's first
metric); published figures are of TSB-AD's own split and protocol, matched by length and anomalous steps. Beside: a
random score, the largest deviation in sigmas, PyOD's ECOD and isolation forest, river's half-space trees. Needs smd,
asd and, for the published figures, tsb_ad_per_file_vus_pr.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.metric_peers import PEERS, scores
from benchmarks.peer import NotAvailable
from watchkeeper.bench.scores.bootstrap import mean_interval
from watchkeeper.bench.scores.events import (
    EventCounts,
    count_events,
    event_score,
    incidents,
    point_adjusted_f1,
    threshold_for_budget,
)
from watchkeeper.bench.scores.vus import auc_pr, buffer_length, vus
from watchkeeper.datasets.read import read_members
from watchkeeper.detect.joint import JointScorer
from watchkeeper.errors import DataSetError
from watchkeeper.settings import Settings

STEP_S = {"asd": 300.0, "smd": 60.0}
TRAIN_INCIDENTS_PER_DAY = 0.5
"""Incidents a day that the threshold lets through on train scores; chosen on asd, where about .13 a day then come."""
CLOSE_SHARE = 0.25
GAP_S = 3600.0
BUDGET_PER_DAY = 0.25
SIGMAS_FLOOR = 1e-2

Floats = npt.NDArray[np.float64]
Scored = list[tuple[Floats, Floats]]


class Machine(NamedTuple):
    """One machine: values (T, metrics) of both parts, labels of the test part, the buffer's length for VUS."""

    name: str
    train: Floats
    test: Floats
    label: npt.NDArray[np.int64]
    buffer_steps: int


def machines(name: str, folder: Path) -> list[Machine]:
    """Read a set's machines in the order of their names."""
    found = []
    for member, data in sorted(read_members(name, folder, lambda each: each.endswith(".npz"))):
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            train, test = (np.asarray(archive[part], np.float64).T for part in ("train", "test"))
            label = np.asarray(archive["test_label"], np.int64)
        found.append(Machine(Path(member).stem, train, test, label, buffer_length(test[:, 0])))
    return found


def joint(every: list[Machine], step_s: float) -> Scored:
    """Score by the product's own scorer, causally from the first train step to the last test step.

    The earlier half of the train part is warm-up and sets no threshold.
    """
    found = []
    for each in every:
        scorer = JointScorer(each.train.shape[1], step_s)
        train = scorer.score_learn(each.train)
        scorer.new_segment()
        found.append((train[len(train) // 2 :], scorer.score_learn(each.test)))
    return found


def loudest(every: list[Machine]) -> Scored:
    """Score by the simple rule: the largest distance of any metric from its train mean in train sigmas."""
    found = []
    for each in every:
        mean, sigma = each.train.mean(axis=0), np.maximum(each.train.std(axis=0), SIGMAS_FLOOR)
        train, test = (np.abs((part - mean) / sigma).max(axis=1) for part in (each.train, each.test))
        found.append((train, test))
    return found


def chance(every: list[Machine]) -> Scored:
    """Score by random numbers."""
    random = np.random.default_rng(0)
    return [(random.random(len(each.train)), random.random(len(each.test))) for each in every]


def figures(every: list[Machine], scored: Scored, step_s: float) -> dict[str, Any]:
    """Give all figures of one detector."""
    options = {"close_share": CLOSE_SHARE, "gap_steps": round(GAP_S / step_s)}
    volumes, points, counts = [], [], list[EventCounts]()
    for each, (train, test) in zip(every, scored, strict=True):
        volumes.append(vus(test, each.label, each.buffer_steps).pr)
        points.append(auc_pr(test, each.label))
        threshold = threshold_for_budget(train, step_s, TRAIN_INCIDENTS_PER_DAY, **options)
        counts.append(count_events(incidents(test, threshold, **options), each.label, step_s))
    interval, events = mean_interval(volumes), event_score(counts, step_s)
    return {
        "vus_pr": round(interval.mean, 3),
        "low_95": round(interval.low, 3),
        "high_95": round(interval.high, 3),
        "auc_pr": round(float(np.mean(points)), 3),
        "event_f1": round(events.f1, 3),
        "event_precision": round(events.precision, 3),
        "event_recall": round(events.recall, 3),
        "false_per_machine_day": round(events.false_per_day, 3),
        "within_budget": events.false_per_day <= BUDGET_PER_DAY,
        "median_delay_s": events.median_delay_s if np.isfinite(events.median_delay_s) else None,
    }


def published(every: list[Machine], folder: Path) -> dict[str, Any]:
    """Give the published figures of the detector that is best on these files together, and of the isolation forest."""
    ((_, data),) = read_members(
        "tsb_ad_per_file_vus_pr", folder, lambda each: each.endswith("multi_mergedTable_VUS-PR.csv")
    )
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    detectors = list(rows[0])[1 : list(rows[0]).index("ts_len")]
    chosen = [
        row
        for each in every
        for row in rows
        if (int(float(row["ts_len"])), int(float(row["anomaly_len"]))) == (len(each.label), int(each.label.sum()))
    ]
    if not chosen:
        raise NotAvailable("no published file has these lengths")
    means = {name: float(np.mean([float(row[name]) for row in chosen])) for name in detectors}
    best = max(means, key=lambda name: means[name])
    return {
        "files_matched": len(chosen),
        "best_detector": best,
        "best_vus_pr": round(means[best], 3),
        "isolation_forest_vus_pr": round(means["IForest"], 3),
        "best_of_each_file_vus_pr": round(float(np.mean([max(float(row[n]) for n in detectors) for row in chosen])), 3),
    }


def one_set(name: str, folder: Path, peers: Sequence[str], skipped: dict[str, str]) -> dict[str, Any]:
    """Give the figures of one set."""
    every, step_s = machines(name, folder), STEP_S[name]
    begun_s = time.process_time()
    found = {"joint_scorer": joint(every, step_s)}
    took_s = time.process_time() - begun_s
    steps = sum(len(each.train) + len(each.test) for each in every)
    plain: dict[str, Callable[[list[Machine]], Scored]] = {"loudest_deviation": loudest, "random": chance}
    found.update({rule: score(every) for rule, score in plain.items()})
    for peer in peers:
        print(f"  {name}: {peer}", file=sys.stderr, flush=True)
        try:
            found[peer] = scores([(each.train, each.test) for each in every], peer)
        except NotAvailable as reason:
            skipped[peer] = str(reason)
    result: dict[str, Any] = {
        "detectors": {each: figures(every, scored, step_s) for each, scored in found.items()},
        "vus_pr_of_each": {
            each.name: {
                who: round(vus(scored[at][1], each.label, each.buffer_steps).pr, 3) for who, scored in found.items()
            }
            for at, each in enumerate(every)
        },
        "point_adjusted_f1_no_result": {
            who: round(
                float(
                    np.mean([point_adjusted_f1(test, m.label) for m, (_, test) in zip(every, found[who], strict=True)])
                ),
                3,
            )
            for who in ("random", "joint_scorer")
        },
        "cost": {"joint_us_per_step": round(took_s / steps * 1e6, 1), "vus_ms": round(vus_ms(every), 1)},
    }
    if name == "smd":
        try:
            result["published"] = published(every, folder)
        except (DataSetError, NotAvailable) as reason:
            skipped["published"] = str(reason)
    return result


def vus_ms(every: list[Machine]) -> float:
    """Give the least processor time of five for the exact volumes of the first machine, buffers up to 125 steps."""
    score = np.random.default_rng(0).random(len(every[0].label))
    taken = []
    for _ in range(5):
        begun_s = time.process_time()
        vus(score, every[0].label)
        taken.append(time.process_time() - begun_s)
    return min(taken) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sets", nargs="*", default=["asd", "smd"], choices=sorted(STEP_S))
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=PEERS)
    chosen = parser.parse_args()
    folder = Settings().path("data")
    skipped: dict[str, str] = {}
    result: dict[str, Any] = {name: one_set(name, folder, chosen.peers, skipped) for name in chosen.sets}
    result["skipped"] = skipped
    print(json.dumps(result, indent=None if chosen.json else 2))


if __name__ == "__main__":
    main()
