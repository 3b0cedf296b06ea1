"""river's half-space trees as a peer, in an environment of its own, which is made and filled on first use.

Enters: values of some series. Leaves: the processor time river takes over them (river_worker.py). The main environment
needs no river. Without it and without a network, `NotAvailable` says why.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

VERSION = "0.22.0"
WORKER = Path(__file__).with_name("river_worker.py")
ENVIRONMENT = Path(__file__).resolve().parent.parent / ".cache" / "peers" / f"river-{VERSION}"
TIMEOUT_S = 600.0
TOLD_CHARACTERS_MAX = 300


class NotAvailable(Exception):
    """river cannot be run here; the message says why."""


def half_space_trees_s(values: npt.NDArray[np.float64]) -> float:
    """Give the processor seconds to score and learn values (T, n) with a model for each series; raises NotAvailable."""
    outcome = _prepared(ENVIRONMENT)
    if isinstance(outcome, str):
        raise NotAvailable(outcome)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "values.npy"
        np.save(source, values)
        return float(_checked([str(outcome), str(WORKER), str(source)], "river failed"))


@functools.cache
def _prepared(environment: Path) -> Path | str:
    """Give the interpreter, or why there is none; tried once a process."""
    python, ready = environment / "bin" / "python", environment / ".ready"
    if ready.exists() and python.exists():
        return python
    print(f"  installing river {VERSION} into an environment of its own", file=sys.stderr, flush=True)
    wanted = f"river=={VERSION}"
    try:
        _checked([sys.executable, "-m", "venv", "--clear", str(environment)], "no environment")
        _checked([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", wanted], "not installed")
    except NotAvailable as reason:
        return str(reason)
    ready.touch()
    return python


def _checked(command: list[str], what: str) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S).stdout
    except subprocess.TimeoutExpired:
        raise NotAvailable(f"{what}: more than {TIMEOUT_S:g} s") from None
    except subprocess.CalledProcessError as failed:
        said = (failed.stderr or failed.stdout or "").strip()[-TOLD_CHARACTERS_MAX:]
        raise NotAvailable(f"{what}: {said or f'exit status {failed.returncode}'}") from None
