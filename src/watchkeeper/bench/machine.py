"""What a measurement ran on and how much memory it took.

Enters: nothing. Leaves: plain data for a record. Reads /proc where there is one.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from watchkeeper.version import __version__

_PACKAGES = ("numpy", "pyarrow", "duckdb", "scikit-learn", "torch", "onnxruntime", "lightgbm")


def machine() -> dict[str, Any]:
    """Tell processor, cores, memory and system."""
    described = Path("/proc/cpuinfo")
    text = described.read_text() if described.exists() else ""
    models = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load": round(os.getloadavg()[0], 1),
        "system": platform.platform(),
    }


def versions() -> dict[str, str]:
    """Give the versions of Python, Watchkeeper and the packages that compute."""
    found = {"watchkeeper": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def commit() -> str:
    """Give the commit of the source that runs, with `+` when it was changed since; "" outside a checkout."""
    here = Path(__file__).resolve().parent
    asked = [["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain", "--untracked-files=no", "--", "."]]
    told = []
    for arguments in asked:
        try:
            ran = subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, check=False)
        except OSError:
            return ""
        if ran.returncode:
            return ""
        told.append(ran.stdout.strip())
    return told[0] + ("+" if told[1] else "")


def peak_memory_bytes() -> int:
    """Give the most memory that this process held resident."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return int(psutil.Process().memory_info().rss)


def model_bytes(model: Any) -> int:
    """Give about how many bytes a model's state takes: its arrays and values at any depth, each once."""
    seen: set[int] = set()
    ahead, total = [model], 0
    while ahead:
        one = ahead.pop()
        if id(one) in seen or isinstance(one, type) or (callable(one) and not hasattr(one, "__dict__")):
            continue
        seen.add(id(one))
        if isinstance(one, np.ndarray):
            total += one.nbytes
            continue
        if isinstance(one, str | bytes | int | float | bool | None):
            total += sys.getsizeof(one)
            continue
        total += sys.getsizeof(one) if isinstance(one, dict | list | tuple | set | frozenset) else 0
        if isinstance(one, Mapping):
            ahead += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set | frozenset):
            ahead += list(one)
        elif not callable(one) and not hasattr(one, "__file__"):
            ahead += list(getattr(one, "__dict__", {}).values())
            ahead += [getattr(one, slot) for slot in getattr(type(one), "__slots__", ()) if hasattr(one, slot)]
    return total
