"""Runs inside the peer's own environment: `python river_worker.py VALUES.npy`; prints processor seconds.

Scores, then learns each value (T, n) with half-space trees as river sets them up behind a min-max scaler, one model for
each series. Imports nothing of Watchkeeper.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from river import anomaly, compose, preprocessing


def main() -> None:
    values = np.load(sys.argv[1], allow_pickle=False)
    columns = [[{"value": value} for value in column] for column in values.T.tolist()]
    begun = time.process_time()
    for column in columns:
        model = compose.Pipeline(preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(seed=0))
        for value in column:
            model.score_one(value)
            model.learn_one(value)
    print(time.process_time() - begun)


if __name__ == "__main__":
    main()
