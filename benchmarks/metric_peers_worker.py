"""Runs inside the peers' own environment: `python metric_peers_worker.py PEER MACHINES.npz SCORES.npz`.

PyOD's detectors with their defaults, fitted on the train part; river's half-space trees with their defaults over
values brought to 0..1 by the train part's range, scored first and learned after, from the last STEPS_BEFORE steps of
the train part on. Imports nothing of Watchkeeper.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

STEPS_BEFORE = 2_000
SEED = 0


def fitted(peer: str, train: Any, test: Any) -> tuple[Any, Any]:
    """Score both parts by a detector of PyOD that knows the train part."""
    from pyod.models.ecod import ECOD
    from pyod.models.iforest import IForest

    detector = ECOD() if peer == "ecod" else IForest(random_state=SEED)
    detector.fit(train)
    return detector.decision_scores_, detector.decision_function(test)


def half_space_trees(train: Any, test: Any) -> tuple[Any, Any]:
    """Score the end of the train part and the test part step by step by river's half-space trees."""
    from river.anomaly import HalfSpaceTrees

    low, high = train.min(axis=0), train.max(axis=0)
    rows = np.clip((np.vstack([train[-STEPS_BEFORE:], test]) - low) / np.where(high > low, high - low, 1.0), 0, 1)
    trees = HalfSpaceTrees(seed=SEED)
    found = np.empty(len(rows))
    names = list(range(rows.shape[1]))
    for place, row in enumerate(rows.tolist()):
        point = dict(zip(names, row, strict=True))
        found[place] = trees.score_one(point)
        trees.learn_one(point)
    return found[: -len(test)], found[-len(test) :]


def main() -> None:
    peer, source, target = sys.argv[1:4]
    with np.load(source, allow_pickle=False) as archive:
        arrays = dict(archive)
    found = {}
    for number in range(len(arrays) // 2):
        train, test = arrays[f"train{number}"], arrays[f"test{number}"]
        scored = half_space_trees(train, test) if peer == "half_space_trees" else fitted(peer, train, test)
        found[f"train{number}"], found[f"test{number}"] = (np.asarray(each, float) for each in scored)
    np.savez(target, **found)


if __name__ == "__main__":
    main()
