"""The watch over traces: gathers spans into windows, closes a window when its spans are in, judges it, then learns it.

Enters: Spans in any order. Leaves: judgements. A window of event time, to which a span belongs by its end, is closed
`late_ns` after it ended; spans that come later are counted and left out. Everything is judged when a window closes, its
spans sorted, so that neither the order of spans nor how they are cut into batches matters. Keeps a few windows' spans.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.detect.base import LearningState
from watchkeeper.detect.traces.blame import Blame
from watchkeeper.detect.traces.calls import Waits, pairs_of, remote, waits_of
from watchkeeper.detect.traces.history import Figures, Histories, Key, Watched
from watchkeeper.detect.traces.judgement import Judgement, Kind
from watchkeeper.detect.traces.samples import Sample, Samples
from watchkeeper.detect.traces.sketch import SketchBank
from watchkeeper.detect.traces.spans import CLIENT, PRODUCER, Operations, Spans, together
from watchkeeper.detect.traces.structure import Missing, Paths, Seen
from watchkeeper.detect.traces.verdicts import RUN_SCORE_MIN, Suspicion, failures, points, suspicions
from watchkeeper.detect.traces.volume import Changed, Volumes

JOIN_WINDOWS = 3
SPANS_OF_WINDOW_MAX = 100_000
WINDOWS_TOGETHER_MAX = 2_000
SPANS_LEARNED_MIN = 30
COMPANY_WINDOWS = 3
RUN_WINDOWS_MAX = 6
VOTES_KEPT_WINDOWS = 60

Ints = npt.NDArray[np.int64]
Settled = set[tuple[str, str, str]]


class Timing(NamedTuple):
    """The durations the watch goes by, in nanoseconds."""

    warmup_ns: int
    window_ns: int
    late_ns: int


@dataclass
class Service:
    """What is known of a service: end of its first and newest span, and how many there were."""

    first_ns: int
    newest_ns: int
    spans: int = 0


class TraceWatch:
    """See the module. `settled`: kind, service and subject of what has gone on so long that it is learned as normal."""

    def __init__(self, timing: Timing) -> None:
        self.timing = timing
        self.operations = Operations()
        self.histories = Histories()
        self.sketches = SketchBank()
        self.samples = Samples()
        self.paths = Paths(self.operations, self.histories, timing.warmup_ns, timing.window_ns)
        self.volumes = Volumes(max(3, timing.warmup_ns // timing.window_ns - 2))
        self.blame = Blame(self.operations, self.histories, timing.window_ns)
        self.services: dict[str, Service] = {}
        self.pending: dict[int, list[Spans]] = {}
        self.recent: deque[tuple[int, Spans]] = deque()
        self.votes: dict[tuple[Key, str], tuple[int, float]] = {}
        self.runs: dict[Key, tuple[int, int, int, int]] = {}
        self.held: dict[Key, tuple[int, Figures]] = {}
        self.volume_votes: dict[int, int] = {}
        self.next_window = -1
        self.newest_ns = 0
        self.late_spans = self.dropped_spans = 0
        self.settled: Settled = set()

    # -- taking in ------------------------------------------------------------------------------------------------

    def take(self, spans: Spans) -> list[Judgement]:
        """Take spans in the order received, and judge the windows that this closes."""
        if not len(spans.key):
            return []
        width, late = self.timing.window_ns, self.timing.late_ns
        windows = spans.end_ns // width
        before = np.maximum.accumulate(np.concatenate(([self.newest_ns], spans.end_ns[:-1])))
        timely = windows >= np.maximum(self.next_window, (before - late) // width)
        self.late_spans += int(np.count_nonzero(~timely))
        for window in np.unique(windows[timely]).tolist():
            self._keep(window, spans.take(timely & (windows == window)))
        self.newest_ns = max(self.newest_ns, int(spans.end_ns.max()))
        return self.close_until(self.newest_ns)

    def take_over(self, other: TraceWatch) -> None:
        """Go on where `other` is, with the spans it has gathered; the time between counts as not seen."""
        passed_ns = other.newest_ns - self.newest_ns
        if other.next_window < 0 or passed_ns <= 0:
            return
        own = self.operations.numbers_of(other.operations)
        self.pending = {window: [_renumbered(each, own) for each in parts] for window, parts in other.pending.items()}
        self.recent = deque((window, _renumbered(each, own)) for window, each in other.recent)
        self.next_window, self.newest_ns = other.next_window, other.newest_ns
        for name, service in self.services.items():
            heard = other.services.get(name)
            if heard is not None:
                if not self.watched(name):
                    service.first_ns += heard.newest_ns - service.newest_ns
                service.newest_ns = heard.newest_ns
        for clock in self.paths.clocks.values():
            clock.skip(passed_ns)
        self.votes, self.runs, self.held, self.volume_votes = {}, {}, {}, {}
        self.volumes.bank.zeros[:] = 0
        self.settled = set()

    def _keep(self, window: int, spans: Spans) -> None:
        parts = self.pending.setdefault(window, [])
        room = SPANS_OF_WINDOW_MAX - sum(len(part.key) for part in parts)
        self.dropped_spans += max(0, len(spans.key) - room)
        if room > 0:
            parts.append(spans.take(slice(0, room)))

    def close_until(self, now_ns: int) -> list[Judgement]:
        """Close every window that ended `late_ns` before `now_ns`."""
        target = (now_ns - self.timing.late_ns) // self.timing.window_ns
        found: list[Judgement] = []
        while self.pending and min(self.pending) < target:
            first = min(self.pending)
            if self.next_window < 0 or first - self.next_window > WINDOWS_TOGETHER_MAX:
                self.next_window = first
            found += self._close(self.next_window)
            self.next_window += 1
        if self.next_window >= 0 and target - self.next_window > WINDOWS_TOGETHER_MAX:
            self.next_window = target
        while 0 <= self.next_window < target:
            found += self._close(self.next_window)
            self.next_window += 1
        return found

    # -- one window -----------------------------------------------------------------------------------------------

    def _close(self, window: int) -> list[Judgement]:
        parts = self.pending.pop(window, [])
        if not parts:
            self.recent.append((window, _nothing()))
            self._trim_recent(window)
            return self._volume(window, np.zeros(0, np.int64)) if self.services else []
        spans = together(parts)
        spans = spans.take(np.lexsort((spans.key, spans.end_ns)))
        self._hear(spans)
        self.recent.append((window, spans))
        self._trim_recent(window)
        joined = together([part for _, part in self.recent])
        fresh = np.arange(len(joined.key) - len(spans.key), len(joined.key))
        pairs = pairs_of(joined)
        waits = waits_of(joined, pairs)
        self.blame.learn_callees(joined, remote(joined, pairs))
        new = (pairs.parent >= fresh[0]) | (pairs.child >= fresh[0])
        seen = Seen(window, joined, pairs.where(new), fresh)
        first_ns = {name: one.first_ns for name, one in self.services.items()}
        found = self.paths.meet(seen, first_ns)
        newest_ns = {name: one.newest_ns for name, one in self.services.items()}
        found += [one for each in self.paths.missing(seen, newest_ns) if (one := self._lacks(each, seen))]
        found += self._each(window, spans, waits.take(fresh))
        found += self._volume(window, np.bincount(spans.operation))
        self.sketches.fade()
        self.sketches.add(spans.operation, spans.duration_s)
        self.samples.forget_before(window)
        self._forget_before(window - VOTES_KEPT_WINDOWS)
        return [one for one in found if self._watches(one.service, one.last_ns)]

    def _hear(self, spans: Spans) -> None:
        for operation in np.unique(spans.operation).tolist():
            ends = spans.end_ns[spans.operation == operation]
            name = self.operations.names[operation].service
            service = self.services.setdefault(name, Service(int(ends.min()), 0))
            service.newest_ns = max(service.newest_ns, int(ends.max()))
            service.spans += len(ends)

    def _trim_recent(self, window: int) -> None:
        while self.recent and self.recent[0][0] < window - JOIN_WINDOWS:
            self.recent.popleft()

    def _each(self, window: int, spans: Spans, waits: Waits) -> list[Judgement]:
        """Judge and learn every operation and edge that has spans in the window."""
        asks = np.isin(spans.kind, (CLIENT, PRODUCER))
        groups: dict[Key, list[Ints]] = {}
        for operation in np.unique(spans.operation).tolist():
            mine = spans.operation == operation
            own, calls = np.flatnonzero(mine & ~asks), np.flatnonzero(mine & asks)
            if len(own):
                groups.setdefault(Key(Watched.OPERATION, *self.operations.names[operation]), []).append(own)
            if len(calls):
                groups.setdefault(self.blame.edge_of(operation), []).append(calls)
        found: list[Judgement] = []
        for key, rows in groups.items():
            at = np.sort(np.concatenate(rows))
            sample = self.samples.add(key, window, spans.take(at), waits.take(at))
            if sample is not None:
                found += self._sample(key, sample)
        return found

    def _sample(self, key: Key, sample: Sample) -> list[Judgement]:
        row, figures = self.histories.row(key), sample.figures()
        suspected = suspicions(sample, figures, self.histories, row, edge=key.watched is Watched.EDGE)
        found = []
        for one in suspected:
            if one.kind is Kind.ERRORS:
                one = self._run_of(key, one, figures, sample.window, sample.windows)
            if self._confirmed(key, one, sample.window, sample.windows):
                told = points(self.histories, row, one.column, figures, sample.window, self.timing.window_ns)
                found.append(self.blame.judgement(key, row, one, sample, tuple(told)))
        self._learn(key, sample.window, figures, suspected, found)
        return found

    def _lacks(self, one: Missing, seen: Seen) -> Judgement | None:
        one = one._replace(suspicion=self._run_of(one.key, one.suspicion, one.figures, seen.window, 1))
        confirmed = self._confirmed(one.key, one.suspicion, seen.window, 1)
        told = self.paths.missing_points(one, seen.window) if confirmed else ()
        found = [self.blame.missing(one, seen, told)] if confirmed else []
        self._learn(one.key, seen.window, one.figures, [one.suspicion], found)
        return found[0] if found else None

    def _run_of(self, key: Key, one: Suspicion, figures: Figures, window: int, windows: int) -> Suspicion:
        """Judge the failures of windows that are suspicious one after another together, where that says more."""
        before, trials, failed, length = self.runs.get(key, (-1, 0, 0, 0))
        if before < window - windows or length >= RUN_WINDOWS_MAX:
            trials = failed = length = 0
        trials, failed = trials + figures.trials, failed + figures.failures
        self.runs[key] = (window, trials, failed, length + 1)
        both = failures(trials, failed, self.histories, self.histories.row(key), one.kind) if length else None
        return both if both is not None and both.score > one.score else one

    def _confirmed(self, key: Key, one: Suspicion, window: int, windows: int) -> bool:
        """Tell whether a suspicion is massive, or with those right before it sure enough; remembers it."""
        if one.weak:
            return False
        vote = (key, str(one.kind))
        before, total = self.votes.get(vote, (-1, 0.0))
        follows = before >= 0 and before >= window - max(windows, 1)
        total = one.score + (total if follows else 0.0)
        self.votes[vote] = (window, total)
        return one.massive or (follows and total >= RUN_SCORE_MIN)

    def _learn(
        self, key: Key, window: int, figures: Figures, suspected: list[Suspicion], found: list[Judgement]
    ) -> None:
        """Learn a window that is normal or has become so; hold one that is suspicious until the next one tells."""
        row = self.histories.row(key)
        held = self.held.pop(key, None)
        if not suspected:
            if held is not None:
                self.histories.append(row, *held)
            self.histories.append(row, window, figures)
        elif found and all((str(one.kind), one.service, one.subject) in self.settled for one in found):
            self.histories.append(row, window, figures)
        elif not found:
            self.held[key] = (window, figures)

    def _forget_before(self, window: int) -> None:
        self.votes = {key: at for key, at in self.votes.items() if at[0] >= window}
        self.runs = {key: run for key, run in self.runs.items() if run[0] >= window}
        self.held = {key: held for key, held in self.held.items() if held[0] >= window}
        self.volume_votes = {operation: at for operation, at in self.volume_votes.items() if at >= window}

    # -- volume ---------------------------------------------------------------------------------------------------

    def _volume(self, window: int, counts: Ints) -> list[Judgement]:
        names = self.operations.names
        start_ns = window * self.timing.window_ns
        settled = {
            number
            for number, operation in enumerate(names)
            if (str(Kind.THROUGHPUT), operation.service, operation.name) in self.settled
        }
        begun = np.full(len(names), start_ns, np.int64)
        counts = np.concatenate([counts, np.zeros(len(names) - len(counts), np.int64)])
        changed = self.volumes.close(window, counts, begun, self.paths.parent_of, settled)
        found = []
        for one in changed:
            before = self.volume_votes.get(one.operation)
            self.volume_votes[one.operation] = window
            if before == window - 1 and (one.spans > one.mean or self._has_company(one, start_ns)):
                found.append(self._throughput(one, window))
        return [one for one in found if self._watches(one.service, start_ns)]

    def _has_company(self, one: Changed, start_ns: int) -> bool:
        """Tell whether another service still sends spans: where all are silent, it is the telemetry that stopped."""
        own = self.operations.names[one.operation].service
        since = start_ns - COMPANY_WINDOWS * self.timing.window_ns
        return any(other.newest_ns >= since for name, other in self.services.items() if name != own)

    def _throughput(self, one: Changed, window: int) -> Judgement:
        width = self.timing.window_ns
        service, name = self.operations.names[one.operation]
        told = self.volumes.points(one.operation, width)
        return Judgement(
            Kind.THROUGHPUT,
            service,
            name,
            one.score,
            (window - 1) * width,
            (window + 1) * width,
            float(one.spans),
            one.mean,
            one.low,
            one.high,
            "spans",
            one.spans,
            one.spans,
            measure="surge" if one.spans > one.mean else "drop",
            exemplars=self.blame.exemplars_of(one.operation, [part for _, part in self.recent]),
            points=tuple(told),
            learned_from_ns=self.services[service].first_ns if service in self.services else 0,
            learned_windows=int(self.volumes.bank.windows[one.operation]),
        )

    # -- learning -------------------------------------------------------------------------------------------------

    def _watches(self, service: str, time_ns: int) -> bool:
        known = self.services.get(service)
        if known is None or known.spans < SPANS_LEARNED_MIN:
            return False
        return time_ns - known.first_ns >= self.timing.warmup_ns

    def watched(self, service: str) -> bool:
        """Tell whether a service's spans are judged by now."""
        known = self.services.get(service)
        return known is not None and self._watches(service, known.newest_ns)

    def learning(self) -> list[LearningState]:
        """Tell, for each service, how far learning has come."""
        return [
            LearningState(
                name,
                "watching" if self.watched(name) else "warming",
                (one.newest_ns - one.first_ns) / 1e9,
                self.timing.warmup_ns / 1e9,
                one.spans,
            )
            for name, one in sorted(self.services.items())
        ]


def _renumbered(spans: Spans, numbers: Ints) -> Spans:
    return spans._replace(operation=numbers[spans.operation])


def _nothing() -> Spans:
    empty = np.empty(0, np.int64)
    ids = np.empty(0, np.uint64)
    return Spans(empty, empty, empty, empty, ids, ids, np.empty((0, 2), np.uint64), np.empty(0, bool))
