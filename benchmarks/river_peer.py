"""river's half-space trees as a peer.

Enters: values of some series. Leaves: the processor time river takes over them (river_worker.py).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.peer import Peer

PEER = Peer(("river==0.22.0",), "river_worker.py", "river")


def half_space_trees_s(values: npt.NDArray[np.float64]) -> float:
    """Give the processor seconds to score and learn values (T, n) with a model for each series; raises NotAvailable."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "values.npy"
        np.save(source, values)
        return float(PEER.run(source))
