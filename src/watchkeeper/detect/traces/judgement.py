"""What the watch over traces says of one subject: the numbers from which a finding is made.

Enters: nothing. Leaves: Judgement rows, from watch.py to findings.py. Plain data.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """The kinds of findings on traces."""

    LATENCY = "trace.latency"
    ERRORS = "trace.error.rate"
    THROUGHPUT = "trace.throughput"
    UNSEEN = "trace.path.unseen"
    MISSING = "trace.child.missing"
    GAP = "trace.edge.gap"


class Exemplar(NamedTuple):
    """One trace that shows it: what to say of it, when, and its id."""

    text: str
    time_unix_ns: int
    trace_id: str


class Judgement(NamedTuple):
    """One subject out of the ordinary, over the windows [first_ns, last_ns).

    service: the one it is told of. operation: the span's name, "" for an edge. caller, callee: services of an edge or a
    pair. child: name of the child operation. score: -log10 of the chance of this by noise. seen, low, high: what was
    measured and the band expected, in `unit` (s, 1, or spans). usual: the middle of the band. events: spans it rests
    on, of `total`. own_share: 0..1 of the excess that is the operation's own work, -1 unknown. explained_by: service
    that the excess or the failures come from, "" for none. points: window starts and values to draw. learned_*: the
    baseline.
    """

    kind: Kind
    service: str
    operation: str
    score: float
    first_ns: int
    last_ns: int
    seen: float
    usual: float
    low: float | None
    high: float | None
    unit: str
    events: int
    total: int
    caller: str = ""
    callee: str = ""
    child: str = ""
    measure: str = ""
    own_share: float = -1.0
    explained_by: str = ""
    exemplars: tuple[Exemplar, ...] = ()
    points: tuple[tuple[int, float], ...] = ()
    learned_from_ns: int = 0
    learned_windows: int = 0
    learned_spans: int = 0

    @property
    def count_text(self) -> str:
        """Give the count in words."""
        return f"{self.events:,} spans"

    @property
    def subject(self) -> str:
        """Give the subject of the finding within its service."""
        if self.kind is Kind.UNSEEN or self.kind is Kind.MISSING:
            return f"{self.caller} {self.operation} -> {self.callee} {self.child}"
        return self.operation or f"{self.caller} -> {self.callee}"
