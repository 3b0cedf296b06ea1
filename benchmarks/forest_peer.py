"""scikit-learn's isolation forest as a peer.

Enters: matrices. Leaves: the scores that forest_worker.py gives them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.peer import Peer

PEER = Peer(("scikit-learn==1.7.2",), "forest_worker.py", "sklearn")

Floats = npt.NDArray[np.float64]


def scores(train: Floats, parts: Sequence[Floats], *, seed: int) -> list[Floats]:
    """Fit on train (n, k), and give each part's scores (m,), higher = more anomalous; raises NotAvailable."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "matrices.npz", Path(folder) / "scores.npz"
        arrays: dict[str, Any] = {f"part{number}": part for number, part in enumerate(parts)}
        np.savez(source, train=train, **arrays)
        PEER.run(source, target, str(seed))
        with np.load(target, allow_pickle=False) as result:
            return [result[name] for name in arrays]
