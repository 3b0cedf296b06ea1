"""Training jobs in SQLite: one row a job, so that status, stage, statistics and reason change in one write.

Enters: Jobs. Leaves: Jobs, newest first. Decides nothing: jobs.py does.
"""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterator, Sequence

from watchkeeper.store.metadata import Metadata
from watchkeeper.training.job import Job, Status, job_from_dict

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS training_jobs (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, status TEXT NOT NULL, stage TEXT NOT NULL,
        created_unix_ns INTEGER NOT NULL, document TEXT NOT NULL) STRICT""",
    "CREATE INDEX IF NOT EXISTS training_jobs_by_name ON training_jobs (name, created_unix_ns DESC, id)",
    "CREATE INDEX IF NOT EXISTS training_jobs_by_status ON training_jobs (status, created_unix_ns)",
)
_LATEST = "ORDER BY created_unix_ns DESC, rowid DESC"


class JobStore:
    """The rows of all jobs; safe to use from any thread. Methods raise StoreError."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        metadata.ensure("training_jobs", 1, _SCHEMA)

    def put(self, job: Job) -> None:
        """Insert or replace one job whole, durably."""
        self._metadata.write(
            """INSERT INTO training_jobs VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE
               SET status = excluded.status, stage = excluded.stage, document = excluded.document""",
            [
                job.id,
                job.spec.name,
                job.spec.kind,
                job.status.value,
                job.stage.value,
                job.created_unix_ns,
                json.dumps(job.as_dict(), separators=(",", ":")),
            ],
        )

    def get(self, identifier: str) -> Job | None:
        """Give one job, or None."""
        return next(self._read("WHERE id = ?", [identifier]), None)

    def list(self, *, name: str = "", status: str = "", limit: int = 100) -> builtins.list[Job]:
        """Give up to `limit` jobs, the newest first; of one model, or in one status, where these are given."""
        return [*self._read(f"WHERE ? IN ('', name) AND ? IN ('', status) {_LATEST} LIMIT ?", [name, status, limit])]

    def running(self) -> builtins.list[Job]:
        """Give those that have not ended, the oldest first."""
        return [*self._read("WHERE status = ? ORDER BY created_unix_ns, rowid", [Status.TRAINING.value])]

    def delete_beyond(self, kept: int) -> builtins.list[str]:
        """Delete the oldest ended jobs so that `kept` of them stay; gives the ids that went."""
        gone = self._metadata.read(
            f"SELECT id FROM training_jobs WHERE status <> ? {_LATEST} LIMIT -1 OFFSET ?",
            [Status.TRAINING.value, kept],
        )
        for row in gone:
            self._metadata.write("DELETE FROM training_jobs WHERE id = ?", [row["id"]])
        return [str(row["id"]) for row in gone]

    def _read(self, where: str, parameters: Sequence[object]) -> Iterator[Job]:
        rows = self._metadata.read(f"SELECT document FROM training_jobs {where}", parameters)
        return iter([job_from_dict(json.loads(row["document"])) for row in rows])
