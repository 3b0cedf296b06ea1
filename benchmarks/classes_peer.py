"""scikit-learn's classifiers as peers.

Enters: matrices or texts, labels and folds. Leaves: the class that classes_worker.py tells of each, learned from the
other folds.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.peer import Peer

PEER = Peer(("scikit-learn==1.7.2",), "classes_worker.py", "sklearn")


def forest(rows: npt.NDArray[np.float64], labels: Sequence[str], folds: npt.NDArray[np.int64]) -> dict[str, list[str]]:
    """Give the answers of a random forest with and without even classes; raises NotAvailable."""
    return _run({"rows": rows.tolist(), "labels": list(labels), "folds": folds.tolist()})


def texts(said: Sequence[str], labels: Sequence[str], folds: npt.NDArray[np.int64]) -> dict[str, list[str]]:
    """Give the answers of tf-idf with logistic regression and with a random forest; raises NotAvailable."""
    return _run({"texts": list(said), "labels": list(labels), "folds": folds.tolist()})


def _run(task: dict[str, Any]) -> dict[str, list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "task.json", Path(folder) / "answers.json"
        source.write_text(json.dumps(task), encoding="utf-8")
        PEER.run(source, target)
        answers: dict[str, list[str]] = json.loads(target.read_text(encoding="utf-8"))
        return answers
