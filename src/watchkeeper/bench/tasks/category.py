"""Category: what kind of failure it is. Macro-F1, so that a rare kind counts as much as a frequent one."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

import numpy as np

from watchkeeper.bench.base import Figure, Measured, Metric, Outcome, Task
from watchkeeper.bench.scores.classification import brier, calibration_error, scored

METRICS = (
    Metric("macro_f1", "mean F1 over the classes", headline=True, tolerance=0.02),
    Metric("accuracy", "share that is right", tolerance=0.02),
    Metric("calibration_error", "expected calibration error of the class told", higher_is_better=False, tolerance=0.02),
    Metric(
        "brier", "mean squared distance of the probabilities from the truth", higher_is_better=False, tolerance=0.02
    ),
)


def measure(outcomes: Sequence[Outcome]) -> Measured:
    """Pool the cases of all folds; an item's truth is its class, an answer a probability for each class."""
    pairs = [
        (item.id, str(item.truth), answer)
        for one in outcomes
        for item, answer in zip(one.split.test, one.answers, strict=True)
    ]
    truth = [true for _, true, _ in pairs]
    told = [max(sorted(answer.items()), key=itemgetter(1))[0] for _, _, answer in pairs]
    classes = sorted({*truth, *(name for _, _, answer in pairs for name in answer)})
    chances = np.array([[answer.get(name, 0.0) for name in classes] for _, _, answer in pairs])
    right = np.array([one == other for one, other in zip(truth, told, strict=True)])
    figures = scored(truth, told, draws=1_000)
    return Measured(
        {
            "macro_f1": Figure(figures.macro_f1, figures.macro_f1_low, figures.macro_f1_high),
            "accuracy": Figure(figures.accuracy, figures.accuracy_low, figures.accuracy_high),
            "calibration_error": Figure(calibration_error(chances.max(axis=1), right)),
            "brier": Figure(brier(chances, np.array([classes.index(name) for name in truth]))),
        },
        {name: {"accuracy": float(each)} for (name, _, _), each in zip(pairs, right, strict=True)},
    )


TASKS = (Task("category", "root cause analysis", "what kind of failure it is", METRICS, measure),)
