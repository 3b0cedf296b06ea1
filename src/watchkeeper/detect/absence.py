"""Too few lines: which series of a service came steadily and have not for so long that chance does not explain it.

Enters: learned series and how long each was quiet. Leaves: what is missing, with its score. Pure functions; the watch
(detect/service.py) closes the windows and asks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from watchkeeper.detect.parts import FIXED_SERIES, LINES
from watchkeeper.detect.series import SeriesBank
from watchkeeper.detect.tails import silence_score

STOPPED_SCORE_MIN, STOPPED_EXPECTED_MIN, STOPPED_WINDOWS_MIN = 6.0, 20.0, 3
SILENCE_LEARNED_MAX = 360


class Absence(NamedTuple):
    """A series that is missing. due: the lines that would have come by now. score: decimal digits, higher = surer."""

    series: int
    score: float
    due: float


def stopped(bank: SeriesBank, windows_min: int) -> list[Absence]:
    """Give the templates that stopped. windows_min: closed windows that a rate must have been learned from."""
    quiet = bank.zeros[: bank.size]
    due = bank.mean[: bank.size] * quiet
    enough = (quiet >= STOPPED_WINDOWS_MIN) & (due >= STOPPED_EXPECTED_MIN)
    enough &= bank.windows[: bank.size] - quiet >= windows_min
    enough[:FIXED_SERIES] = False
    index = np.flatnonzero(enough)
    if not len(index):
        return []
    scores = silence_score(due[index], bank.dispersion(index))
    return [
        Absence(int(one), float(score), float(due[one]))
        for one, score in zip(index, scores, strict=True)
        if score >= STOPPED_SCORE_MIN
    ]


def silent(bank: SeriesBank, silent_windows: int, empty_windows: int, windows_min: int) -> Absence | None:
    """Tell whether the whole service went silent.

    silent_windows: those without a line up to now; empty_windows: those of earlier silences that ended by themselves.
    """
    due = np.array([bank.mean[LINES] * silent_windows])
    if due[0] < STOPPED_EXPECTED_MIN or silent_windows < STOPPED_WINDOWS_MIN:
        return None
    if bank.windows[LINES] < windows_min:
        return None
    score = float(silence_score(due, bank.dispersion(np.array([LINES])))[0])
    # The mean is of windows with lines; where many have none, a run of empty ones is likelier than it tells.
    filled = float(bank.windows[LINES])
    share_empty = (empty_windows + 0.5) / (filled + empty_windows + 1.0)
    score = min(score, -silent_windows * float(np.log10(share_empty)))
    return Absence(LINES, score, float(due[0])) if score >= STOPPED_SCORE_MIN else None
