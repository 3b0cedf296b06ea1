"""Which incidents people took up: a person acknowledged, resolved or reopened it.

Enters: an Incident. Leaves: yes or no. What the product did by itself does not count.
"""

from __future__ import annotations

from watchkeeper.diagnose.incident import Incident

PRODUCT = "watchkeeper"
"""Who acts in a timeline where no person did."""
CONFIRMING = frozenset({"acknowledged", "resolved", "reopened"})


def is_taken_up(incident: Incident) -> bool:
    """Tell whether a person acknowledged, resolved or reopened it, at any time."""
    acts = [each.by for each in incident.timeline if each.kind in CONFIRMING]
    return any(by not in {"", PRODUCT} for by in (*acts, incident.acknowledged_by, incident.resolved_by))
