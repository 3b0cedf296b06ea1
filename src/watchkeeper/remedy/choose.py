"""Chooses an action for a named cause, or abstains with the reason. Suggests only.

Enters: what diagnosis named, as plain facts, and a catalogue. Leaves: an Order, or why there is none. A change shortly
before on the very cause is taken back; else what is named is acted on by the action of the least risk that is for it.
Holds no names of systems: targets are the catalogue's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from watchkeeper.remedy.catalogue import Action, Catalogue, Order, Risk

CONFIDENCE_MIN = 0.2
CHANGE_BEFORE_S = 600.0
_RISKS = tuple(Risk)
_OUTSIDE = ("external", "host")


@dataclass(frozen=True)
class Named:
    """What diagnosis named. node: topology id such as `service:cart`, "" for none. confidence: 0..1.

    changed_s: seconds from the newest change on a node to the incident's onset, by node; negative when it came after.
    """

    node: str
    category: str = "unknown"
    confidence: float = 0.0
    abstains: bool = False
    changed_s: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


class Proposal(NamedTuple):
    """An order with its action, or None with the reason."""

    order: Order | None
    why: str


def propose(named: Named, catalogue: Catalogue) -> Proposal:
    """Give what to do about a cause.

    >>> restart = Action("restart", "", ("service", "{target}", "restart"), Risk.REVERSIBLE, ("cart",))
    >>> propose(Named("service:cart", confidence=0.6), Catalogue((restart,))).order.target
    'cart'
    >>> propose(Named("external:bank", confidence=0.9), Catalogue((restart,))).order is None
    True
    """
    if named.abstains or not named.node:
        return Proposal(None, "no cause is named")
    if named.confidence < CONFIDENCE_MIN:
        return Proposal(None, f"the cause is only {named.confidence:.0%} sure")
    if named.node.split(":", 1)[0] in _OUTSIDE:
        return Proposal(None, f"{named.node} is outside the reach of the catalogue")
    target_names = names_of(named.node)
    changed = named.changed_s.get(named.node)
    recent = changed is not None and -60.0 <= changed <= CHANGE_BEFORE_S
    for wants_change in (True, False) if recent else (False,):
        fit = [
            (action, target)
            for action in catalogue.actions.values()
            for target in target_names
            if target in action.targets and action.after_change is wants_change
        ]
        if fit:
            action, target = min(fit, key=_cost)
            why = f"{named.node} is the likeliest cause ({named.confidence:.0%}, {named.category})"
            why += f"; it was changed {changed:.0f} s before" if wants_change else ""
            return Proposal(Order(action.name, target, why), why)
    return Proposal(None, f"the catalogue has no action for {named.node}")


def names_of(node: str) -> list[str]:
    """Give the names that a node may be known by: its last part first.

    >>> names_of("database:cart/redis")
    ['redis', 'cart/redis']
    """
    name = node.split(":", 1)[-1]
    return list(dict.fromkeys((re.split(r"[/.]", name)[-1], name)))


def _cost(fit: tuple[Action, str]) -> tuple[int, str]:
    return _RISKS.index(fit[0].risk), fit[0].name
