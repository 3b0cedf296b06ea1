"""Where torch, onnx and onnxruntime are imported: on first use, with a message that tells what to install.

Enters: nothing. Leaves: the modules, torch set up so that the same seed gives the same weights. Importing this room
imports none of them; torch is needed to train only, ONNX Runtime to score.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from typing import Any

from watchkeeper.errors import MissingExtra

THREADS = 1
EXTRA = "learning"


def extra(name: str, *, group: str = EXTRA) -> Any:
    """Import an optional package; raises MissingExtra when it is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.partition(".")[0]:
            raise
        raise MissingExtra(
            f"this model needs {error.name}; install it with: pip install 'watchkeeper[{group}]'"
        ) from error


def torch() -> Any:
    """Give torch with THREADS threads and deterministic algorithms."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what CUDA asks for to be deterministic
    module = extra("torch")
    module.set_num_threads(THREADS)
    module.use_deterministic_algorithms(True)
    return module


def device(module: Any) -> str:
    """Name where to train: a GPU when there is one."""
    return "cuda" if module.cuda.is_available() else "cpu"


@contextlib.contextmanager
def seeded(module: Any, seed: int) -> Iterator[None]:
    """Draw from `seed` within, and leave torch's own generator as it was."""
    with module.random.fork_rng():
        module.manual_seed(seed)
        yield
