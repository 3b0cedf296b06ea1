"""Things that wear out or fill up: turbofans until their end, and disks, memories and queues on the way to a limit.

Enters: the data set `cmapss_fd001`. Leaves: NASA's own split (100 units until their end, 100 cut off; this copy has ten
of the whole ones at the end of its test file, without a time left); and drawn courses of what fills up in the shop (a
disk that is written to, a leak under garbage collection, a queue behind a slow consumer) beside courses that never
reach their limit, asked about again and again on their way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.base import DataSpec, Item, Place, Split
from watchkeeper.bench.forms import Filling
from watchkeeper.datasets.read import read_members

Floats = npt.NDArray[np.float64]
UNIT, CYCLE, SENSORS_FROM = 0, 1, 2
STEP_S, STEPS, HORIZON_S = 60.0, 720, 6 * 3_600.0
"""A reading a minute for half a day, and how far ahead is asked."""
DRAWN = 12
"""Courses of each shape."""
ASKED = tuple(round(share * STEPS) for share in (0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95))
SEED = 11


class Left(NamedTuple):
    """Of one asking: which course, seconds until its limit (inf: never), the share of its way that is still ahead."""

    course: str
    seconds: float
    ahead: float


def _turbofans(place: Place) -> Iterator[Split]:
    wanted = ("train_FD001.txt", "test_FD001.txt", "RUL_FD001.txt")
    told = {
        name: np.array([[float(each) for each in line.split()] for line in data.decode().splitlines() if line.strip()])
        for name, data in read_members("cmapss_fd001", place.data, lambda each: each in wanted)
    }
    left = told["RUL_FD001.txt"][:, 0]
    cut = _units(told["test_FD001.txt"])
    whole = [*_units(told["train_FD001.txt"]), *cut[len(left) :]]
    yield Split(
        "FD001",
        tuple(Item(f"whole {at}", unit, 0.0) for at, unit in enumerate(whole, 1)),
        tuple(
            Item(f"cut {at}", unit, float(cycles)) for at, (unit, cycles) in enumerate(zip(cut, left, strict=False), 1)
        ),
        labelled=True,
    )


def _units(rows: Floats) -> list[Floats]:
    """Give settings and sensors (T, d) of each unit in order of its number."""
    return [rows[rows[:, UNIT] == unit][:, SENSORS_FROM:] for unit in np.unique(rows[:, UNIT])]


def _course(shape: str, random: np.random.Generator) -> Floats:
    """Draw what a utilisation in 0..1 would be, STEPS long, without regard to its limit."""
    at = np.arange(STEPS) / STEPS
    level, noise = random.uniform(0.2, 0.5), random.normal(0.0, random.uniform(0.002, 0.02), STEPS)
    grows = random.uniform(1.05, 1.6) * (1.0 - level)
    wave = random.uniform(0.02, 0.08) * np.sin(2 * np.pi * (random.uniform(4, 9) * at + random.random()))
    saw = random.uniform(0.03, 0.12) * (at * random.uniform(15, 40) % 1.0)
    begun = np.clip((at - random.uniform(0.05, 0.2)) / 0.8, 0.0, None)
    shapes = {
        "disk written to": level + grows * at + noise,
        "leak under collection": level + grows * begun + saw + noise,
        "queue behind a slow consumer": level + grows * begun**1.5 + 0.5 * wave + noise,
        "steady": level + noise,
        "waves": level + wave * 2 + noise,
        "sawtooth": level + 3 * saw + noise,
        "step": level + random.uniform(0.1, 0.3) * (at > random.uniform(0.2, 0.7)) + noise,
        "fills and is emptied": level + grows * 0.4 * (at * random.uniform(2, 4) % 1.0) + noise,
    }
    return np.clip(shapes[shape], 0.0, None)


FILLS = ("disk written to", "leak under collection", "queue behind a slow consumer")
QUIET = ("steady", "waves", "sawtooth", "step", "fills and is emptied")


def _capacity(place: Place) -> Iterator[Split]:
    random = np.random.default_rng(SEED)
    items = []
    times = (np.arange(STEPS) * STEP_S * 1e9).astype(np.int64)
    for shape in (*FILLS, *QUIET):
        for number in range(DRAWN):
            values = _course(shape, random)
            full = np.flatnonzero(values >= 1.0)
            end = int(full[0]) if len(full) else STEPS
            if shape in QUIET and len(full):
                continue
            for now in ASKED:
                if now >= end:
                    continue
                left_s = (end - now) * STEP_S if len(full) else math.inf
                name = f"{shape} {number}"
                items.append(
                    Item(
                        f"{name} at {now}",
                        Filling(times[:now], values[:now], 1.0, HORIZON_S),
                        Left(name, left_s, 1 - now / end),
                    )
                )
    yield Split("drawn courses", (), tuple(items), facts={"horizon_s": HORIZON_S})


_TASK = "failure-prediction"
DATA = (
    DataSpec(
        "cmapss",
        1,
        _TASK,
        "cycles",
        "turbofans of FD001: cycles left of 100 units",
        ("cmapss_fd001",),
        _turbofans,
        "full",
        headline="rmse",
    ),
    DataSpec(
        "capacity",
        1,
        _TASK,
        "filling",
        "drawn courses of disks, memories and queues, some of which fill up",
        (),
        _capacity,
        headline="balanced",
    ),
)
