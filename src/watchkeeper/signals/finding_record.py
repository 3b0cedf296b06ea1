"""A finding as a log record, the way in which one Watchkeeper tells another what it found.

Enters: a Finding, or the attributes of a log record. Leaves: attributes, or the Finding. The record's event name is
EVENT_NAME and its template TEMPLATE, so that the news of a finding is no new pattern by itself. Sends nothing.
"""

from __future__ import annotations

import json

from watchkeeper.signals.finding import Finding, finding_from_dict

EVENT_NAME = "watchkeeper.finding"
TEMPLATE = "Finding of an agent: <*>"
_ATTRIBUTE = "watchkeeper.finding"


def finding_attributes(finding: Finding) -> dict[str, str]:
    """Give the attributes of the record that tells of a finding."""
    return {_ATTRIBUTE: json.dumps(finding.as_dict(), separators=(",", ":"))}


def finding_of_attributes(attributes: str) -> Finding | None:
    """Read the finding from a record's attributes (JSON object); None when there is none that can be read."""
    try:
        told = json.loads(json.loads(attributes)[_ATTRIBUTE])
        return finding_from_dict(told)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def node_of(entity: str) -> str:
    """Give the node that an entity's key names, "" when none.

    >>> node_of("service=cart|node=n1"), node_of("service=cart")
    ('n1', '')
    """
    return next((part.removeprefix("node=") for part in entity.split("|") if part.startswith("node=")), "")
