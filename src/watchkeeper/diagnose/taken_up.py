"""What people made of an incident: whether they took it up, and what they said of it.

Enters: an Incident. Leaves: yes or no, words. What the product did by itself does not count.
"""

from __future__ import annotations

from typing import Any

from watchkeeper.diagnose.incident import Incident

PRODUCT = "watchkeeper"
"""Who acts in a timeline where no person did."""
JUDGED = "feedback"
"""The attribute of an incident with what people together say of it: truth, true_cause, true_category, by."""
CONFIRMING = frozenset({"acknowledged", "resolved", "reopened"})


def is_taken_up(incident: Incident) -> bool:
    """Tell whether a person acknowledged, resolved or reopened it, at any time."""
    acts = [each.by for each in incident.timeline if each.kind in CONFIRMING]
    return any(by not in {"", PRODUCT} for by in (*acts, incident.acknowledged_by, incident.resolved_by))


def said_of(incident: Incident) -> dict[str, Any]:
    """Give what people together say of it; `truth` is right, wrong or disputed; {} where nobody said anything."""
    told = incident.attributes.get(JUDGED)
    return dict(told) if isinstance(told, dict) else {}


def is_confirmed(incident: Incident) -> bool:
    """Tell whether people called it right, or took it up where none said what it was."""
    truth = said_of(incident).get("truth")
    return truth == "right" if truth else is_taken_up(incident)


def is_expected(incident: Incident) -> bool:
    """Tell whether people called it wrong: what it told of is expected behaviour."""
    return bool(said_of(incident).get("truth") == "wrong")
