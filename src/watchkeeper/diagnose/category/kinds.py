"""What kind of fault an incident shows: code that breaks off or turns away, a network that delays, a resource used up.

Enters: the Evidence of an incident. Leaves: the probability of each fault kind, and the Category it belongs to. Two
small softmax models with a handful of features, all without units and names: which family the fault is of, and for
`code`, whether it broke off (`exception`) or took another branch (`return`); for `resource`, the metric tells which.
The weights are data (kinds.json), made by benchmarks/fit_fault_kinds.py from labelled incidents.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from watchkeeper.diagnose.base import Category
from watchkeeper.diagnose.rank.calibration import Curve
from watchkeeper.diagnose.rank.families import Evidence
from watchkeeper.diagnose.trace_events import END
from watchkeeper.errors import StoreError

FAMILIES = ("code", "wait", "resource")
BREAKS = ("return", "exception")
KINDS_SCHEMA_VERSION = 1
RIDGE = 0.05
"""Penalty of squared weights a case: features of some units' size, so weights of some units."""
ROUNDS = 2_000
STEP = 0.5
FLOOR_MIN = 1e-3
"""A floor is never taken for less, so that nothing is below it."""
EVEN = Curve(-2.0, 2.0, 2.0)
"""What stands in where no curve was fitted: an even chance at a floor without a lead."""
CATEGORIES = {
    "return": Category.APPLICATION,
    "exception": Category.APPLICATION,
    "delay": Category.NETWORK,
    "cpu": Category.CPU,
    "memory": Category.MEMORY,
    "disk": Category.DISK,
}
_SPOKEN = re.compile(r"exception|throw|traceback|stack ?trace|panic|unhandled|uncaught", re.IGNORECASE)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Softmax:
    """weights (classes, features), bias (classes,); probabilities are softmax(weights @ features + bias)."""

    weights: Floats
    bias: Floats

    @classmethod
    def fit(cls, features: Floats, classes: npt.NDArray[np.int64], count: int) -> Softmax:
        """Fit by gradient descent with a ridge penalty, every class weighing the same; deterministic.

        features: (n, f). classes: (n,) in 0..count-1. A class without cases gets no weight.
        """
        truth = np.eye(count)[classes]
        share = truth.sum(axis=0)
        weight = (truth / np.where(share > 0, share * (share > 0).sum(), 1.0)).sum(axis=1)[:, None]
        weights, bias = np.zeros((count, features.shape[1])), np.where(share > 0, 0.0, -30.0)
        scale = 1.0 / max(1.0, float((features**2).sum(axis=1).mean()))
        for _ in range(ROUNDS):
            error = weight * (_softmax(features @ weights.T + bias) - truth)
            weights = weights - STEP * scale * (error.T @ features + RIDGE * weights)
            bias = bias - STEP * scale * error.sum(axis=0)
        return cls(weights, bias)

    def probabilities(self, features: Sequence[float]) -> Floats:
        """Give the probability of each class, (classes,), summing to 1."""
        return _softmax(self.weights @ np.asarray(features, np.float64) + self.bias)


