"""Whether a new model takes the place of the one before it: measured on the same held-out lines, by a stated rule.

Enters: for each held-out line how often it came, its score by the new and by the previous model, and what each would
have flagged. Leaves: Verdict. The rule: promoted when it flags no more of the held-out normal lines than the budget
allows, or than the previous one does, and is no less accurate than that within a 95 % interval. Pure.
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
    """Of one model: mean score and its 95 % interval, share of held-out lines flagged and its interval."""

    accuracy: float
    accuracy_low: float
    accuracy_high: float
    flagged: float
    flagged_low: float
    flagged_high: float


class Verdict(NamedTuple):
    """Whether to promote, and why in words."""

    promote: bool
    why: str


def quality(held: Held, counts: Floats, *, seed: int = 0) -> Quality:
    """Give the figures of one model. counts: (n,) how often each line came; it weighs by the square root of it."""
    weights = np.sqrt(counts)
    accuracy = float(np.average(held.scores, weights=weights))
    low, high = np.percentile(_drawn(held.scores, weights, seed), SHARE)
    flagged, flagged_low, flagged_high = _share(held.flagged, weights)
    return Quality(accuracy, float(low), float(high), flagged, flagged_low, flagged_high)


def judge(new: Held, previous: Held | None, counts: Floats, *, budget: float, seed: int = 0) -> Verdict:
    """Apply the rule. budget: share of held-out normal lines that may be flagged, 0..1."""
    weights = np.sqrt(counts)
    share, least, _ = _share(new.flagged, weights)
    within = least <= budget
    told = f"it flags {share:.2%} of the held-out normal lines, where {budget:.2%} are allowed"
    if previous is None:
        if within:
            return Verdict(True, f"there is no previous version; {told}")
        return Verdict(False, f"{told}, more than chance explains")
    before, _, before_most = _share(previous.flagged, weights)
    if not within and share > before_most:
        return Verdict(False, f"{told}; the previous version flags {before:.2%}")
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


def _share(flagged: Mask, weights: Floats) -> tuple[float, float, float]:
    """Give a weighted share and Wilson's 95 % interval of it, of as many lines as the weights are worth (Kish)."""
    share = float(np.average(flagged, weights=weights))
    size = float(weights.sum() ** 2 / (weights**2).sum())
    middle = share + Z**2 / (2 * size)
    around = Z * np.sqrt(share * (1 - share) / size + Z**2 / (4 * size**2))
    whole = 1 + Z**2 / size
    return share, max(0.0, float((middle - around) / whole)), min(1.0, float((middle + around) / whole))
