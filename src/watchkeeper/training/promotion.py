"""Whether a new model takes the place of the one before it: measured on the same held-out lines, by a stated rule.

Enters: for each held-out line how often it came, its score by the new and by the previous model, and what each would
have flagged. Leaves: Verdict. The rule: promoted when it flags no more of the normal forms that it has not learned than
the budget allows (or no more lines than the previous version), and is no less accurate than the previous version within
a 95 % interval. Pure.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

DRAWS = 1_000
SHARE = (2.5, 97.5)
Z = 1.96


class Held(NamedTuple):
    """What one model made of the held-out lines (n,). scores: 0..1, higher = better foretold. flagged: too low."""

    scores: Floats
    flagged: Mask


class Quality(NamedTuple):
    """Of one model: mean score with its 95 % interval, and the share of the held-out lines flagged, each 0..1."""

    accuracy: float
    accuracy_low: float
    accuracy_high: float
    flagged: float


class Verdict(NamedTuple):
    """Whether to promote, and why in words."""

    promote: bool
    why: str


def quality(held: Held, counts: Floats, *, seed: int = 0) -> Quality:
    """Give the figures of one model. counts: (n,) how often each line came; a score weighs the square root of it."""
    weights = np.sqrt(counts)
    low, high = np.percentile(_drawn(held.scores, weights, seed), SHARE)
    accuracy = float(np.average(held.scores, weights=weights))
    return Quality(accuracy, float(low), float(high), float(np.average(held.flagged, weights=counts)))


def judge(new: Held, previous: Held | None, counts: Floats, unseen: Mask, *, budget: float, seed: int = 0) -> Verdict:
    """Apply the rule.

    unseen: (n,) lines of forms that the new model has not learned. budget: share of those that it may flag, 0..1;
    it counts as kept while Wilson's 95 % interval of the share reaches down to it.
    """
    flagged, of = int(new.flagged[unseen].sum()), int(unseen.sum())
    least = _least(flagged, of)
    told = f"it flags {flagged} of the {of} held-out normal forms that it has not learned ({budget:.1%} are allowed)"
    if previous is None:
        return Verdict(least <= budget, f"there is no previous version; {told}")
    now, before = np.average(new.flagged, weights=counts), np.average(previous.flagged, weights=counts)
    told += f", {now:.2%} of the held-out lines where the previous version flags {before:.2%}"
    if least > budget and now > before:
        return Verdict(False, told)
    weights = np.sqrt(counts)
    difference = new.scores - previous.scores
    mean = float(np.average(difference, weights=weights))
    low, high = np.percentile(_drawn(difference, weights, seed), SHARE)
    compared = f"its accuracy is {mean:+.4f} to the previous version's (95 % interval {low:+.4f} to {high:+.4f})"
    return Verdict(bool(high >= 0), f"{compared}; {told}")


def _drawn(values: Floats, weights: Floats, seed: int) -> Floats:
    """Give the weighted means of DRAWS draws of the lines, with replacement (bootstrap)."""
    random = np.random.default_rng(seed)
    means = np.empty(DRAWS)
    for at in range(DRAWS):
        chosen = random.integers(0, len(values), len(values))
        means[at] = np.average(values[chosen], weights=weights[chosen])
    return means


def _least(flagged: int, of: int) -> float:
    """Give the low end of Wilson's 95 % interval of a share."""
    if not of:
        return 0.0
    share = flagged / of
    around = Z * np.sqrt(share * (1 - share) / of + Z**2 / (4 * of**2))
    return max(0.0, float((share + Z**2 / (2 * of) - around) / (1 + Z**2 / of)))
