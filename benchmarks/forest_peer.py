"""scikit-learn's isolation forest as a peer, in an environment of its own, which is made and filled on first use.

Enters: matrices. Leaves: the scores that forest_worker.py in that environment gives them. The main environment needs
no scikit-learn. Without it and without a network, `NotAvailable` says why.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

VERSION = "1.7.2"
WORKER = Path(__file__).with_name("forest_worker.py")
ENVIRONMENT = Path(__file__).resolve().parent.parent / ".cache" / "peers" / f"scikit-learn-{VERSION}"
TIMEOUT_S = 600.0
TOLD_CHARACTERS_MAX = 300

Floats = npt.NDArray[np.float64]


class NotAvailable(Exception):
    """scikit-learn cannot be run here; the message says why."""


def scores(train: Floats, parts: Sequence[Floats], *, seed: int) -> list[Floats]:
    """Fit on train (n, k), and give each part's scores (m,), higher = more anomalous; raises NotAvailable."""
    outcome = _prepared(ENVIRONMENT)
    if isinstance(outcome, str):
        raise NotAvailable(outcome)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "matrices.npz", Path(folder) / "scores.npz"
        arrays: dict[str, Any] = {f"part{number}": part for number, part in enumerate(parts)}
        np.savez(source, train=train, **arrays)
        _checked([str(outcome), str(WORKER), str(source), str(target), str(seed)], "scikit-learn failed")
        with np.load(target, allow_pickle=False) as result:
            return [result[name] for name in arrays]


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


def _checked(command: list[str], what: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise NotAvailable(f"{what}: more than {TIMEOUT_S:g} s") from None
    except subprocess.CalledProcessError as failed:
        said = (failed.stderr or failed.stdout or "").strip()[-TOLD_CHARACTERS_MAX:]
        raise NotAvailable(f"{what}: {said or f'exit status {failed.returncode}'}") from None
