"""The parameters that a job may be given, checked before it is begun and once more by its worker.

Enters: JSON values by name. Leaves: how to train and the seed, or QueryError that names what is wrong. Trains nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from watchkeeper.errors import QueryError
from watchkeeper.learn.log_model import TRAINING
from watchkeeper.learn.training import Training

SEED = "seed"
MAY_BE_ZERO = frozenset({"decay", "steps_min", "tests", SEED})
MOST = {"rate": 1.0, "decay": 1.0}
MOST_OF_A_COUNT = 2**31 - 1


def read_parameters(parameters: Mapping[str, Any]) -> tuple[Training, int]:
    """Give how to train, what is left out as by default, and the seed; raises QueryError.

    >>> read_parameters({"epochs": 3, "seed": 7})[0].epochs
    3
    """
    types = {each.name: str(each.type) for each in fields(Training)} | {SEED: "int"}
    odd = set(parameters) - set(types)
    if odd:
        known = ", ".join(sorted(set(types) - {SEED}))
        raise QueryError(f"there is no parameter of training {min(odd)!r}; there are: {known}, {SEED}")
    for name, value in parameters.items():
        _check(name, value, whole=types[name] == "int")
    chosen = {**vars(TRAINING), **{name: value for name, value in parameters.items() if name != SEED}}
    return Training(**chosen), int(parameters.get(SEED, 0))


def _check(name: str, value: Any, *, whole: bool) -> None:
    most = MOST.get(name, float(MOST_OF_A_COUNT))
    right = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not right or value > most or value < 0 or (value == 0 and name not in MAY_BE_ZERO):
        least = "from 0" if name in MAY_BE_ZERO else "above 0"
        kind = "whole number" if whole else "number"
        raise QueryError(f"the parameter of training {name} = {value!r} is no {kind} {least} to {most:,.10g}")
