"""Runs inside the peer's own environment: `python forest_worker.py MATRICES.npz SCORES.npz SEED`.

Fits an isolation forest with scikit-learn's defaults on `train` and scores every `part...`. Imports nothing of
Watchkeeper.
"""

from __future__ import annotations

import sys

import numpy as np
from sklearn.ensemble import IsolationForest


def main() -> None:
    source, target, seed = sys.argv[1:]
    with np.load(source, allow_pickle=False) as archive:
        parts = dict(archive)
    forest = IsolationForest(random_state=int(seed)).fit(parts.pop("train"))
    np.savez(target, **{name: -forest.score_samples(part) for name, part in parts.items()})


if __name__ == "__main__":
    main()
