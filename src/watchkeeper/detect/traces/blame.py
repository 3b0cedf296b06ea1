"""Makes a judgement of a suspicion: who is concerned, whether a callee explains it, which traces show it.

Enters: a Suspicion with its Sample. Leaves: a Judgement. An operation is explained by the callee that it waited for,
when less than half of the excess is its own work, or whose failures come with its own. Learns only which service
answers a client's operation. Does not decide whether anything is told.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.detect.traces.calls import Pairs
from watchkeeper.detect.traces.history import MIDDLE, PART, Histories, Key, Watched
from watchkeeper.detect.traces.judgement import Exemplar, Judgement, Kind
from watchkeeper.detect.traces.samples import Sample
from watchkeeper.detect.traces.spans import Operations, Spans, trace_id
from watchkeeper.detect.traces.structure import EXEMPLARS_MAX, Missing, Seen
from watchkeeper.detect.traces.verdicts import Suspicion

EXPLAINED_SHARE_MIN = 0.5

Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]


class Learned(NamedTuple):
    """What a baseline rests on."""

    from_ns: int
    windows: int
    spans: int


class Blame:
    """See the module. `callees`: the service that answers the operation of a client."""

    def __init__(self, operations: Operations, histories: Histories, window_ns: int) -> None:
        self._operations = operations
        self._histories = histories
        self._window_ns = window_ns
        self.callees: dict[int, str] = {}

    def learn_callees(self, spans: Spans, calls: Pairs) -> None:
        """Learn who answers whom from calls seen from both ends."""
        both = np.stack([spans.operation[calls.parent], spans.operation[calls.child]], axis=1)
        for client, server in np.unique(both, axis=0).tolist() if len(both) else ():
            self.callees[client] = self._operations.names[server].service

    def edge_of(self, client: int) -> Key:
        """Give the edge that a client's operation is a call on; without a known callee its name stands for it."""
        service, name = self._operations.names[client]
        return Key(Watched.EDGE, service, self.callees.get(client, name))

    def judgement(
        self, key: Key, row: int, one: Suspicion, sample: Sample, points: tuple[tuple[int, float], ...]
    ) -> Judgement:
        """Word a suspicion of an operation or an edge in numbers."""
        edge, learned = key.watched is Watched.EDGE, self._learned(row)
        if one.kind is Kind.ERRORS:
            rows = np.flatnonzero(sample.failed)
            own_share, explained = -1.0, self._failed_callee(key, sample, rows)
        else:
            measured = sample.part_s if one.column == PART else sample.seconds
            rows = np.flatnonzero(measured > min(one.high, one.seen))
            rows = rows[np.argsort(-measured[rows], kind="stable")]
            own_share, explained = self._slow_callee(key, row, sample, rows) if one.kind is Kind.LATENCY else (1.0, "")
        return Judgement(
            one.kind,
            key.service,
            "" if edge else key.name,
            one.score,
            (sample.window - sample.windows + 1) * self._window_ns,
            (sample.window + 1) * self._window_ns,
            one.seen,
            one.usual,
            None,
            one.high,
            one.unit,
            len(rows),
            len(sample.seconds),
            caller=key.service if edge else "",
            callee=key.name if edge else "",
            measure=one.measure,
            own_share=own_share,
            explained_by=explained,
            exemplars=self._exemplars(sample, rows, one.usual if one.kind is Kind.LATENCY else math.nan),
            points=points,
            learned_from_ns=learned.from_ns,
            learned_windows=learned.windows,
            learned_spans=learned.spans,
        )

    def missing(self, one: Missing, seen: Seen, points: tuple[tuple[int, float], ...]) -> Judgement:
        """Word a missing child in numbers."""
        parent, child = (self._operations.names[number] for number in one.path)
        suspicion, rows = one.suspicion, one.parents[:EXEMPLARS_MAX]
        text, learned = f"{parent.name} without {child.name}", self._learned(self._histories.row(one.key))
        return Judgement(
            Kind.MISSING,
            parent.service,
            parent.name,
            suspicion.score,
            seen.window * self._window_ns,
            (seen.window + 1) * self._window_ns,
            suspicion.seen,
            suspicion.usual,
            None,
            suspicion.high,
            "1",
            one.figures.failures,
            one.figures.trials,
            caller=parent.service,
            callee=child.service,
            child=child.name,
            measure="share",
            exemplars=tuple(
                Exemplar(text, int(seen.spans.start_ns[at]), trace_id(seen.spans.trace[at])) for at in rows.tolist()
            ),
            points=points,
            learned_from_ns=learned.from_ns,
            learned_windows=learned.windows,
            learned_spans=learned.spans,
        )

    def exemplars_of(self, operation: int, parts: list[Spans]) -> tuple[Exemplar, ...]:
        """Give the newest traces of an operation."""
        found: list[Exemplar] = []
        for part in reversed(parts):
            for at in np.flatnonzero(part.operation == operation)[::-1][: EXEMPLARS_MAX - len(found)].tolist():
                text = f"{self._operations.names[operation].name} took {_milliseconds(float(part.duration_s[at]))}"
                found.append(Exemplar(text, int(part.start_ns[at]), trace_id(part.trace[at])))
        return tuple(found)

    def _learned(self, row: int) -> Learned:
        windows, _ = self._histories.past(row)
        begun = int(windows[0]) * self._window_ns if len(windows) else 0
        return Learned(begun, len(windows), self._histories.trials(row))

    def _slow_callee(self, key: Key, row: int, sample: Sample, rows: Rows) -> tuple[float, str]:
        """Give the share of the excess that is the thing's own, -1 when unknown, and the service it waited for, or ''.

        For an edge its own is the gap: what the call took beyond the callee's work.
        """
        bands = self._histories.bands(row)
        told = rows[~np.isnan(sample.part_s[rows])]
        if not len(told) or math.isnan(bands.middle[PART - MIDDLE]):
            return -1.0, ""
        excess = float(sample.seconds[told].mean()) - math.exp(bands.middle[0])
        own = float(sample.part_s[told].mean()) - math.exp(bands.middle[PART - MIDDLE])
        own_share = min(1.0, max(0.0, own / excess)) if excess > 0 else 1.0
        if own_share >= EXPLAINED_SHARE_MIN:
            return own_share, ""
        if key.watched is Watched.EDGE:
            return own_share, key.name
        return own_share, self._most(key.service, sample.longest[told])

    def _failed_callee(self, key: Key, sample: Sample, rows: Rows) -> str:
        blamed = sample.bad_child[rows]
        if np.count_nonzero(blamed >= 0) < EXPLAINED_SHARE_MIN * len(rows):
            return ""
        return self._most(key.service, blamed)

    def _most(self, service: str, operations: Ints) -> str:
        """Give the callee that most of the operations (n,) stand for, "" when it is the service itself or none."""
        known = operations[operations >= 0]
        if not len(known):
            return ""
        names = [self.callees.get(one, "") or self._foreign(service, one) for one in known.tolist()]
        counted = {name: names.count(name) for name in names}
        best = max(sorted(counted), key=lambda name: counted[name])
        return best if best != service else ""

    def _foreign(self, service: str, operation: int) -> str:
        owner, name = self._operations.names[operation]
        return owner if owner != service else name

    def _exemplars(self, sample: Sample, rows: Rows, usual_s: float) -> tuple[Exemplar, ...]:
        usual = "" if math.isnan(usual_s) else f", usually {_milliseconds(usual_s)}"
        found: dict[str, Exemplar] = {}
        for at in rows.tolist():
            name, seconds = trace_id(sample.trace[at]), float(sample.seconds[at])
            failed = "failed after" if sample.failed[at] else "took"
            text = f"{failed} {_milliseconds(seconds)}{usual}"
            found.setdefault(name, Exemplar(text, int(sample.end_ns[at]), name))
            if len(found) == EXEMPLARS_MAX:
                break
        return tuple(found.values())


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:,.3g} ms" if seconds < 1 else f"{seconds:,.3g} s"
