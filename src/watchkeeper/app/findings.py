"""Keeps findings in SQLite and tells subscribers of each one that opens, changes or closes.

Enters: findings from the pipeline. Leaves: pages of findings, single ones, a live feed. Decides nothing about them.
"""

from __future__ import annotations

import json
import queue
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

from watchkeeper.app.feed import Feed
from watchkeeper.app.pages import read_page
from watchkeeper.signals.finding import Finding, FindingState, finding_from_dict
from watchkeeper.store.metadata import Metadata

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS findings (
        id TEXT PRIMARY KEY, kind TEXT NOT NULL, service TEXT NOT NULL, state TEXT NOT NULL,
        first_unix_ns INTEGER NOT NULL, last_unix_ns INTEGER NOT NULL, detected_unix_ns INTEGER NOT NULL,
        document TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS findings_by_time ON findings (first_unix_ns DESC, id)",
    "CREATE INDEX IF NOT EXISTS findings_by_state ON findings (state, first_unix_ns DESC, id)",
)


class FindingStore:
    """All findings, newest first; cost of a page: its rows, through an index."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._feed: Feed[Finding] = Feed()
        metadata.ensure("findings", 1, _SCHEMA)

    def put(self, findings: Iterable[Finding]) -> None:
        """Insert or update findings in one transaction, then tell subscribers; a full one misses its oldest."""
        rows = list(findings)
        if not rows:
            return
        with self._metadata.transaction() as connection:
            connection.executemany(
                """INSERT INTO findings VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                   ON CONFLICT (id) DO UPDATE SET state = excluded.state, last_unix_ns = excluded.last_unix_ns,
                   document = excluded.document""",
                [_row(finding) for finding in rows],
            )
        self._feed.tell(rows)

    def list(
        self,
        *,
        state: str | None = None,
        service: str | None = None,
        kind: str | None = None,
        from_unix_ns: int | None = None,
        to_unix_ns: int | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[list[Finding], str | None]:
        """Give up to `limit` findings, latest opened first, and the cursor of the next page or None.

        A finding belongs to a time range when it was open at some moment of it. Raises QueryError for a bad cursor.
        """
        conditions = (
            ("state = ?", state),
            ("service = ?", service),
            ("kind = ?", kind),
            ("last_unix_ns >= ?", from_unix_ns),
            ("first_unix_ns <= ?", to_unix_ns),
        )
        found, more = read_page(self._metadata, "findings", "first_unix_ns", conditions, limit=limit, cursor=cursor)
        return [finding_from_dict(each) for each in found], more

    def get(self, identifier: str) -> Finding | None:
        """Give one finding, or None."""
        rows = self._metadata.read("SELECT document FROM findings WHERE id = ?", [identifier])
        return finding_from_dict(json.loads(rows[0]["document"])) if rows else None

    def counts(self, now_unix_ns: int) -> dict[str, int]:
        """Give how many are open, and how many were detected in the last hour."""
        row = self._metadata.read(
            """SELECT COALESCE(SUM(state = 'open'), 0) AS open,
               COALESCE(SUM(detected_unix_ns >= ?), 0) AS opened_1h FROM findings""",
            [now_unix_ns - 3_600_000_000_000],
        )[0]
        return {"open": int(row["open"]), "opened_1h": int(row["opened_1h"])}

    def open_by_service(self) -> dict[str, int]:
        """Give the number of open findings of each service that has any."""
        rows = self._metadata.read("SELECT service, COUNT(*) AS n FROM findings WHERE state = 'open' GROUP BY service")
        return {str(row["service"]): int(row["n"]) for row in rows}

    def delete_closed_before(self, time_unix_ns: int) -> int:
        """Delete closed findings that ended before the time; gives how many."""
        return self._metadata.write(
            "DELETE FROM findings WHERE state = ? AND last_unix_ns < ?", [FindingState.CLOSED.value, time_unix_ns]
        )

    def subscribe(self) -> AbstractContextManager[queue.Queue[Finding]]:
        """Give a queue that receives every finding put from now on."""
        return self._feed.subscribe()


def _row(finding: Finding) -> tuple[Any, ...]:
    return (
        finding.id,
        finding.kind,
        finding.service,
        finding.state.value,
        finding.first_unix_ns,
        finding.last_unix_ns,
        finding.detected_unix_ns,
        json.dumps(finding.as_dict(), separators=(",", ":")),
    )
