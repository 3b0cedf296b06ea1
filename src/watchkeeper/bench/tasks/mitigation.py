"""Mitigation: which known solution fits what was told. Solutions are ranked; any of the right ones counts."""

from __future__ import annotations

from collections.abc import Sequence

from watchkeeper.bench.base import Figure, Measured, Metric, Outcome, Task
from watchkeeper.bench.scores.bootstrap import mean_interval

METRICS = (
    Metric("mrr", "mean reciprocal rank of the first right solution", headline=True),
    Metric("match_at_1", "share whose first solution is right", tolerance=0.02),
    Metric("match_at_3", "share with a right one among the first three", tolerance=0.02),
)


def measure(outcomes: Sequence[Outcome]) -> Measured:
    """Score rankings of ids; an item's truth is the set of right ids. An id that is not ranked has no rank."""
    cases = {}
    for one in outcomes:
        for item, answer in zip(one.split.test, one.answers, strict=True):
            rank = next((at for at, name in enumerate(answer, 1) if name in item.truth), 0)
            cases[item.id] = {
                "mrr": 1.0 / rank if rank else 0.0,
                "match_at_1": float(rank == 1),
                "match_at_3": float(0 < rank <= 3),
            }
    names = [metric.name for metric in METRICS]
    return Measured(
        {name: Figure(*mean_interval([each[name] for each in cases.values()], draws=2_000)) for name in names}, cases
    )


TASKS = (Task("mitigation", "assisted remediation", "which known solution fits", METRICS, measure),)
