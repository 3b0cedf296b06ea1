"""Post-mortems of three clouds (Post-mortems-Analysis): what was told first, and the category of the cause.

Enters: the data set `postmortems_355` where it lies. Leaves: of each incident its title and the summary of its impact
(the only texts that describe the symptom; details, root cause, operation, propagation and mitigation are never read
but for the label), and the category that the first label of its cause maps to. docs/categories.md has the mapping.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watchkeeper.datasets.read import open_member
from watchkeeper.diagnose.base import Category

_NETWORK_GEAR = frozenset({"network", "fiber cut", "network device"})


@dataclass(frozen=True)
class Postmortem:
    """One incident as it was told at first."""

    id: str
    title: str
    report: str
    category: Category


def postmortems(folder: Path) -> list[Postmortem]:
    """Give all incidents in the set's order; raises DataSetError when the set is absent."""
    with open_member("postmortems_355", "postmortems_355.jsonl", folder) as stream:
        rows = [json.loads(line) for line in stream if line.strip()]
    return [Postmortem(row["id"], row["title"] or "", row["summary"] or "", category_of(row)) for row in rows]


def category_of(row: Mapping[str, Any]) -> Category:
    """Give the category of the first of an incident's causes; UNKNOWN when no cause was found."""
    labels = (row.get("root cause") or {}).get("label") or [{}]
    first, second, third = (str(labels[0].get(f"layer-{level}") or "").lower() for level in (1, 2, 3))
    if first in {"", "unknown"}:
        return Category.UNKNOWN
    if first == "internal causes":
        return Category.CHANGE if third == "config" else Category.APPLICATION
    if second == "hardware failures":
        return Category.NETWORK if third in _NETWORK_GEAR else Category.HOST
    if "network" in {second, third}:
        return Category.NETWORK
    if second in {"insufficient resource", "excessive flow"}:
        return Category.MEMORY if third == "memory" else Category.CPU
    return Category.CHANGE if second == "component removal" else Category.EXTERNAL
