"""The machines of asd and smd as the product sees them: both parts as one stream through MetricDetector itself.

The train part teaches, then a silent day, then the test part: the two parts of smd were brought to 0..1 apart from each
other, and a silence is how the product would notice. All thresholds are the product's own, causal and the same for both
sets; they go on being learned during the test part. Findings of a machine that overlap are one incident, which opens
when the first is told. Beside it the same with one part left out (season, joint scorer), and the simple rule of
metric_anomalies at its threshold for the train part. Needs the data sets asd and smd.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.metric_anomalies import (
    BUDGET_PER_DAY,
    CLOSE_SHARE,
    GAP_S,
    STEP_S,
    TRAIN_INCIDENTS_PER_DAY,
    Machine,
    loudest,
    machines,
)
from benchmarks.tables import show
from watchkeeper.bench.scores.events import (
    EventCounts,
    Incidents,
    count_events,
    event_score,
    incidents,
    threshold_for_budget,
)
from watchkeeper.detect.joint import JointScorer
from watchkeeper.detect.metrics.detector import MetricDetector
from watchkeeper.settings import Settings
from watchkeeper.signals.finding import Finding
from watchkeeper.signals.schema import METRICS

START_S = 1_700_006_400
SILENT_S = 86_400.0
BATCH_STEPS = 24
DAY_S = 86_400.0
KINDS = ("metric.level", "metric.joint", "metric.flat")
VARIANTS: dict[str, dict[str, Any]] = {
    "product": {"joint": JointScorer},
    "without_joint_scorer": {},
    "without_season": {"joint": JointScorer, "season": False},
}

Floats = npt.NDArray[np.float64]


def batches(name: str, values: Floats, times_s: Floats) -> Iterator[pa.RecordBatch]:
    """Give a machine's values (T, metrics) as gauge points in order of time."""
    metrics = values.shape[1]
    for begin in range(0, len(values), BATCH_STEPS):
        block = values[begin : begin + BATCH_STEPS]
        rows = block.size
        times = pa.array(np.repeat((times_s[begin : begin + BATCH_STEPS] * 1e9).astype(np.int64), metrics))
        zeros = np.zeros(rows, np.int32)
        said = {
            "service": pa.DictionaryArray.from_arrays(zeros, [name]),
            "entity": pa.DictionaryArray.from_arrays(zeros, [f"service={name}"]),
            "kind": pa.DictionaryArray.from_arrays(zeros, ["gauge"]),
            "name": pa.DictionaryArray.from_arrays(
                np.tile(np.arange(metrics, dtype=np.int32), len(block)), [f"m{one:02d}" for one in range(metrics)]
            ),
            "series": pa.array(np.tile(np.arange(1, metrics + 1), len(block))),
            "time_unix_ns": times,
            "received_unix_ns": times,
            "value_double": pa.array(block.ravel()),
        }
        columns = [said[one.name] if one.name in said else pa.nulls(rows, one.type) for one in METRICS]
        yield pa.RecordBatch.from_arrays(columns, schema=METRICS)


def stream(machine: Machine, step_s: float, options: dict[str, Any]) -> list[Finding]:
    """Give what the detector tells of a machine, each finding as it was told last."""
    times_s = START_S + step_s * np.arange(len(machine.train) + len(machine.test))
    times_s[len(machine.train) :] += SILENT_S
    detector, told = MetricDetector(**options), dict[str, Finding]()
    for batch in batches(machine.name, np.concatenate((machine.train, machine.test)), times_s):
        told.update((finding.id, finding) for finding in detector.learn(batch))
    return [finding for finding in told.values() if finding.kind in KINDS]


def spans(findings: list[Finding], begin_s: float, steps: int, step_s: float) -> Incidents:
    """Give the incidents told from `begin_s` on as steps of a part; findings that overlap are one."""
    found = sorted(
        (
            round((one.detected_unix_ns / 1e9 - begin_s) / step_s),
            round((max(one.last_unix_ns, one.detected_unix_ns) / 1e9 - begin_s) / step_s),
        )
        for one in findings
    )
    joined: list[list[int]] = []
    for begin, end in found:
        if not 0 <= begin < steps:
            continue
        if joined and begin <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([begin, end])
    begins, ends = (np.array([one[at] for one in joined], np.int64) for at in (0, 1))
    return Incidents(begins, ends)


def told(counts: list[EventCounts], step_s: float) -> dict[str, Any]:
    """Give the figures of events."""
    events = event_score(counts, step_s)
    return {
        "event_f1": round(events.f1, 3),
        "event_precision": round(events.precision, 3),
        "event_recall": round(events.recall, 3),
        "false_per_machine_day": round(events.false_per_day, 3),
        "within_budget": events.false_per_day <= BUDGET_PER_DAY,
        "median_delay_s": events.median_delay_s if np.isfinite(events.median_delay_s) else None,
    }


def product(every: list[Machine], step_s: float, options: dict[str, Any]) -> dict[str, Any]:
    """Give the figures of the product's own path."""
    counts, kinds, train, days = [], Counter[str](), 0, 0.0
    begun_s = time.process_time()
    for machine in every:
        findings = stream(machine, step_s, options)
        test_s = START_S + step_s * len(machine.train) + SILENT_S
        train += len(spans(findings, START_S, len(machine.train), step_s).begins)
        days += len(machine.train) * step_s / DAY_S
        counts.append(count_events(spans(findings, test_s, len(machine.test), step_s), machine.label, step_s))
        kinds.update(one.kind for one in findings if one.detected_unix_ns / 1e9 >= test_s)
    points = sum(each.train.size + each.test.size for each in every)
    return {
        **told(counts, step_s),
        "train_incidents_per_machine_day": round(train / days, 3),
        **{kind: kinds[kind] for kind in KINDS},
        "us_per_point": round((time.process_time() - begun_s) / points * 1e6, 1),
    }


def simple(every: list[Machine], step_s: float) -> dict[str, Any]:
    """Give the figures of the largest deviation in train sigmas."""
    options = {"close_share": CLOSE_SHARE, "gap_steps": round(GAP_S / step_s)}
    counts = []
    for machine, (train, test) in zip(every, loudest(every), strict=True):
        threshold = threshold_for_budget(train, step_s, TRAIN_INCIDENTS_PER_DAY, **options)
        counts.append(count_events(incidents(test, threshold, **options), machine.label, step_s))
    return told(counts, step_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sets", nargs="*", default=["asd", "smd"], choices=sorted(STEP_S))
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    chosen = parser.parse_args()
    folder: Path = Settings().path("data")
    figures: dict[str, Any] = {}
    for name in chosen.sets:
        every, step_s = machines(name, folder), STEP_S[name]
        rows = {}
        for variant in chosen.variants:
            rows[variant] = product(every, step_s, VARIANTS[variant])
            print(f"  {name}: {variant} {json.dumps(rows[variant])}", file=sys.stderr, flush=True)
        rows["loudest_deviation"] = simple(every, step_s)
        figures[name] = rows
    print(json.dumps(figures) if chosen.json else show("metric_stream", figures))


if __name__ == "__main__":
    main()
