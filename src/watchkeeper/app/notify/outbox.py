"""The durable queue of notifications in SQLite: what waits, when it is due, what was given up.

Enters: news within the transaction that keeps the incident, so that neither is there without the other. Leaves: the
next delivery of a target. What is told of one incident keeps its order; a reopening soon after the last news of it
waits, and a resolving that comes meanwhile takes it back. Sends nothing.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any, NamedTuple

from watchkeeper.app.news import Event, News
from watchkeeper.app.notify.targets import Target
from watchkeeper.store.metadata import Metadata

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS notifications (
        id INTEGER PRIMARY KEY AUTOINCREMENT, target TEXT NOT NULL, incident_id TEXT NOT NULL, event TEXT NOT NULL,
        state TEXT NOT NULL, due_unix_ns INTEGER NOT NULL, attempts INTEGER NOT NULL, error TEXT NOT NULL,
        changed_unix_ns INTEGER NOT NULL, document TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS notifications_waiting ON notifications (target, state, id)",
    """CREATE TABLE IF NOT EXISTS notified (
        target TEXT NOT NULL, incident_id TEXT NOT NULL, event TEXT NOT NULL, at_unix_ns INTEGER NOT NULL,
        PRIMARY KEY (target, incident_id, event))""",
)
DEAD_KEPT_NS = 7 * 86_400 * 10**9
NOTIFIED_KEPT_NS = 90 * 86_400 * 10**9
WAITING_MAX = 10_000
_BEGINS = frozenset({Event.OPENED, Event.REOPENED})
_OVER = frozenset({Event.RESOLVED, Event.MERGED})


class Delivery(NamedTuple):
    """One notification on its way; `incident` is the incident's summary as it was."""

    id: int
    target: str
    incident_id: str
    event: Event
    attempts: int
    due_unix_ns: int
    incident: dict[str, Any]


