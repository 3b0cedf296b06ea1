"""Brings what was measured several times, with other seeds or other draws of the same cases, to one.

Enters: figures of each time. Leaves: their mean, with an interval as wide as the widest of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from watchkeeper.bench.base import Figure, Measured


def merged(runs: Sequence[Measured]) -> Measured:
    """Give the mean over seeds; the interval reaches from the lowest of the lows to the highest of the highs.

    A figure that only some of the seeds have (seconds of what was resolved, claims where any was made) is of those.
    """
    if len(runs) == 1:
        return runs[0]
    figures = {}
    for name in dict.fromkeys(name for run in runs for name in run.figures):
        each = [run.figures[name] for run in runs if name in run.figures]
        lows, highs = (
            [one.low for one in each if one.low is not None],
            [one.high for one in each if one.high is not None],
        )
        mean = float(np.mean([one.value for one in each]))
        figures[name] = Figure(mean, min(lows) if lows else None, max(highs) if highs else None)
    cases: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        for case, told in run.cases.items():
            for name, value in told.items():
                cases[case][name].append(value)
    means = {case: {name: float(np.mean(values)) for name, values in told.items()} for case, told in cases.items()}
    remarks = {case: _joined([run.remarks.get(case, "") for run in runs]) for run in runs for case in run.remarks}
    return Measured(figures, means, runs[0].curves, remarks)


def _joined(words: Sequence[str]) -> str:
    return " | ".join(dict.fromkeys(each for each in words if each))
