"""Silences in SQLite: who wants to hear nothing of what, why and until when; and the mark on findings they cover.

A silenced finding is kept and shown with the mark `silenced_by`; it opens no incident and reaches nobody.
"""

from __future__ import annotations

import builtins
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from watchkeeper.diagnose.silence import SILENCED_BY, Silence, check_matchers, matches
from watchkeeper.errors import NotFound, QueryError
from watchkeeper.signals.finding import Finding
from watchkeeper.store.metadata import Metadata

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS silences (
        id TEXT PRIMARY KEY, until_unix_ns INTEGER NOT NULL, document TEXT NOT NULL)""",
)
DURATION_NS_MAX = 3_660 * 86_400 * 10**9
KEPT_NS = 30 * 86_400 * 10**9
SILENCES_MAX = 1_000


class Silences:
    """All silences; safe to use from any thread. Cost of marking a finding: one look at each active silence."""

    def __init__(self, metadata: Metadata, *, now_unix_ns: Callable[[], int] = time.time_ns) -> None:
        self._metadata = metadata
        self._now_unix_ns = now_unix_ns
        self._lock = threading.Lock()
        metadata.ensure("silences", 1, _SCHEMA)
        self._known = self._read()

    def add(self, matchers: Mapping[str, str], *, by: str, why: str, until_unix_ns: int) -> Silence:
        """Begin a silence now; raises QueryError for matchers or an end that cannot be."""
        now = self._now_unix_ns()
        if not now < until_unix_ns <= now + DURATION_NS_MAX:
            raise QueryError("a silence ends after now and within ten years; give such an end")
        if not why.strip():
            raise QueryError("a silence needs a reason, for those who come after; give `why`")
        silence = Silence(secrets.token_hex(8), check_matchers(matchers), by, why, now, until_unix_ns)
        with self._lock:
            if sum(each.active(now) for each in self._known) >= SILENCES_MAX:
                raise QueryError(f"there are {SILENCES_MAX} silences already; end some of them")
            self._write(silence)
        return silence

    def remove(self, identifier: str) -> Silence:
        """End a silence at once; it stays in the list, ended. Raises NotFound."""
        with self._lock:
            known = next((each for each in self._known if each.id == identifier), None)
            if known is None:
                raise NotFound(f"there is no silence {identifier[:100]!r}; GET /api/v1/silences lists them")
            ended = replace(known, until_unix_ns=min(known.until_unix_ns, self._now_unix_ns()))
            self._write(ended)
        return ended

    def list(self, *, active_only: bool = True) -> builtins.list[Silence]:
        """Give the silences, the one that ends first at the front."""
        now = self._now_unix_ns()
        return [each for each in self._known if each.active(now) or not active_only]

    def mark(self, findings: Iterable[Finding]) -> builtins.list[Finding]:
        """Give the findings, those that a silence covers with its id under `silenced_by`."""
        active = self.list()
        return [_marked(finding, active) for finding in findings] if active else list(findings)

    def delete_old(self) -> None:
        """Delete silences that ended a month ago."""
        with self._lock:
            if self._metadata.write("DELETE FROM silences WHERE until_unix_ns < ?", [self._now_unix_ns() - KEPT_NS]):
                self._known = self._read()

    def _write(self, silence: Silence) -> None:
        self._metadata.write(
            "INSERT OR REPLACE INTO silences VALUES (?, ?, ?)",
            [silence.id, silence.until_unix_ns, json.dumps(silence.as_dict())],
        )
        self._known = self._read()

    def _read(self) -> builtins.list[Silence]:
        rows = self._metadata.read("SELECT document FROM silences ORDER BY until_unix_ns, id")
        return [Silence(**json.loads(row["document"])) for row in rows]


def _marked(finding: Finding, active: Iterable[Silence]) -> Finding:
    for silence in active:
        if matches(silence, finding):
            return replace(finding, attributes={**finding.attributes, SILENCED_BY: silence.id})
    return finding
