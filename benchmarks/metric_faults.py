"""Joint scores of synthetic faults beside harmless oddities, in the healthy train parts of asd and smd.

A second form beside metric_injections, made to be like faults of servers: five minutes to six hours, a few metrics to
half of them, each with a size, a sign and a delay of its own, metrics that had never moved among them; shapes are
steps, ramps, surges, spikes, noise, standstill and values of another time. Not labelled, so false alarms: lone spikes,
and a metric whose level moves for good. The second draw is brought to 0..1 by itself. The figures compare settings; a
setting that is better here need not be so on labelled machines, so asd must agree. Needs smd and asd.
"""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt

from benchmarks.metric_anomalies import STEP_S, Floats, Machine, joint, loudest, machines
from benchmarks.metric_injections import APART_STEPS, DAY_S, LEARNT_SHARE, log_uniform
from watchkeeper.bench.scores.vus import buffer_length, vus
from watchkeeper.settings import Settings

Ints = npt.NDArray[np.int64]

FAULTS = 10
LASTS_S = (300.0, 6 * 3600.0)
SIZES = (0.25, 4.0)
OWN_SIZES = (0.4, 2.5)
DELAY_S = 300.0
SHAPES = {"step": 0.35, "ramp": 0.1, "spikes": 0.2, "noise": 0.1, "still": 0.05, "elsewhere": 0.1, "surge": 0.1}
SPIKES_SHARE = 0.35
NEVER_MOVED_SHARE = 0.3
LONE_SPIKES_A_DAY = 2.4
MOVES_SHARE = 0.6


def shaped(shape: str, calm: Floats, before: Floats, size: float, wait: int, random: np.random.Generator) -> Floats:
    """Give what a fault makes of one metric's values `calm` (T,); it begins to show after `wait` steps."""
    steps = len(calm)
    if shape == "elsewhere":
        first = random.integers(0, len(before) - steps)
        return before[first : first + steps]
    if shape == "still":
        return np.full(steps, calm[0] + (size if random.random() < 0.5 else 0.0))
    if shape == "noise":
        return calm + random.normal(0, abs(size) / 2, steps)
    weight = {
        "step": np.arange(steps) >= wait,
        "ramp": np.arange(steps) / steps,
        "spikes": random.random(steps) < SPIKES_SHARE,
        "surge": np.sin(np.pi * (np.arange(steps) + 1) / (steps + 1)),
    }
    return np.asarray(calm + size * weight[shape], np.float64)


def oddities(after: Floats, usual: Floats, moving: Ints, step_s: float, random: np.random.Generator) -> None:
    """Put lone spikes and a lasting move of one metric into the values, in place."""
    steps, day = len(after), DAY_S / step_s
    for begin in random.integers(0, steps - 5, round(LONE_SPIKES_A_DAY * steps / day) + 4).tolist():
        chosen = random.choice(moving, random.integers(1, 4), replace=False)
        after[begin : begin + random.integers(1, 4), chosen] += log_uniform(random, (0.5, 4.0), 1) * usual[chosen]
    if random.random() < MOVES_SHARE:
        one, begin = random.choice(moving), random.integers(round(day) // 4, steps)
        after[begin:, one] += log_uniform(random, (0.1, 0.5), 1) * usual[one] * random.choice([-1, 1])


def faulty(machine: Machine, step_s: float, random: np.random.Generator) -> Machine:
    """Give the machine with its train part split into a learnt part and one with faults and oddities."""
    cut = int(len(machine.train) * LEARNT_SHARE)
    before, after = machine.train[:cut], machine.train[cut:].copy()
    label, spread = np.zeros(len(after), np.int64), before.std(axis=0)
    moving, still = np.flatnonzero(spread > 0), np.flatnonzero(spread == 0)
    low, high = np.quantile(before, [0.005, 0.995], axis=0)
    usual = np.where(high > low, high - low, np.where(spread > 0, 2 * spread, np.median(high[moving] - low[moving])))
    oddities(after, usual, moving, step_s, random)
    day = round(DAY_S / step_s)
    for begin in np.sort(random.integers(day // 4, len(after) - day // 6, FAULTS)).tolist():
        lasts = max(3, round(float(log_uniform(random, LASTS_S, 1)[0]) / step_s))
        end = min(begin + lasts, len(after) - 2)
        if label[max(0, begin - APART_STEPS) : end + APART_STEPS].any():
            continue
        count = int(log_uniform(random, (1.5, max(3.0, 0.6 * len(moving))), 1)[0])
        chosen = random.choice(moving, count, replace=False).tolist()
        if len(still) and random.random() < NEVER_MOVED_SHARE:
            chosen += random.choice(still, min(2, len(still)), replace=False).tolist()
        shape = str(random.choice(list(SHAPES), p=list(SHAPES.values())))
        together = float(log_uniform(random, SIZES, 1)[0])
        for one in chosen:
            own = float(log_uniform(random, OWN_SIZES, 1)[0]) * random.choice([-1, 1], p=[0.25, 0.75])
            wait = int(random.integers(0, round(DELAY_S / step_s) + 1))
            size = together * own * usual[one]
            after[begin:end, one] = shaped(shape, after[begin:end, one], before[:, one], size, wait, random)
        label[begin:end] = 1
    after = np.maximum(after, machine.train.min(axis=0))  # loads and rates have a floor
    return machine._replace(train=before, test=after, label=label, buffer_steps=buffer_length(after[:, 0]))


def rescaled(machine: Machine) -> Machine:
    """Give the machine with its disturbed part brought to 0..1 by itself."""
    low, high = machine.test.min(axis=0), machine.test.max(axis=0)
    return machine._replace(test=(machine.test - low) / np.where(high > low, high - low, 1.0))


def main() -> None:
    result = {}
    for name, step_s in STEP_S.items():
        healthy = machines(name, Settings().path("data"))
        for draw in range(2):
            every = [faulty(each, step_s, np.random.default_rng([7, draw, at])) for at, each in enumerate(healthy)]
            if draw:
                every = [rescaled(each) for each in every]
            result[f"{name}, draw {draw + 1}"] = {
                who: round(
                    float(np.mean([vus(s[1], m.label, m.buffer_steps).pr for m, s in zip(every, scored, strict=True)])),
                    3,
                )
                for who, scored in (("joint_scorer", joint(every, step_s)), ("loudest_deviation", loudest(every)))
            }
    print(json.dumps({"vus_pr": result}, indent=2))


if __name__ == "__main__":
    main()
