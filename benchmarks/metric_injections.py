"""Joint scores of synthetic incidents put into the healthy train parts of asd and smd: choices without any test label.

The first 60 % of each machine's train part is learnt from; the rest gets up to eight incidents (shifts, ramps,
spikes, noise, values of another time, standstill; ten minutes to eight hours, one metric to half of them, from .15 to
2 usual ranges), is brought to 0..1 by itself in the second draw, as the test parts were, and is a new segment. The
half-life of the joint scorer's evidence was chosen on asd and other draws of this form. What the draws look like is a
guess of what incidents are: the figures compare settings, and say nothing of real incidents. Needs smd and asd.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from benchmarks.metric_anomalies import STEP_S, Floats, Machine, joint, loudest, machines
from watchkeeper.bench.scores.vus import vus
from watchkeeper.settings import Settings

DAY_S = 86_400.0
DRAWS = 2
INCIDENTS = 8
LEARNT_SHARE = 0.6
LASTS_S = (600.0, 8 * 3600.0)
SIZES = (0.15, 2.0)
KINDS = {"shift": 0.35, "spikes": 0.2, "noise": 0.1, "elsewhere": 0.15, "ramp": 0.1, "still": 0.1}
SPIKES_SHARE = 0.2
APART_STEPS = 30


def log_uniform(random: np.random.Generator, bounds: tuple[float, float], count: int) -> Floats:
    """Give `count` numbers between the bounds."""
    return np.exp(random.uniform(*np.log(bounds), count))


def disturbed(kind: str, calm: Floats, before: Floats, size: Floats, random: np.random.Generator) -> Floats:
    """Give what an incident makes of its metrics' values `calm` (T, k); size (k,) with sign, in the metrics' units."""
    steps = len(calm)
    if kind == "elsewhere":
        first = random.integers(0, len(before) - steps)
        return before[first : first + steps]
    if kind == "still":
        return np.repeat(calm[:1], steps, axis=0)
    if kind == "noise":
        return calm + random.normal(0, 1, calm.shape) * np.abs(size)
    weight = {"shift": np.ones(steps), "ramp": np.linspace(0, 1, steps), "spikes": random.random(steps) < SPIKES_SHARE}
    return np.asarray(calm + weight[kind][:, None] * size, np.float64)


def injected(machine: Machine, step_s: float, random: np.random.Generator) -> Machine:
    """Give the machine with its train part split into a learnt and a disturbed part."""
    cut = int(len(machine.train) * LEARNT_SHARE)
    before, after = machine.train[:cut], machine.train[cut:].copy()
    label = np.zeros(len(after), np.int64)
    moving = np.flatnonzero(before.std(axis=0) > 0)
    low, high = np.quantile(before, [0.005, 0.995], axis=0)
    usual = np.where(high > low, high - low, 2 * before.std(axis=0))
    day = round(DAY_S / step_s)
    for begin in np.sort(random.integers(day, len(after) - day // 2, INCIDENTS)).tolist():
        end = begin + max(2, round(float(log_uniform(random, LASTS_S, 1)[0]) / step_s))
        if label[begin - APART_STEPS : end + APART_STEPS].any():
            continue
        count = int(log_uniform(random, (1.0, max(2.0, len(moving) / 2)), 1)[0])
        chosen = random.choice(moving, count, replace=False)
        size = log_uniform(random, SIZES, count) * random.choice([-1, 1], count, p=[0.3, 0.7]) * usual[chosen]
        kind = str(random.choice(list(KINDS), p=list(KINDS.values())))
        after[begin:end, chosen] = disturbed(kind, after[begin:end, chosen], before[:, chosen], size, random)
        label[begin:end] = 1
    return machine._replace(train=before, test=after, label=label)


def draws(every: list[Machine], step_s: float) -> Iterator[list[Machine]]:
    """Give the machines of each draw; every second draw has its disturbed part brought to 0..1 by itself."""
    for draw in range(DRAWS):
        found = [injected(each, step_s, np.random.default_rng([draw, at])) for at, each in enumerate(every)]
        if draw % 2:
            for at, each in enumerate(found):
                low, high = each.test.min(axis=0), each.test.max(axis=0)
                found[at] = each._replace(test=(each.test - low) / np.where(high > low, high - low, 1.0))
        yield found


def main() -> None:
    result = {}
    for name, step_s in STEP_S.items():
        for draw, every in enumerate(draws(machines(name, Settings().path("data")), step_s)):
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
