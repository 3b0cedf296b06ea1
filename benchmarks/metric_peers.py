"""PyOD and river as peers on metrics.

Enters: train and test part of machines. Leaves: what metric_peers_worker.py makes of them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.peer import Peer

PEER = Peer(
    ("pyod==2.0.5", "river==0.22.0", "scikit-learn==1.5.2"),
    "metric_peers_worker.py",
    "pyod, river",
    timeout_s=7_200.0,
)
PEERS = ("isolation_forest", "ecod", "half_space_trees")

Floats = npt.NDArray[np.float64]


def scores(machines: list[tuple[Floats, Floats]], peer: str) -> list[tuple[Floats, Floats]]:
    """Give each machine's scores of its train part, or its end, and of its test part, higher = more anomalous.

    Raises NotAvailable.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "machines.npz", Path(folder) / "scores.npz"
        arrays: dict[str, Any] = {}
        for number, (train, test) in enumerate(machines):
            arrays[f"train{number}"], arrays[f"test{number}"] = train, test
        np.savez(source, **arrays)
        PEER.run(peer, source, target)
        with np.load(target, allow_pickle=False) as found:
            return [(found[f"train{number}"], found[f"test{number}"]) for number in range(len(machines))]
