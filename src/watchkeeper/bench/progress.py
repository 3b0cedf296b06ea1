"""How far the training of a cell is: from the process of the cell to whoever waits for it.

Enters: what a training tells after each epoch. Leaves: the newest of it as JSON in the file that VARIABLE names in the
environment, at most once a second; nothing where it is not set. Says nothing about how good a model is.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

import orjson

from watchkeeper.learn.training import Progress

VARIABLE = "WATCHKEEPER_BENCH_PROGRESS"
EVERY_S = 1.0
_last_s = [0.0]


class Trained(NamedTuple):
    """What is read of it. percent: 0..100 of this training; a cell may train several times."""

    percent: float
    remaining_s: float
    loss: float


def tell(progress: Progress) -> None:
    """Tell the progress of a training."""
    path, now_s = os.environ.get(VARIABLE, ""), time.monotonic()
    if not path or (now_s - _last_s[0] < EVERY_S and progress.epoch < progress.epochs):
        return
    _last_s[0] = now_s
    told = {"percent": progress.percent, "remaining_s": progress.remaining_s, "loss": progress.loss}
    part = Path(f"{path}.part")
    part.write_bytes(orjson.dumps(told))
    part.replace(path)


def read(path: Path) -> Trained | None:
    """Give the newest progress, None when there is none."""
    try:
        return Trained(**orjson.loads(path.read_bytes()))
    except (OSError, orjson.JSONDecodeError, TypeError):
        return None
