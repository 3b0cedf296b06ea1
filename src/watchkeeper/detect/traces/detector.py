"""The trace detector: batches of spans in, findings out.

Reads a batch (spans.py), lets the watch (watch.py) gather it into windows and judge those that are complete, and keeps
the findings that are open (findings.py). Event time rules; spans may come in any order within `late_s`. A span that
claims to be from the future is taken as received. Does no I/O but save and load.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from watchkeeper.detect.base import LearningState
from watchkeeper.detect.protection import Confirmed
from watchkeeper.detect.traces import spans, state
from watchkeeper.detect.traces.bands import SCORE_MAX, Bands, upper_scores
from watchkeeper.detect.traces.findings import OpenTraceFindings
from watchkeeper.detect.traces.history import Key, Watched
from watchkeeper.detect.traces.judgement import Judgement
from watchkeeper.detect.traces.watch import Timing, TraceWatch
from watchkeeper.signals.finding import Finding

LATE_S = 6.0
UNSEEN_SCORE = 3.0


class TraceDetector:
    """Watches traces; see detect/base.py for the interface.

    warmup_s: event time of a service that is only learned from. window_s: length of the windows in which spans are
    gathered. close_s: quiet time after which a finding closes. late_s: how long spans of a window are waited for after
    its end. Memory: some kilobytes an operation, and about 80 bytes for each span of the last few windows. Cost: about
    seven microseconds a span in large batches, and a millisecond for an operation when a window closes.
    """

    def __init__(
        self, *, warmup_s: float = 600.0, window_s: float = 10.0, close_s: float = 120.0, late_s: float = LATE_S
    ) -> None:
        self._timing = Timing(int(warmup_s * 1e9), int(window_s * 1e9), int(late_s * 1e9))
        self._window_s, self._close_s = window_s, close_s
        self._watch = TraceWatch(self._timing)
        self._findings = OpenTraceFindings(window_s, close_s)
        self._protected: frozenset[tuple[str, str, str]] = frozenset()

    def score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """Give each span's score (n,), >= 0, higher = more anomalous; 0 while its service warms up. Changes nothing.

        The score is -log10 of the chance of so long a duration in its operation, or of a failure when it failed.
        """
        if not batch.num_rows:
            return np.zeros(0)
        own = spans.read(batch, self._watch.operations, learn=False)
        services = batch.column("service").to_pylist()
        watched = np.array([self._watch.watched(service or "") for service in services])
        known = own.operation >= 0
        scores = np.where(known, 0.0, UNSEEN_SCORE)
        numbers, inverse = np.unique(own.operation[known], return_inverse=True)
        bands = self._watch.sketches.bands(numbers)
        each = Bands(*(column[inverse][None, :] for column in bands))
        scores[known] = upper_scores(np.log(own.duration_s[known])[None, :], each)[0]
        rates = np.array([self._failure_rate(number) for number in numbers.tolist()])
        failed = known & own.failed
        scores[failed] = np.maximum(scores[failed], -np.log10(rates[inverse][own.failed[known]]))
        return np.where(watched, np.clip(scores, 0.0, SCORE_MAX), 0.0)

    def learn(self, batch: pa.RecordBatch) -> list[Finding]:
        """Take the batch in and give the findings that it opened, changed or closed; each once, as it is now."""
        if not batch.num_rows:
            return []
        return self._tell(self._watch.take(spans.read(batch, self._watch.operations, learn=True)))

    def flush(self, now_unix_ns: int) -> list[Finding]:
        """Close the windows that ended before `now_unix_ns` (event time), and give the findings this changed."""
        if now_unix_ns <= self._watch.newest_ns:
            return []
        return self._tell(self._watch.close_until(now_unix_ns), now_unix_ns)

    def learning(self) -> list[LearningState]:
        """Tell, for each service, how far learning has come."""
        return self._watch.learning()

    @property
    def late_spans(self) -> int:
        """Give how many spans came too late to be counted in their window."""
        return self._watch.late_spans

    @property
    def dropped_spans(self) -> int:
        """Give how many spans were left out because their window held too many."""
        return self._watch.dropped_spans

    def save(self, folder: Path) -> None:
        """Write the state to `traces.json` and `traces.npz` in the folder, which is made when missing."""
        state.save(folder, self._watch, self._findings)

    def load(self, folder: Path) -> None:
        """Take up what `save` wrote in place of what is known; raises StoreError when it is damaged or newer."""
        watch, findings = TraceWatch(self._timing), OpenTraceFindings(self._window_s, self._close_s)
        state.load(folder, watch, findings)
        self._watch, self._findings = watch, findings
        self._findings.protected = self._protected

    def take_over(self, previous: Self) -> list[Finding]:
        """Go on where `previous` is; see detect/base.py."""
        closed = previous._findings.close_all()
        self._findings.close_all()
        self._watch.take_over(previous._watch)
        return closed

    def protect(self, confirmed: Sequence[Confirmed]) -> None:
        """Never learn these as normal; see detect/protection.py."""
        self._protected = frozenset((one.kind, one.service, one.subject) for one in confirmed)
        self._findings.protected = self._protected

    def _tell(self, judgements: list[Judgement], now_ns: int = 0) -> list[Finding]:
        changed: dict[str, Finding] = {}
        for one in sorted(judgements, key=lambda one: (one.last_ns, one.service, str(one.kind), one.subject)):
            finding = self._findings.judge(one)
            if finding is not None:
                changed[finding.id] = finding
        for finding in self._findings.sweep(max(now_ns, self._watch.newest_ns)):
            changed[finding.id] = finding
        self._watch.settled = self._findings.settled()
        return list(changed.values())

    def _failure_rate(self, operation: int) -> float:
        watch = self._watch
        for key in (Key(Watched.OPERATION, *watch.operations.names[operation]), watch.blame.edge_of(operation)):
            row = watch.histories.rows.get(key)
            if row is not None:
                return watch.histories.share(row)[0]
        return 1.0
