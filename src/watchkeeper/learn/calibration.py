"""Which lines are strange enough to tell of: a threshold from lines held out, for a stated budget of false alarms.

Enters: what a model tells of normal lines that it has not seen (higher = more usual), and of strangers made of them.
Leaves: the measure that tells them apart best, and the value below which a line is strange. The budget is the share of
normal lines of a form never seen before that may be flagged; it holds for lines like those held out. Source: Vovk,
Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005 (conformal p-values).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
BUDGET = 0.05
CHANGED_SHARE = 0.3


class Calibration(NamedTuple):
    """measure: `share` or `chance`. threshold: flagged is what lies below it.

    budget: what was asked for. bound: what is kept to, k / (n + 1) of n lines held out; above the budget where they are
    too few to tell. Both are 1 for a threshold set by hand, which promises nothing. separation: how often a normal line
    is more usual than a stranger, 0..1, by measure.
    """

    measure: str
    threshold: float
    budget: float
    bound: float
    held: int
    separation: dict[str, float]


NONE = Calibration("share", 0.0, BUDGET, 0.0, 0, {})
"""Flags nothing: no line was held out."""


def calibrated(normal: Mapping[str, Floats], strangers: Mapping[str, Floats], budget: float) -> Calibration:
    """Choose the measure and its threshold. normal: (n,) values of lines held out, by measure; strangers: (m,).

    The first measure is taken where another is no better.

    >>> values = {"share": np.arange(1, 40) / 40}
    >>> calibrated(values, {"share": np.zeros(9)}, 0.05)[:4]
    ('share', 0.05, 0.05, 0.05)
    """
    first = next(iter(normal.values()))
    if not len(first):
        return NONE._replace(budget=budget)
    separation = {name: round(auc(values, strangers[name]), 4) for name, values in normal.items()}
    measure = max(separation, key=lambda name: separation[name])
    values = np.sort(normal[measure])
    allowed = max(1, int(budget * (len(values) + 1) + 1e-9))
    bound = allowed / (len(values) + 1)
    return Calibration(measure, float(values[allowed - 1]), budget, round(bound, 6), len(values), separation)


def strangers_of(lines: Sequence[Sequence[str]], words: Sequence[str], *, seed: int = 0) -> list[list[str]]:
    """Give lines with CHANGED_SHARE of their tokens, one at least, put in place of by words drawn evenly."""
    random = np.random.default_rng(seed)
    made = []
    for line in lines:
        changed = list(line)
        if changed and words:
            count = max(1, round(CHANGED_SHARE * len(changed)))
            for at in random.choice(len(changed), count, replace=False).tolist():
                changed[at] = words[int(random.integers(len(words)))]
        made.append(changed)
    return made


def auc(usual: Floats, strange: Floats) -> float:
    """Give how often one of the usual is above one of the strange, ties as half; 0.5 where there are none."""
    if not len(usual) or not len(strange):
        return 0.5
    ordered = np.sort(strange)
    below = np.searchsorted(ordered, usual, "left") + np.searchsorted(ordered, usual, "right")
    return float(below.sum() / 2 / len(usual) / len(strange))
