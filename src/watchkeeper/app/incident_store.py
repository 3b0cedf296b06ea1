"""Incidents in SQLite: kept as they change, listed in pages by time, offered live to subscribers.

Beside each incident stand its members (findings as the grouping keeps them), so that a restart takes up where it
stopped, and the event clock. Decides nothing; app/incidents.py does.
"""

from __future__ import annotations

import builtins
import json
import queue
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from watchkeeper.app.feed import Feed
from watchkeeper.app.pages import read_page
from watchkeeper.diagnose.incident import Incident, IncidentState, incident_from_dict
from watchkeeper.diagnose.member import Member, member_from_dict
from watchkeeper.signals.finding import Finding, finding_from_dict
from watchkeeper.store.metadata import Metadata

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS incidents (
        id TEXT PRIMARY KEY, state TEXT NOT NULL, severity TEXT NOT NULL, services TEXT NOT NULL,
        opened_unix_ns INTEGER NOT NULL, last_unix_ns INTEGER NOT NULL, updated_unix_ns INTEGER NOT NULL,
        document TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS incidents_by_time ON incidents (opened_unix_ns DESC, id)",
    "CREATE INDEX IF NOT EXISTS incidents_by_state ON incidents (state, opened_unix_ns DESC, id)",
    """CREATE TABLE IF NOT EXISTS incident_findings (
        position INTEGER PRIMARY KEY AUTOINCREMENT, finding_id TEXT NOT NULL UNIQUE, incident_id TEXT NOT NULL,
        state TEXT NOT NULL, last_unix_ns INTEGER NOT NULL, document TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS incident_findings_by_incident ON incident_findings (incident_id, position)",
    "CREATE TABLE IF NOT EXISTS incident_clock (one INTEGER PRIMARY KEY, event_unix_ns INTEGER, wall_unix_ns INTEGER)",
)
_LIVE = (IncidentState.OPEN.value, IncidentState.ACKNOWLEDGED.value)
UNSEEN_MAX = 100_000
FINDINGS_PREVIEWED_MAX = 10_000


class Kept(NamedTuple):
    """The event clock as it was kept: the newest event time, and the wall clock then."""

    event_unix_ns: int
    wall_unix_ns: int


class IncidentStore:
    """All incidents, latest opened first; cost of a page: its rows, through an index."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._feed: Feed[Incident] = Feed()
        self._callbacks: list[Callable[[builtins.list[Incident]], None]] = []
        metadata.ensure("incidents", 1, _SCHEMA)

    def write(
        self, connection: sqlite3.Connection, incidents: Iterable[Incident], members: Iterable[Member], clock: Kept
    ) -> None:
        """Keep incidents, members and clock within a transaction of the caller's."""
        connection.executemany(
            """INSERT INTO incidents VALUES (?, ?, ?, ?, ?, ?, ?, ?)
               ON CONFLICT (id) DO UPDATE SET state = excluded.state, severity = excluded.severity,
               services = excluded.services, opened_unix_ns = excluded.opened_unix_ns,
               last_unix_ns = excluded.last_unix_ns, updated_unix_ns = excluded.updated_unix_ns,
               document = excluded.document""",
            [_row(incident) for incident in incidents],
        )
        connection.executemany(
            """INSERT INTO incident_findings (finding_id, incident_id, state, last_unix_ns, document)
               VALUES (?, ?, ?, ?, ?)
               ON CONFLICT (finding_id) DO UPDATE SET incident_id = excluded.incident_id, state = excluded.state,
               last_unix_ns = excluded.last_unix_ns, document = excluded.document""",
            [_member_row(member) for member in members],
        )
        connection.execute("INSERT OR REPLACE INTO incident_clock VALUES (1, ?, ?)", clock)

    def on_change(self, callback: Callable[[builtins.list[Incident]], None]) -> None:
        """Call this with incidents that changed, in the thread that changed them; it must not block."""
        self._callbacks.append(callback)

    def tell(self, incidents: Iterable[Incident]) -> None:
        """Tell subscribers; a full one misses its oldest."""
        incidents = builtins.list(incidents)
        for callback in self._callbacks:
            callback(incidents)
        self._feed.tell(incidents)

    def list(
        self,
        *,
        state: str | None = None,
        severity: str | None = None,
        service: str | None = None,
        from_unix_ns: int | None = None,
        to_unix_ns: int | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[builtins.list[Incident], str | None]:
        """Give up to `limit` incidents, latest opened first, and the cursor of the next page or None.

        An incident belongs to a time range when it went on at some moment of it. The state `live` stands for open and
        acknowledged. Raises QueryError for a bad cursor.
        """
        conditions = (
            ("severity = ?", severity),
            ("instr(services, ?) > 0", f"\n{service}\n" if service else None),
            ("last_unix_ns >= ?", from_unix_ns),
            ("opened_unix_ns < ?", to_unix_ns),
            ("state IN (?, ?)", _LIVE) if state == "live" else ("state = ?", state),
        )
        found, more = read_page(self._metadata, "incidents", "opened_unix_ns", conditions, limit=limit, cursor=cursor)
        return [incident_from_dict(each) for each in found], more

    def get(self, identifier: str) -> Incident | None:
        """Give one incident, or None."""
        rows = self._metadata.read("SELECT document FROM incidents WHERE id = ?", [identifier])
        return incident_from_dict(json.loads(rows[0]["document"])) if rows else None

    def members(self, incident_ids: Sequence[str]) -> builtins.list[Member]:
        """Give the members of incidents in the order in which they joined; "" stands for those that wait."""
        marks = ", ".join("?" * len(incident_ids))
        rows = self._metadata.read(
            f"SELECT document FROM incident_findings WHERE incident_id IN ({marks}) ORDER BY position", incident_ids
        )
        return [member_from_dict(json.loads(row["document"])) for row in rows]

    def waiting(self, since_unix_ns: int) -> builtins.list[Member]:
        """Give the members without an incident that are open or ended after the time."""
        rows = self._metadata.read(
            """SELECT document FROM incident_findings WHERE incident_id = '' AND (state = 'open' OR last_unix_ns >= ?)
               ORDER BY position""",
            [since_unix_ns],
        )
        return [member_from_dict(json.loads(row["document"])) for row in rows]

    def homes(self, finding_ids: Sequence[str]) -> dict[str, str]:
        """Give the incident of each finding that is known, "" for one that waits."""
        if not finding_ids:
            return {}
        marks = ", ".join("?" * len(finding_ids))
        rows = self._metadata.read(
            f"SELECT finding_id, incident_id FROM incident_findings WHERE finding_id IN ({marks})", finding_ids
        )
        return {str(row["finding_id"]): str(row["incident_id"]) for row in rows}

    def recent(self, ended_after_unix_ns: int) -> builtins.list[Incident]:
        """Give the incidents that are live, and those that ended after the time."""
        rows = self._metadata.read(
            "SELECT document FROM incidents WHERE state IN (?, ?) OR updated_unix_ns >= ? ORDER BY opened_unix_ns, id",
            [*_LIVE, ended_after_unix_ns],
        )
        return [incident_from_dict(json.loads(row["document"])) for row in rows]

    def clock(self) -> Kept:
        """Give the event clock as it was kept last; zeros at first."""
        rows = self._metadata.read("SELECT event_unix_ns, wall_unix_ns FROM incident_clock")
        return Kept(int(rows[0]["event_unix_ns"]), int(rows[0]["wall_unix_ns"])) if rows else Kept(0, 0)

    def unseen_findings(self) -> builtins.list[Finding]:
        """Give the kept findings that the grouping has not seen as they are now, in the order they were told."""
        rows = self._metadata.read(
            """SELECT findings.document FROM findings
               LEFT JOIN incident_findings AS seen ON seen.finding_id = findings.id
               WHERE seen.finding_id IS NULL OR seen.state <> findings.state
               OR seen.last_unix_ns <> findings.last_unix_ns
               ORDER BY findings.detected_unix_ns, findings.first_unix_ns, findings.id LIMIT ?""",
            [UNSEEN_MAX],
        )
        return [finding_from_dict(json.loads(row["document"])) for row in rows]

    def findings_told(self, from_unix_ns: int, to_unix_ns: int) -> tuple[builtins.list[Finding], bool]:
        """Give the kept findings that began in the range, and whether there were too many to give all."""
        rows = self._metadata.read(
            """SELECT document FROM findings WHERE first_unix_ns >= ? AND first_unix_ns < ?
               ORDER BY first_unix_ns DESC, id LIMIT ?""",
            [from_unix_ns, to_unix_ns, FINDINGS_PREVIEWED_MAX + 1],
        )
        found = [finding_from_dict(json.loads(row["document"])) for row in rows[:FINDINGS_PREVIEWED_MAX]]
        return found, len(rows) > FINDINGS_PREVIEWED_MAX

    def counts(self, now_unix_ns: int) -> dict[str, int]:
        """Give how many are open, acknowledged and critical among them, and how many were opened in the last day."""
        row = self._metadata.read(
            """SELECT COALESCE(SUM(state = 'open'), 0) AS open,
               COALESCE(SUM(state = 'acknowledged'), 0) AS acknowledged,
               COALESCE(SUM(state IN ('open', 'acknowledged') AND severity = 'critical'), 0) AS critical,
               COALESCE(SUM(opened_unix_ns >= ?), 0) AS opened_24h FROM incidents""",
            [now_unix_ns - 86_400 * 10**9],
        )[0]
        return {name: int(row[name]) for name in ("open", "acknowledged", "critical", "opened_24h")}

    def live_by_severity(self) -> dict[str, int]:
        """Count the incidents that go on, open or acknowledged, by severity; a severity without any is missing."""
        rows = self._metadata.read(
            "SELECT severity, COUNT(*) AS n FROM incidents WHERE state IN (?, ?) GROUP BY severity", list(_LIVE)
        )
        return {str(row["severity"]): int(row["n"]) for row in rows}

    def delete_ended_before(self, time_unix_ns: int) -> int:
        """Delete resolved and merged incidents that were last changed before the time; gives how many."""
        with self._metadata.transaction() as connection:
            gone = "SELECT id FROM incidents WHERE state NOT IN (?, ?) AND updated_unix_ns < ?"
            known = [*_LIVE, time_unix_ns]
            connection.execute(f"DELETE FROM incident_findings WHERE incident_id IN ({gone})", known)
            return connection.execute(f"DELETE FROM incidents WHERE id IN ({gone})", known).rowcount

    def subscribe(self) -> AbstractContextManager[queue.Queue[Incident]]:
        """Give a queue that receives every incident as it changes from now on."""
        return self._feed.subscribe()


def _row(incident: Incident) -> tuple[Any, ...]:
    return (
        incident.id,
        incident.state.value,
        incident.severity.value,
        "\n" + "\n".join(incident.services) + "\n",
        incident.opened_unix_ns,
        incident.last_unix_ns,
        incident.updated_unix_ns,
        json.dumps(incident.as_dict(), separators=(",", ":")),
    )


def _member_row(member: Member) -> tuple[Any, ...]:
    document = json.dumps(member.as_dict(), separators=(",", ":"))
    return (member.finding_id, member.incident_id, member.state.value, member.last_unix_ns, document)
