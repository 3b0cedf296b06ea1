"""scikit-learn's classifiers as peers, in an environment of their own, which is made and filled on first use.

Enters: matrices or texts, labels and folds. Leaves: the class that classes_worker.py in that environment tells of each,
learned from the other folds. Without it and without a network, `NotAvailable` says why.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

VERSION = "1.7.2"
WORKER = Path(__file__).with_name("classes_worker.py")
ENVIRONMENT = Path(__file__).resolve().parent.parent / ".cache" / "peers" / f"scikit-learn-classes-{VERSION}"
TIMEOUT_S = 900.0
TOLD_CHARACTERS_MAX = 300


class NotAvailable(Exception):
    """scikit-learn cannot be run here; the message says why."""


def forest(rows: npt.NDArray[np.float64], labels: Sequence[str], folds: npt.NDArray[np.int64]) -> dict[str, list[str]]:
    """Give the answers of a random forest with and without even classes; raises NotAvailable."""
    return _run({"rows": rows.tolist(), "labels": list(labels), "folds": folds.tolist()})


def texts(said: Sequence[str], labels: Sequence[str], folds: npt.NDArray[np.int64]) -> dict[str, list[str]]:
    """Give the answers of tf-idf with logistic regression and with a random forest; raises NotAvailable."""
    return _run({"texts": list(said), "labels": list(labels), "folds": folds.tolist()})


def _run(task: dict[str, Any]) -> dict[str, list[str]]:
    outcome = _prepared(ENVIRONMENT)
    if isinstance(outcome, str):
        raise NotAvailable(outcome)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "task.json", Path(folder) / "answers.json"
        source.write_text(json.dumps(task), encoding="utf-8")
        _checked([str(outcome), str(WORKER), str(source), str(target)], "scikit-learn failed")
        answers: dict[str, list[str]] = json.loads(target.read_text(encoding="utf-8"))
        return answers


@functools.cache
def _prepared(environment: Path) -> Path | str:
    """Give the interpreter, or why there is none; tried once a process."""
    python, ready = environment / "bin" / "python", environment / ".ready"
    if ready.exists() and python.exists():
        return python
    print(f"  installing scikit-learn {VERSION} into an environment of its own", file=sys.stderr, flush=True)
    try:
        _checked([sys.executable, "-m", "venv", "--clear", str(environment)], "no environment")
        wanted = f"scikit-learn=={VERSION}"
        _checked([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", wanted], "not installed")
    except NotAvailable as reason:
        return str(reason)
    ready.touch()
    return python


def _checked(command: list[str], failed: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as late:
        raise NotAvailable(f"{failed}: more than {TIMEOUT_S:g} s") from late
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout or "").strip()[-TOLD_CHARACTERS_MAX:]
        raise NotAvailable(f"{failed}: {said or f'exit status {error.returncode}'}") from error
