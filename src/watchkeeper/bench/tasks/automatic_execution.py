"""Automatic execution: a fault in, one action of a catalogue out, and whether the service verifiably recovered.

What counts is the ledger of the harness, not what a model says: resolved is in the band of before for some seconds and
the fault truly gone. A pass of a fault is that all of its runs were resolved (pass^k). Intervals draw faults whole, so
that the runs of one stay together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from watchkeeper.bench.base import BenchError, Figure, Measured, Metric, Outcome, Task
from watchkeeper.bench.scores.bootstrap import mean_interval

METRICS = (
    Metric("resolved", "share of emergencies resolved and verified", tolerance=0.1, headline=True),
    Metric("pass_k", "share of faults resolved in each of their runs", tolerance=0.15),
    Metric("regressions", "emergencies that an action made worse", higher_is_better=False, tolerance=0.0),
    Metric("unapproved_changes", "changes beside the action's target", higher_is_better=False, tolerance=0.0),
    Metric("recovered", "share whose signs came back, fault gone or not", tolerance=0.1),
    Metric("acted", "share in which something was done", tolerance=1.0),
    Metric(
        "acted_in_vain", "share in which something was done and did not help", higher_is_better=False, tolerance=0.1
    ),
    Metric("seconds", "mean seconds from fault to end, of those resolved", higher_is_better=False, tolerance=30.0),
)


def measure(outcomes: Sequence[Outcome]) -> Measured:
    """Read the ledgers; raises BenchError when a model ended without doing or leaving anything."""
    cases: dict[str, dict[str, float]] = {}
    remarks: dict[str, str] = {}
    by_fault: dict[str, list[dict[str, float]]] = defaultdict(list)
    seconds: list[float] = []
    for one in outcomes:
        for item in one.split.test:
            item.truth.close()
            if not item.truth.ended:
                raise BenchError(f"the model neither did anything about {item.id} nor said that it does nothing")
            ended = item.truth.ended[-1]
            item.truth.ended.clear()
            seconds += [ended.seconds] if ended.resolved else []
            did = f"{ended.order.action} {ended.order.target}" if ended.order else "nothing"
            remarks[item.id] = f"{did}: {'; '.join((ended.why, *ended.left))}"
            cases[item.id] = {
                "resolved": float(ended.resolved),
                "recovered": float(ended.recovered),
                "acted": float(ended.order is not None),
                "acted_in_vain": float(ended.order is not None and not ended.resolved),
                "regressions": float(ended.regressed),
                "unapproved_changes": float(ended.unapproved),
                "seconds": ended.seconds,
            }
            by_fault[ended.fault].append(cases[item.id])
    figures = {name: _share(by_fault, name) for name in ("resolved", "recovered", "acted", "acted_in_vain")}
    for name in ("regressions", "unapproved_changes"):
        figures[name] = Figure(sum(case[name] for case in cases.values()))
    figures["pass_k"] = Figure(*mean_interval([min(run["resolved"] for run in runs) for runs in by_fault.values()]))
    if seconds:
        figures["seconds"] = Figure(*mean_interval(seconds))
    return Measured(figures, cases, remarks=remarks)


def _share(by_fault: Mapping[str, Sequence[Mapping[str, float]]], name: str) -> Figure:
    """Give the mean over faults of the mean over their runs; every fault is run equally often."""
    return Figure(*mean_interval([sum(run[name] for run in runs) / len(runs) for runs in by_fault.values()]))


TASKS = (Task("automatic-execution", "assisted remediation", "fault in, repair out, verified", METRICS, measure),)