class Outbox:
    """The queue; safe to use from any thread."""

    def __init__(self, metadata: Metadata, *, repeat_ns: int) -> None:
        self._metadata = metadata
        self._repeat_ns = repeat_ns
        metadata.ensure("notifications", 1, _SCHEMA)

    def add(self, connection: sqlite3.Connection, target: Target, news: News, now_unix_ns: int) -> bool:
        """Queue news for a target unless it heard that already; tells whether it was queued."""
        incident = news.incident
        told = {
            Event(row[0]): int(row[1])
            for row in connection.execute(
                "SELECT event, at_unix_ns FROM notified WHERE target = ? AND incident_id = ?",
                [target.name, incident.id],
            )
        }
        event = _event(news.event, told)
        begun = bool(told.keys() & _BEGINS)
        if event not in target.events or (event not in _BEGINS and not begun):
            return False
        if event in _BEGINS and not target.wants(incident):
            return False
        if event in _OVER and self._take_back(connection, target.name, incident.id):
            return False
        last = max((at for known, at in told.items() if known in _BEGINS), default=0)
        due = now_unix_ns
        if event is Event.REOPENED:
            due = max(now_unix_ns, last + self._repeat_ns)
        elif event not in _OVER and told.get(event, -self._repeat_ns) + self._repeat_ns > now_unix_ns:
            return False
        waiting = connection.execute(
            "SELECT COUNT(*) FROM notifications WHERE target = ? AND state = 'waiting'", [target.name]
        ).fetchone()[0]
        if waiting >= WAITING_MAX:
            return False
        document = json.dumps(incident.summary(), separators=(",", ":"))
        connection.execute(
            """INSERT INTO notifications (target, incident_id, event, state, due_unix_ns, attempts, error,
               changed_unix_ns, document) VALUES (?, ?, ?, 'waiting', ?, 0, '', ?, ?)""",
            [target.name, incident.id, event.value, due, now_unix_ns, document],
        )
        connection.execute(
            "INSERT OR REPLACE INTO notified VALUES (?, ?, ?, ?)", [target.name, incident.id, event.value, now_unix_ns]
        )
        return True

    def next(self, target: str, now_unix_ns: int) -> Delivery | None:
        """Give the delivery that is due: the oldest, each incident's in their order; None when none is."""
        rows = self._metadata.read(
            """SELECT * FROM notifications AS one WHERE target = ? AND state = 'waiting' AND due_unix_ns <= ?
               AND NOT EXISTS (SELECT 1 FROM notifications AS before WHERE before.target = one.target
                 AND before.incident_id = one.incident_id AND before.state = 'waiting' AND before.id < one.id)
               ORDER BY due_unix_ns, id LIMIT 1""",
            [target, now_unix_ns],
        )
        return _delivery(rows[0]) if rows else None

    def next_due(self, target: str) -> int | None:
        """Give when the next delivery of a target is due, None when nothing waits."""
        rows = self._metadata.read(
            "SELECT MIN(due_unix_ns) AS due FROM notifications WHERE target = ? AND state = 'waiting'", [target]
        )
        return None if rows[0]["due"] is None else int(rows[0]["due"])

    def sent(self, delivery: Delivery) -> None:
        """Take a delivery that arrived out of the queue."""
        self._metadata.write("DELETE FROM notifications WHERE id = ?", [delivery.id])

    def failed(self, delivery: Delivery, error: str, now_unix_ns: int, *, again_unix_ns: int | None) -> None:
        """Note a failed attempt: due again at that moment, or given up for None."""
        self._metadata.write(
            """UPDATE notifications SET attempts = attempts + 1, error = ?, changed_unix_ns = ?,
               state = ?, due_unix_ns = ? WHERE id = ?""",
            [
                error[:1000],
                now_unix_ns,
                "dead" if again_unix_ns is None else "waiting",
                now_unix_ns if again_unix_ns is None else again_unix_ns,
                delivery.id,
            ],
        )

    def live_of(self, target: str, *, before: int) -> list[str]:
        """Give the incidents that a target was told of, last before the time, and that it does not know to be over."""
        rows = self._metadata.read(
            """SELECT incident_id, MAX(CASE WHEN event IN ('opened', 'reopened') THEN at_unix_ns ELSE 0 END) AS begun,
               MAX(CASE WHEN event IN ('resolved', 'merged') THEN at_unix_ns ELSE 0 END) AS over
               FROM notified WHERE target = ? GROUP BY incident_id HAVING begun > over AND MAX(at_unix_ns) < ?""",
            [target, before],
        )
        return [str(row["incident_id"]) for row in rows]

    def counts(self) -> dict[str, dict[str, Any]]:
        """Give, for each target with anything in the queue, how many wait and are dead, and the newest error."""
        rows = self._metadata.read(
            """SELECT target, SUM(state = 'waiting') AS waiting, SUM(state = 'dead') AS dead,
               MAX(CASE WHEN error <> '' THEN printf('%020d', changed_unix_ns) || error END) AS error
               FROM notifications GROUP BY target"""
        )
        return {
            str(row["target"]): {
                "waiting": int(row["waiting"]),
                "dead": int(row["dead"]),
                "last_error": str(row["error"] or "")[20:],
            }
            for row in rows
        }

    def delete_old(self, now_unix_ns: int) -> None:
        """Delete what was given up a week ago, and what was told three months ago."""
        with self._metadata.transaction() as connection:
            old = now_unix_ns - DEAD_KEPT_NS
            connection.execute("DELETE FROM notifications WHERE state = 'dead' AND changed_unix_ns < ?", [old])
            connection.execute("DELETE FROM notified WHERE at_unix_ns < ?", [now_unix_ns - NOTIFIED_KEPT_NS])

    @staticmethod
    def _take_back(connection: sqlite3.Connection, target: str, incident_id: str) -> bool:
        """Delete a reopening that still waits; tells whether there was one."""
        return bool(
            connection.execute(
                """DELETE FROM notifications WHERE target = ? AND incident_id = ? AND event = 'reopened'
                   AND state = 'waiting' AND attempts = 0""",
                [target, incident_id],
            ).rowcount
        )


def _event(event: Event, told: dict[Event, int]) -> Event:
    """Give the event as a target is to hear it: what it never heard of opens for it, however it began."""
    if event in {Event.WORSE, Event.REOPENED} and not told.keys() & _BEGINS:
        return Event.OPENED
    return event


def _delivery(row: sqlite3.Row) -> Delivery:
    return Delivery(
        int(row["id"]),
        str(row["target"]),
        str(row["incident_id"]),
        Event(row["event"]),
        int(row["attempts"]),
        int(row["due_unix_ns"]),
        json.loads(row["document"]),
    )
