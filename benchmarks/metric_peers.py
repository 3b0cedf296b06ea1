"""PyOD and river as peers on metrics, in an environment of their own, which is made and filled on first use.

Enters: train and test part of machines. Leaves: what metric_peers_worker.py in that environment makes of them. The
main environment needs neither of them. Without them and without a network, `NotAvailable` says why.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.drain3_peer import INSTALL_TIMEOUT_S, TOLD_CHARACTERS_MAX, NotAvailable

REQUIREMENTS = ("pyod==2.0.5", "river==0.22.0", "scikit-learn==1.5.2")
WORKER = Path(__file__).with_name("metric_peers_worker.py")
ENVIRONMENT = Path(__file__).resolve().parent.parent / ".cache" / "peers" / "-".join(REQUIREMENTS).replace("==", "-")
PEERS = ("isolation_forest", "ecod", "half_space_trees")

Floats = npt.NDArray[np.float64]


def scores(machines: list[tuple[Floats, Floats]], peer: str) -> list[tuple[Floats, Floats]]:
    """Give each machine's scores of its train part, or its end, and of its test part, higher = more anomalous.

    Raises NotAvailable.
    """
    python = interpreter(ENVIRONMENT)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "machines.npz", Path(folder) / "scores.npz"
        arrays: dict[str, Any] = {}
        for number, (train, test) in enumerate(machines):
            arrays[f"train{number}"], arrays[f"test{number}"] = train, test
        np.savez(source, **arrays)
        command = [str(python), str(WORKER), peer, str(source), str(target)]
        done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise NotAvailable(f"{peer} failed: {done.stderr.strip()[-TOLD_CHARACTERS_MAX:]}")
        with np.load(target, allow_pickle=False) as found:
            return [(found[f"train{number}"], found[f"test{number}"]) for number in range(len(machines))]


def interpreter(environment: Path) -> Path:
    """Give the interpreter that has the peers, making its environment when there is none; raises NotAvailable."""
    python, ready = environment / "bin" / "python", environment / ".ready"
    if ready.exists() and python.exists():
        return python
    named = " and ".join(REQUIREMENTS)
    print(f"  installing {named} into an environment of its own", file=sys.stderr, flush=True)
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(environment)],
        [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *REQUIREMENTS],
        [str(python), "-c", "import pyod, river"],
    ):
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
        except subprocess.TimeoutExpired as late:
            raise NotAvailable(f"installing {named} took more than {INSTALL_TIMEOUT_S:g} s") from late
        except subprocess.CalledProcessError as failed:
            said = (failed.stderr or failed.stdout or "").strip()[-TOLD_CHARACTERS_MAX:]
            raise NotAvailable(f"{named} cannot be installed: {said or f'exit status {failed.returncode}'}") from failed
    ready.touch()
    return python