@dataclass(frozen=True)
class FaultKinds:
    """The router: probabilities of families and kinds. floors: the evidence below which a family says nothing.

    curve: from how far evidence is above its floor, and how far the first cause leads, to a confidence.
    """

    family: Softmax
    broken: Softmax
    floors: tuple[float, float, float]
    curve: Curve = EVEN

    @classmethod
    def fit(cls, found: Sequence[tuple[Evidence, str]]) -> FaultKinds:
        """Learn from incidents of known kind.

        A floor is half of what the median incident of that family shows; a family without incidents has none.
        """
        features = np.array([family_features(one) for one, _ in found])
        classes = np.array([_family(kind) for _, kind in found])
        broken = [(break_features(one), BREAKS.index(kind)) for one, kind in found if kind in BREAKS]
        floors = [
            float(np.median(features[classes == place, place])) / 2 if (classes == place).any() else 0.0
            for place in range(len(FAMILIES))
        ]
        return cls(
            Softmax.fit(features, classes, len(FAMILIES)),
            Softmax.fit(np.array([one for one, _ in broken]), np.array([kind for _, kind in broken]), len(BREAKS))
            if broken
            else Softmax(np.zeros((2, 1)), np.zeros(2)),
            (floors[0], floors[1], floors[2]),
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FaultKinds:
        """Read `as_dict`'s form; raises StoreError when it is of another version."""
        if data.get("schema_version") != KINDS_SCHEMA_VERSION:
            raise StoreError(f"fault kinds of version {data.get('schema_version')} cannot be read; fit them again")
        parts = [
            Softmax(np.array(data[name]["weights"]), np.array(data[name]["bias"])) for name in ("family", "broken")
        ]
        first, second, third = data["floors"]
        return cls(parts[0], parts[1], (first, second, third), Curve(*data.get("curve", EVEN)))

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON, with `schema_version` and what the rows and columns mean."""
        return {
            "schema_version": KINDS_SCHEMA_VERSION,
            "classes": {"family": list(FAMILIES), "broken": list(BREAKS)},
            "features": {"family": list(FAMILIES), "broken": ["thrown"]},
            **{
                name: {"weights": part.weights.round(4).tolist(), "bias": part.bias.round(4).tolist()}
                for name, part in (("family", self.family), ("broken", self.broken))
            },
            "floors": [round(floor, 4) for floor in self.floors],
            "curve": list(self.curve),
        }

    def families(self, evidence: Evidence) -> dict[str, float]:
        """Give the probability of each family."""
        found = self.family.probabilities(family_features(evidence)).tolist()
        return dict(zip(FAMILIES, found, strict=True))

    def kinds(self, evidence: Evidence) -> dict[str, float]:
        """Give the probability of each fault kind: `return`, `exception`, `delay`, and a resource by its name."""
        families = self.families(evidence)
        broken = self.broken.probabilities(break_features(evidence)).tolist()
        found = {kind: families["code"] * share for kind, share in zip(BREAKS, broken, strict=True)}
        found["delay"] = families["wait"]
        found[resource_named(evidence)] = families["resource"]
        return found

    def strength(self, evidence: Evidence) -> float:
        """Give how far the strongest evidence is above its family's floor: 1 at the floor, higher = more; >= 0."""
        features = zip(family_features(evidence), self.floors, strict=True)
        return max(value / max(floor, FLOOR_MIN) for value, floor in features)

    def speaks(self, evidence: Evidence) -> bool:
        """Tell whether any family's evidence is above its floor."""
        return self.strength(evidence) > 1.0


def family_features(evidence: Evidence) -> tuple[float, float, float]:
    """Give the strongest evidence of each family, >= 0, as logarithms of deviations."""
    return (
        max(evidence.code.values(), default=0.0),
        float(np.log1p(evidence.wait_z)),
        max(evidence.resource.values(), default=0.0),
    )


def break_features(evidence: Evidence) -> tuple[float]:
    """Give, for the strongest lost step, the share of what came instead that is nothing, or that speaks of a throw.

    What ends without another word was thrown out of; what says another word in its place took another branch, unless
    that word is about an exception caught.
    """
    node = max(evidence.code, key=lambda one: (evidence.code[one], one), default="")
    if not node:
        return (0.0,)
    instead = [one for one in evidence.steps[node][0].instead if not one.event.endswith(" start")]
    total = sum(one.during - one.before for one in instead)
    if total <= 0.0:
        return (0.0,)
    thrown = sum(one.during - one.before for one in instead if one.event == END or _SPOKEN.search(one.event))
    return (thrown / total,)


def resource_named(evidence: Evidence) -> str:
    """Give the aspect of the resource metric of the node most to blame; `cpu` when there is none."""
    node = max(evidence.resource, key=lambda one: (evidence.resource[one], one), default="")
    return evidence.shifts[node][0].series.aspect.value if node else "cpu"


def category_of(kind: str) -> Category:
    """Give the published category of a fault kind, UNKNOWN when there is none.

    >>> category_of("delay").value
    'network'
    """
    return CATEGORIES.get(kind, Category.UNKNOWN)


@lru_cache(maxsize=1)
def shipped() -> FaultKinds:
    """Give the model that comes with the program."""
    text = resources.files(__package__).joinpath("kinds.json").read_text(encoding="utf-8")
    return FaultKinds.from_dict(json.loads(text))


def _family(kind: str) -> int:
    return 0 if kind in BREAKS else 1 if kind == "delay" else 2


def _softmax(values: Floats) -> Floats:
    lifted = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(lifted / lifted.sum(axis=-1, keepdims=True))
