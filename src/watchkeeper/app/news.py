"""News: what is worth telling people about an incident, found by comparing it before and after a change.

Enters: two states of one incident. Leaves: News. Says what happened, not who hears of it nor how often.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from watchkeeper.diagnose.grouping import is_live, worse
from watchkeeper.diagnose.incident import Incident, IncidentState


class Event(StrEnum):
    """What can be told about an incident."""

    OPENED = "opened"
    WORSE = "worse"
    ACKNOWLEDGED = "acknowledged"
    DIAGNOSED = "diagnosed"
    RESOLVED = "resolved"
    REOPENED = "reopened"
    MERGED = "merged"
    STILL = "still"


class News(NamedTuple):
    """One event of one incident, as it was then."""

    event: Event
    incident: Incident


class Outlet(Protocol):
    """Takes news on its way to people."""

    def enqueue(self, connection: sqlite3.Connection, news: Sequence[News]) -> None:
        """Keep the news for delivery within the caller's transaction."""

    def wake(self) -> None:
        """Look for what waits, now that the transaction is committed."""


def news_between(before: Incident | None, after: Incident) -> list[News]:
    """Give what is new of an incident, in the order in which it is to be told; [] when nothing is worth telling."""
    if before is None:
        if after.state is IncidentState.MERGED:
            return []
        opened = [News(Event.OPENED, after)]
        return opened if is_live(after) else [*opened, News(Event.RESOLVED, after)]
    events = []
    if after.state is not before.state and after.state is IncidentState.MERGED:
        return [News(Event.MERGED, after)]
    if after.reopened > before.reopened:
        events.append(Event.REOPENED)
    if is_live(after) and is_live(before) and worse(after.severity, before.severity):
        events.append(Event.WORSE)
    if after.state is not before.state and after.state is IncidentState.ACKNOWLEDGED:
        events.append(Event.ACKNOWLEDGED)
    cause, was = after.summary()["cause"], before.summary()["cause"]
    if cause and (not was or cause["node"] != was["node"]):
        events.append(Event.DIAGNOSED)
    if after.state is not before.state and after.state is IncidentState.RESOLVED:
        events.append(Event.RESOLVED)
    return [News(event, after) for event in events]
