"""An entity's joint deviation: many of its metrics a little off at once, though none is far off by itself.

Enters: the standardised values (in scales) of an entity's channels in one window. Leaves: one number, >= 0, higher =
further off. It serves all entities at once from the first hour on. `JointScorer` is the seam for scorers of one entity
(joint_entities.py), which need days.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CLIP = 8.0
CHANNELS_MIN = 4


class JointScorer(Protocol):
    """Scores the vectors of one entity, in order of time."""

    def score_learn(self, block: Floats) -> Floats:
        """Give the score (T,) of each vector of the block (T, m), >= 0, higher = more anomalous; then learn from it."""

    def contributions(self) -> Floats:
        """Give each channel's share (T, m) in the last block's scores, >= 0."""

    def new_segment(self) -> None:
        """Tell that the series begin anew after a gap."""

    def save(self, path: Path) -> None:
        """Write the state to a file."""


class JointMaker(Protocol):
    """Makes the scorers of entities; the class of a scorer is one."""

    def __call__(self, metrics: int, step_s: float) -> JointScorer:
        """Give a scorer of vectors (metrics,) of plain values, one every `step_s` seconds."""

    def load(self, path: Path) -> JointScorer:
        """Give a scorer with the state that `save` wrote; raises StoreError when it is damaged or newer."""


def root_mean_square(standards: Floats, entities: Ints, count: int) -> tuple[Floats, Ints]:
    """Give each entity's root mean square of its standardised values, each clipped at CLIP, and how many it has.

    standards: (n,) without NaN. entities: (n,) in 0..count - 1. The clip keeps one wild channel from speaking for all.

    >>> [each.tolist() for each in root_mean_square(np.array([3.0, 4.0, 1.0]), np.array([0, 0, 1]), 2)]
    [[3.5355339059327378, 1.0], [2, 1]]
    """
    clipped = np.clip(standards, -CLIP, CLIP)
    sizes = np.bincount(entities, minlength=count)
    squares = np.bincount(entities, clipped * clipped, minlength=count)
    return np.sqrt(squares / np.maximum(sizes, 1)), sizes
