"""Records the example shop while memories of its processes grow: some over a limit, some not, some not at all.

Enters: an empty folder, how many rounds. Leaves: the home of the Watchkeeper that stored the metrics, and the labels,
which are written anew after each round, so that an interrupted recording is a shorter one. In a round every service has
a course of its own, drawn by a seed; all are given their memory back at its end. Judges nothing.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np

from watchkeeper.bench.base import BenchError
from watchkeeper.bench.cases.filling import CALM, FILLS, STOPS, MemoryCourse, MemoryCourses, write_courses
from watchkeeper.bench.cases.recording import HOME, LABELS_FILE
from watchkeeper.bench.live.programs import running
from watchkeeper.bench.live.recorder import SEALED_S, STARTED_S, Told, hold_empty
from watchkeeper.bench.live.shop import SERVICES
from watchkeeper.bench.machine import commit
from watchkeeper.version import __version__

MIB = 2**20
ABOVE_MIB = 192.0
SHARES = {FILLS: 0.6, STOPS: 0.25, CALM: 0.15}
REACHED_AT = (0.35, 0.9)
"""When the limit is reached, or the growth stops, as a share of the round."""
STOPS_AT = (0.3, 0.8)
"""Where a growth stops, as a share of the way to the limit."""
OVER = 1.2
"""How far a memory that fills up would go, in ways to the limit."""
WARMUP_S = 10.0
SEED = 23


class Leak(NamedTuple):
    """What a service is made to do in a round. mib_per_s, mib_max: 0 where it is left alone."""

    service: str
    shape: str
    mib_per_s: float = 0.0
    mib_max: float = 0.0


def record_filling(
    folder: Path,
    tell: Callable[[Told], None],
    *,
    rounds: int = 4,
    round_s: float = 300.0,
    rest_s: float = 20.0,
    wait: Callable[[float], None] = time.sleep,
) -> MemoryCourses:
    """Record into a folder that is empty or not there; gives the labels.

    Raises BenchError when the folder is in use or the shop cannot be started. What ends it early (KeyboardInterrupt)
    leaves the rounds that were over, and takes away a home without any.
    """
    hold_empty(folder)
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(SEED)
    each_s = round_s + rest_s
    tell(Told("starting Watchkeeper and the shop", STARTED_S + SEALED_S + rounds * each_s))
    found: list[MemoryCourse] = []
    made_by = {"watchkeeper": __version__, "commit": commit(), "seed": SEED}
    try:
        with running(folder, warmup_s=WARMUP_S) as pair:
            try:
                for at in range(rounds):
                    leaks = drawn(random, round_s)
                    left_s = SEALED_S + (rounds - at) * each_s
                    filling = sum(each.shape == FILLS for each in leaks)
                    tell(Told(f"[{at + 1}/{rounds}] {filling} memories fill up", left_s))
                    wait(rest_s)
                    found += _round(pair.control, leaks, at, round_s, wait)
                    told = MemoryCourses(tuple(found), ABOVE_MIB * MIB, round_s, made_by)
                    write_courses(folder, told)
                tell(Told("the end is written", SEALED_S))
                wait(SEALED_S)
            except httpx.HTTPError as error:
                raise BenchError(f"the shop did not do as asked: {error}") from error
    finally:
        if not (folder / LABELS_FILE).is_file():
            shutil.rmtree(folder / HOME, ignore_errors=True)
    return told


def drawn(random: np.random.Generator, round_s: float) -> list[Leak]:
    """Draw what each service does in a round; at least one memory fills up, and at least one does not."""
    while True:
        leaks = [_leak(random, service, round_s) for service in SERVICES]
        if 0 < sum(each.shape == FILLS for each in leaks) < len(leaks):
            return leaks


def _leak(random: np.random.Generator, service: str, round_s: float) -> Leak:
    shape = str(random.choice(list(SHARES), p=list(SHARES.values())))
    if shape == CALM:
        return Leak(service, shape)
    far = 1.0 if shape == FILLS else float(random.uniform(*STOPS_AT))
    speed = far * ABOVE_MIB / (float(random.uniform(*REACHED_AT)) * round_s)
    return Leak(service, shape, round(speed, 3), round(ABOVE_MIB * (OVER if shape == FILLS else far), 1))


def _round(
    control: httpx.Client, leaks: Sequence[Leak], number: int, round_s: float, wait: Callable[[float], None]
) -> list[MemoryCourse]:
    begins = {}
    for leak in leaks:
        begins[leak.service] = time.time_ns()
        if leak.shape != CALM:
            # Longer than it is to last: it is switched off below, and ends by itself only when this process is gone.
            wish = {"mib_per_s": leak.mib_per_s, "mib_max": leak.mib_max}
            asked = {"kind": "memory-leak", "service": leak.service, "seconds": round_s + 30.0, "parameters": wish}
            control.post("/faults", json=asked).raise_for_status()
    wait(round_s)
    end = time.time_ns()
    for leak in leaks:
        if leak.shape != CALM:
            control.delete("/faults", params={"kind": "memory-leak", "service": leak.service}).raise_for_status()
    return [
        MemoryCourse(
            leak.service, number, leak.shape, begins[leak.service], end, leak.mib_per_s * MIB, leak.mib_max * MIB
        )
        for leak in leaks
    ]
