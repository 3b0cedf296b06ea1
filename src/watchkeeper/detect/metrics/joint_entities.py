"""The joint scorers of entities: which entity has one, what it is fed, and what it says.

Enters: an entity's channels at the end of a window. Leaves: scores with each channel's share. Values are means over a
grid of at least GRID_S seconds, so that a scorer's past is short; a long silence begins a new segment. The number of
scorers is bounded by their memory: who comes first has one. Words and findings are watch.py's.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.detect.metrics.bank import Bank
from watchkeeper.detect.metrics.joint import CHANNELS_MIN, JointMaker, JointScorer
from watchkeeper.detect.metrics.joint_budget import JointBudget

GRID_S = 60.0
SILENT_S = 3600.0
SILENT_STEPS = 10
CHANNELS_MAX = 64
NEW_SHARE = 0.25
BYTES_A_CHANNEL = 8 * 880

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class JointScore(NamedTuple):
    """What a scorer says now. rows (n,), shares (n,) of them in the score, >= 0; threshold: at which it is told."""

    entity: int
    score: float
    threshold: float
    days: float
    grid_s: float
    rows: Ints
    shares: Floats


@dataclass
class _Entity:
    """rows: -1 for a channel that is gone. fed_ns: time up to which values are fed."""

    rows: Ints
    scorer: JointScorer
    grid_ns: int
    fed_ns: int
    budget: JointBudget = field(default_factory=JointBudget)


class JointEntities:
    """See the module. bytes_max: memory of all scorers together, about; `refused`: entities there was no room for."""

    def __init__(self, bank: Bank, make: JointMaker | None, bytes_max: int) -> None:
        self._bank, self._make, self._bytes_max = bank, make, bytes_max
        self._known: dict[int, _Entity] = {}
        self._bytes = 0
        self.refused: set[int] = set()

    def __len__(self) -> int:
        return len(self._known)

    @property
    def is_wanted(self) -> bool:
        """Tell whether there is a maker of scorers."""
        return self._make is not None

    def is_ready(self, entity: int) -> bool:
        """Tell whether the entity is judged by a scorer."""
        return entity in self._known and np.isfinite(self._known[entity].budget.threshold)

    def feed(self, entity: int, rows: Ints, step_s: float, now_ns: int, *, held: bool = False) -> JointScore | None:
        """Give the score when a step of the grid is over; rows: warm channels that said something lately.

        held: the step is judged and not learned, for people confirmed it as anomalous.
        """
        if self._make is None:
            return None
        own = self._known.get(entity)
        if own is None or (np.isin(rows, own.rows, invert=True).sum() > NEW_SHARE * len(own.rows) > 0):
            own = self._begin(entity, rows[:CHANNELS_MAX], step_s, now_ns)
        if own is None or now_ns // own.grid_ns <= own.fed_ns // own.grid_ns:
            return None
        missed = now_ns // own.grid_ns - own.fed_ns // own.grid_ns - 1
        block = self._means(own)[None]
        own.fed_ns = now_ns
        grid_s = own.grid_ns / 1e9
        if missed > max(SILENT_STEPS, SILENT_S / grid_s):
            own.scorer.new_segment()
        elif missed:
            block = np.concatenate((np.full((missed, len(own.rows)), np.nan), block))
        # A scorer learns as it scores: what is not to be learned is scored by a copy.
        scorer = copy.deepcopy(own.scorer) if held else own.scorer
        score = float(scorer.score_learn(block)[-1])
        threshold, days = own.budget.threshold, own.budget.days
        if not held:
            own.budget.note(score, grid_s * len(block))
        here = own.rows >= 0
        shares = scorer.contributions()[-1]
        return JointScore(entity, score, threshold, days, grid_s, own.rows[here], shares[here])

    def rows_gone(self, entity: int, rows: Ints) -> None:
        """Let channels of an entity go."""
        if entity in self._known:
            own = self._known[entity]
            own.rows = np.where(np.isin(own.rows, rows), -1, own.rows)

    def gone(self, entity: int) -> None:
        """Let an entity go."""
        self.refused.discard(entity)
        own = self._known.pop(entity, None)
        if own is not None:
            self._bytes -= _bytes_of(len(own.rows))

    def _begin(self, entity: int, rows: Ints, step_s: float, now_ns: int) -> _Entity | None:
        self.gone(entity)
        wanted = _bytes_of(len(rows))
        if len(rows) < CHANNELS_MIN:
            return None
        if self._bytes + wanted > self._bytes_max:
            self.refused.add(entity)
            return None
        assert self._make is not None
        grid_s = max(GRID_S, step_s)
        self._bytes += wanted
        own = _Entity(rows.copy(), self._make(len(rows), grid_s), int(grid_s * 1e9), now_ns)
        self._known[entity] = own
        return own

    def _means(self, own: _Entity) -> Floats:
        """Give the mean of what each channel said since it was fed last, NaN for nothing."""
        rows = np.maximum(own.rows, 0)
        newer = (self._bank.history_times[rows] > own.fed_ns) & (own.rows >= 0)[:, None]
        values = np.where(newer, self._bank.history_values[rows], np.float32(0.0)).sum(axis=1, dtype=np.float64)
        count = newer.sum(axis=1)
        return np.where(count > 0, values / np.maximum(count, 1), np.nan)

    # -- state ----------------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> dict[str, npt.NDArray[np.generic]]:
        """Write each scorer to `joint.<entity>.npz`; gives the arrays to save beside them."""
        arrays: dict[str, npt.NDArray[np.generic]] = {}
        for entity, own in self._known.items():
            own.scorer.save(folder / f"joint.{entity}.npz")
            arrays[f"{entity}.rows"], arrays[f"{entity}.budget"] = own.rows, own.budget.array()
            arrays[f"{entity}.times"] = np.array([own.grid_ns, own.fed_ns], np.int64)
        return arrays

    def load(self, folder: Path, arrays: dict[str, npt.NDArray[np.generic]]) -> None:
        """Take up what `save` wrote, unless scorers are not wanted; raises StoreError, KeyError or ValueError."""
        if self._make is None:
            return
        for name, saved in arrays.items():
            number, _, part = name.partition(".")
            if part != "rows":
                continue
            rows, budget = np.array(saved, np.int64), np.array(arrays[f"{number}.budget"], np.float64)
            grid_ns, fed_ns = np.array(arrays[f"{number}.times"], np.int64).tolist()
            scorer = self._make.load(folder / f"joint.{number}.npz")
            self._known[int(number)] = _Entity(rows, scorer, grid_ns, fed_ns, JointBudget.of(budget))
            self._bytes += _bytes_of(len(rows))


def _bytes_of(channels: int) -> int:
    """Give about how much memory a scorer takes."""
    return channels * (BYTES_A_CHANNEL + 24 * channels)
