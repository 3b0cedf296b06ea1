"""Trainings that cells share: the same network on the same examples with the same seed is trained once.

Enters: what a training is determined by, and a function that trains. Leaves: the model, from a file of the folder that
VARIABLE names in the environment, or trained and kept there; always trained where it is not set. Cost is not hidden:
`clock_s` goes on by the seconds that a training took when it was made, and `peak_bytes` tells the memory of it. By
other code, with another torch or on another processor it is another training.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt
import orjson

import watchkeeper.learn
from watchkeeper.bench.machine import machine, peak_memory_bytes
from watchkeeper.bench.whole import write_whole

VARIABLE = "WATCHKEEPER_BENCH_TRAININGS"
KEPT_S = 7 * 86_400.0
"""How long a training is kept."""

Part = str | int | bytes | list[str] | npt.NDArray[Any]


T = TypeVar("T", bound="Trained")


class Trained(Protocol):
    """What can be written and read again."""

    def onnx(self) -> bytes:
        """Give the model file."""

    @classmethod
    def from_onnx(cls, content: bytes) -> Self:
        """Take up what `onnx` gave."""


@dataclass
class _Used:
    """What this process made and took over, for its record."""

    made: int = 0
    taken: int = 0
    taken_s: float = 0.0
    peak_bytes: int = 0


_used = _Used()
_log = logging.getLogger(__name__)


def shared(kind: type[T], train: Callable[[], T], *determined: Part) -> T:
    """Give what `train` gives; `determined` is all that it depends on beside the code."""
    folder = os.environ.get(VARIABLE, "")
    if not folder:
        return train()
    path = Path(folder) / f"{_digest(kind.__name__, *determined)}.onnx"
    try:
        told = orjson.loads(path.with_suffix(".json").read_bytes())
        model = kind.from_onnx(path.read_bytes())
        seconds, peak = float(told["seconds"]), int(told["peak_memory_bytes"])
    except (OSError, ValueError, KeyError, TypeError):
        return _made(path, train)
    _used.taken += 1
    _used.taken_s += seconds
    _used.peak_bytes = max(_used.peak_bytes, peak)
    return model


def clock_s() -> float:
    """Give seconds of a clock that goes on by what a training that was taken over had taken."""
    return time.perf_counter() + _used.taken_s


def peak_bytes() -> int:
    """Give the peak memory of this process, or of a training that it took over, whichever is more."""
    return max(peak_memory_bytes(), _used.peak_bytes)


def used() -> dict[str, int]:
    """Give how many trainings this process made and how many it took over."""
    return {"made": _used.made, "taken": _used.taken}


def forget_old(folder: Path) -> None:
    """Delete the trainings that were made longer than KEPT_S ago."""
    for path in folder.glob("*"):
        try:
            if time.time() - path.stat().st_mtime > KEPT_S:
                path.unlink()
        except OSError:
            continue  # another run was faster, or the cache is not ours to change


def _made(path: Path, train: Callable[[], T]) -> T:
    begun_s = clock_s()
    model = train()
    told = {"seconds": clock_s() - begun_s, "peak_memory_bytes": peak_bytes()}
    _used.made += 1
    try:
        write_whole(path, model.onnx())
        write_whole(path.with_suffix(".json"), orjson.dumps(told))
    except OSError as error:  # a full disk is no reason to lose what was trained; the next cell trains it again
        _log.warning("a training cannot be kept: %s", error)
    return model


def _digest(*parts: Part) -> str:
    """Give a name for a training; each part goes in with its length, so that no two lists read the same."""
    told = hashlib.sha256()
    for part in (_code(), *parts):
        if isinstance(part, np.ndarray):
            content, about = np.ascontiguousarray(part).tobytes(), f"{part.dtype}{part.shape}"
        else:
            content, about = part if isinstance(part, bytes) else orjson.dumps(part), type(part).__name__
        told.update(f"{about} {len(content)}:".encode())
        told.update(content)
    return told.hexdigest()


@cache
def _code() -> str:
    """Give what stands for the code: the files of `learn`, the version of torch, the processor."""
    told = hashlib.sha256()
    for path in sorted(Path(watchkeeper.learn.__file__).parent.glob("*.py")):
        told.update(path.read_bytes())
    return f"{told.hexdigest()} {importlib.metadata.version('torch')} {machine()['processor']}"
