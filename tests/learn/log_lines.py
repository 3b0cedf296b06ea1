"""A small log to learn, and a small log model of it that trains in seconds."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from watchkeeper.learn.line_counts import LineCounts
from watchkeeper.learn.log_model import LogModel
from watchkeeper.learn.training import Training

torch_needed = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")

VERBS = ("opened", "closed", "flushed", "resumed", "paused")
THINGS = ("session", "channel", "stream", "buffer", "ledger")
SHORT = Training(epochs=1000, batch=16, rate=1e-3, decay=0.005, steps_max=50, tests=4)
STRANGE = "kernel panic in 7ms: unable to mount root device"


def lines() -> list[str]:
    """Give 25 forms, each with other numbers, ten times."""
    return [
        f"{verb} {thing} {at * 7} for 10.0.0.{at} in {at}ms" for at in range(10) for verb in VERBS for thing in THINGS
    ]


def counted() -> LineCounts:
    counts = LineCounts()
    counts.add(lines())
    return counts


def trained(**more: object) -> LogModel:
    return LogModel.learn(counted(), training=SHORT, **more)  # type: ignore[arg-type]


def saved(folder: Path) -> Path:
    """Save a small model into a folder and give it back."""
    trained().save(folder)
    return folder
