"""Small incidents that are made up: a chain of services of which one is slowed, and what surrounds it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from watchkeeper.diagnose.window import Aspect, IncidentWindow, Series
from watchkeeper.signals.topology import Edge, EdgeKind, Node, NodeKind, Topology

STEP_NS = 60 * 10**9
BEFORE, DURING = 120, 10


def node_id(name: str) -> str:
    return f"service:{name}"


def series(
    name: str, metric: str, aspect: Aspect, before: float, during: float, *, seed: int, unit: str = "s"
) -> Series:
    """A metric with 5 % noise that goes from one level to another at the onset."""
    noise = np.random.default_rng(seed).normal(1.0, 0.05, BEFORE + DURING)
    level = np.concatenate([np.full(BEFORE, before), np.full(DURING, during)])
    return Series(node_id(name), metric, aspect, np.arange(BEFORE + DURING) * STEP_NS, level * noise, unit)


def window(*given: Series, calls: tuple[tuple[str, str], ...] = (), symptom: str = "") -> IncidentWindow:
    names = dict.fromkeys([*(one.node for one in given), *(node_id(name) for pair in calls for name in pair)])
    edges = tuple(Edge(node_id(caller), node_id(callee), EdgeKind.CALLS) for caller, callee in calls)
    nodes = tuple(Node(NodeKind.SERVICE, name.partition(":")[2]) for name in names)
    return IncidentWindow(
        0,
        BEFORE * STEP_NS,
        (BEFORE + DURING) * STEP_NS,
        tuple(names),
        topology=Topology(nodes, edges),
        symptom=node_id(symptom) if symptom else "",
        series=tuple(given),
    )


def chain(*, quiet: bool = False) -> IncidentWindow:
    """Web calls cart, cart calls store; store is slow, the others wait for it; mail has nothing to do with it."""
    slow = 0.0 if quiet else 0.2
    return window(
        series("web", "latency", Aspect.LATENCY, 0.3, 0.3 + slow, seed=1),
        series("cart", "latency", Aspect.LATENCY, 0.1, 0.1 + slow, seed=2),
        series("store", "latency", Aspect.LATENCY, 0.02, 0.02 + slow, seed=3),
        series("mail", "latency", Aspect.LATENCY, 0.05, 0.05, seed=4),
        calls=(("web", "cart"), ("cart", "store"), ("web", "mail")),
        symptom="web",
    )


def with_values(given: IncidentWindow, change) -> IncidentWindow:
    """The same window with each series' values changed by `change(place, values)`."""
    made = (replace(one, values=change(place, one.values.copy())) for place, one in enumerate(given.series))
    return replace(given, series=tuple(made))
