"""How far a cell is: from the process of the cell to whoever waits for it.

Enters: what a training tells after each epoch, and how many items are answered. Leaves: the newest of it as JSON in the
file that VARIABLE names in the environment, at most once a second; nothing where it is not set. Says nothing about how
good a model is.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import NamedTuple

import orjson

from watchkeeper.bench.whole import write_whole
from watchkeeper.learn.training import Progress

VARIABLE = "WATCHKEEPER_BENCH_PROGRESS"
EVERY_S = 1.0
TRAINING, ANSWERING = "training", "answering"
_last_s = [0.0]


class HowFar(NamedTuple):
    """What is read of it. doing: TRAINING or ANSWERING, of one split; a cell may do either several times.

    percent: 0..100 of that.
    """

    doing: str
    percent: float
    remaining_s: float


def tell(progress: Progress) -> None:
    """Tell the progress of a training."""
    _write(HowFar(TRAINING, progress.percent, progress.remaining_s), last=progress.epoch >= progress.epochs)


def tell_answered(done: int, of: int, begun_s: float) -> None:
    """Tell how many items are answered, of so many, since a time of `time.monotonic`."""
    took_s = time.monotonic() - begun_s
    _write(HowFar(ANSWERING, 100.0 * done / of, took_s / done * (of - done)), last=False)


def read(path: Path) -> HowFar | None:
    """Give the newest progress, None when there is none."""
    try:
        return HowFar(**orjson.loads(path.read_bytes()))
    except (OSError, orjson.JSONDecodeError, TypeError):
        return None


def _write(far: HowFar, *, last: bool) -> None:
    path, now_s = os.environ.get(VARIABLE, ""), time.monotonic()
    if not path or (now_s - _last_s[0] < EVERY_S and not last):
        return
    _last_s[0] = now_s
    with contextlib.suppress(OSError):  # a full disk may cost the telling, not the cell
        write_whole(Path(path), orjson.dumps(far._asdict()))
