"""Checkpoints of a training: everything it needs to go on after its process was killed.

Enters: arrays and numbers. Leaves: the same, from one npz file that is replaced whole, so that a kill at any moment
leaves the last or the one before it. A checkpoint of another training (other data, other settings) is not taken up:
`purpose` tells them apart. Knows nothing of torch.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

SCHEMA_VERSION = 1
EVERY_STEPS = 100
FILE = "checkpoint.npz"

log = logging.getLogger(__name__)


class State(NamedTuple):
    """Arrays by name, and numbers by name."""

    arrays: dict[str, npt.NDArray[Any]]
    numbers: dict[str, float]


class Checkpoints:
    """See the module. folder: is made when missing. purpose: a text that is another for every other training.

    every_steps, apart_s: how often they are to be written, and how much later than the one before at least.
    """

    def __init__(self, folder: Path, purpose: str, *, every_steps: int = EVERY_STEPS, apart_s: float = 0.0) -> None:
        self._folder, self._purpose = folder, purpose
        self.every_steps, self._apart_s = every_steps, apart_s
        self._saved_s = -math.inf

    def due(self, step: int) -> bool:
        """Tell whether a state is to be kept after this step."""
        return step % self.every_steps == 0 and time.monotonic() - self._saved_s >= self._apart_s

    def save(self, state: State) -> None:
        """Keep a state in place of the one before."""
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._folder / f"{FILE}.{os.getpid()}.partial"
        numbers = {name: each for name, each in state.numbers.items() if math.isfinite(each)}
        about = {"schema_version": SCHEMA_VERSION, "purpose": self._purpose, "numbers": numbers}
        with partial.open("wb") as file:
            np.savez(file, **{"about": np.array(json.dumps(about)), **state.arrays})  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._folder / FILE)
        self._saved_s = time.monotonic()

    def load(self) -> State | None:
        """Give the state that was kept; None when there is none, or none of this training that can be read."""
        path = self._folder / FILE
        if not path.is_file():
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                about = json.loads(str(kept["about"]))
                arrays = {name: kept[name] for name in kept.files if name != "about"}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            log.warning("the checkpoint %s cannot be read (%s); the training begins anew", path, error)
            return None
        if about.get("schema_version") != SCHEMA_VERSION or about.get("purpose") != self._purpose:
            log.info("the checkpoint %s is of another training; this one begins anew", path)
            return None
        return State(arrays, {"best": -math.inf, **about["numbers"]})
