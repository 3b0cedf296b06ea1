"""The log detector: batches of logs with their template ids in, findings out.

Splits a batch by service and lets each service's watch (service.py) judge and learn its part; keeps the findings that
are open (findings.py) and writes their evidence. Event time rules: each service has its own, so that an old log can be
replayed beside a live one. A line that claims to be from the future is taken as received. Does no
I/O but save and load.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from watchkeeper.detect import state
from watchkeeper.detect.base import LearningState
from watchkeeper.detect.findings import OpenFindings, Points
from watchkeeper.detect.judgement import Judgement, Kind
from watchkeeper.detect.likeness import Likeness
from watchkeeper.detect.parameters import ParameterWatch
from watchkeeper.detect.parts import About, Part, Timing, Touched, grade
from watchkeeper.detect.protection import Confirmed
from watchkeeper.detect.service import UNSEEN_SCORE_MIN, ServiceWatch
from watchkeeper.detect.words import implied_severity
from watchkeeper.signals.finding import Evidence, Finding

SERVICES_MAX = 1_000
FUTURE_MAX_NS = 300_000_000_000
OUT_OF_STEP_NS = 600_000_000_000
EXAMPLE_CHARACTERS_MAX = 2_000
SILENCE_COMPANY_WINDOWS = 3

Ints = npt.NDArray[np.int64]


class KnownLine(NamedTuple):
    """What a service taught of a template. windows: learned from; expected, upper: lines in a window; state: of it."""

    service: str
    first_ns: int
    last_ns: int
    lines: int
    windows: int
    expected: float
    upper: float
    state: str


class LogDetector:
    """Watches logs; see detect/base.py for the interface.

    template_text: gives a template's text by its id, "" when it is not known. warmup_s: event time of a service that is
    only learned from. window_s: length of the windows in which lines are counted. close_s: quiet time after which a
    finding closes. parameters: gives what stands at each `<*>` of a line; without it values are not watched. Cost:
    about 0.3 microseconds a line in batches of thousands, and that of `parameters` for the few lines sampled.
    """

    def __init__(
        self,
        template_text: Callable[[int], str],
        *,
        warmup_s: float = 600.0,
        window_s: float = 10.0,
        close_s: float = 120.0,
        services_max: int = SERVICES_MAX,
        parameters: Callable[[str], list[str]] | None = None,
    ) -> None:
        self._template_text = template_text
        self._timing = Timing(warmup_s, window_s)
        self._services_max = services_max
        self._watches: OrderedDict[str, ServiceWatch] = OrderedDict()
        self._findings = OpenFindings(self._timing, close_s)
        self._likeness = Likeness(template_text)
        self._newest_ns = 0
        self._confirmed: dict[str, dict[int, float]] = {}
        self._parameters = ParameterWatch(parameters, self._timing) if parameters else None

    def score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """Give each row's score (n,), >= 0, higher = more anomalous; 0 while its service warms up. Changes nothing.

        The score is -log10 of how likely the line is by what is known of its service now, plus what its severity adds
        when its template was never seen, less the share that a known template as grave says in like words.
        """
        scores = np.zeros(batch.num_rows)
        for service, part in _parts(batch):
            watch = self._watches.get(service)
            if watch is not None:
                scores[part.rows] = watch.score(part, self._about(watch))
        return scores

    def learn(self, batch: pa.RecordBatch) -> list[Finding]:
        """Take the batch in and give the findings that it opened, changed or closed; each once, as it is now."""
        changed: dict[str, Finding] = {}
        for service, part in _parts(batch):
            watch = self._watch(service, int(part.times[0]))
            interest = self._findings.templates_of_interest(service)
            said = watch.learn(part, interest | watch.confirmed.keys(), self._about(watch))
            for template in said.met:
                self._likeness.add(template)
            self._newest_ns = max(self._newest_ns, watch.newest_ns)
            watch.behind_ns = self._newest_ns - watch.newest_ns
            for one in said.touched:
                lines = _examples(batch, one.rows)
                _note(changed, self._findings.touch(service, one.template_id, one.lines, one.last_ns, lines))
            self._tell(changed, watch, said.judgements, batch)
            self._tell(changed, watch, self._again(watch, said.touched), batch)
            if self._parameters is not None:
                self._tell(changed, watch, self._parameters.take(service, part, batch.column("body")), batch)
            self._sweep(changed, watch, watch.newest_ns)
        for finding in self._findings.trim():
            _note(changed, finding)
        return list(changed.values())

    def flush(self, now_unix_ns: int) -> list[Finding]:
        """Close the windows that ended before `now_unix_ns` (event time), and give the findings this changed."""
        changed: dict[str, Finding] = {}
        for watch in self._watches.values():
            now_ns = now_unix_ns - (watch.behind_ns if watch.behind_ns > OUT_OF_STEP_NS else 0)
            if now_ns <= watch.newest_ns:
                continue
            self._tell(changed, watch, watch.close_until(now_ns), None)
            self._sweep(changed, watch, now_ns)
        return list(changed.values())

    def learning(self) -> list[LearningState]:
        """Tell, for each service, how far learning has come."""
        return [watch.learning() for _, watch in sorted(self._watches.items())]

    @property
    def late_lines(self) -> int:
        """Give how many lines came too late to be counted in their window."""
        return sum(watch.late_lines for watch in self._watches.values())

    def save(self, folder: Path) -> None:
        """Write the state to `logs.json` and `logs.npz` in the folder, which is made when missing."""
        parameters = self._parameters.as_list() if self._parameters else []
        state.save(folder, list(self._watches.values()), self._findings.as_list(), parameters, self._newest_ns)

    def load(self, folder: Path) -> None:
        """Take up what `save` wrote in place of what is known; raises StoreError when it is damaged or newer."""
        saved = state.load(folder, self._timing, self._findings, self._parameters)
        self._watches = OrderedDict((watch.name, watch) for watch in saved.watches)
        for watch in saved.watches:
            watch.confirmed = self._confirmed.get(watch.name, {})
        self._newest_ns = saved.newest_ns
        self._likeness = Likeness(self._template_text)
        for template in sorted({template for watch in saved.watches for template in watch.ids}):
            self._likeness.add(template)

    def take_over(self, previous: Self) -> list[Finding]:
        """Go on where `previous` is; see detect/base.py."""
        closed = previous._findings.close_all()
        self._findings.close_all()
        self._newest_ns = max(self._newest_ns, previous._newest_ns)
        for watch in self._watches.values():
            other = previous._watches.get(watch.name)
            watch.skip_to(other.newest_ns if other else self._newest_ns)
            watch.behind_ns = self._newest_ns - watch.newest_ns
        return closed

    def protect(self, confirmed: Sequence[Confirmed]) -> None:
        """Never learn these as normal; see detect/protection.py. A confirmed form is told whenever it comes again."""
        own = [one for one in confirmed if one.kind.startswith("log.")]
        self._findings.protected = frozenset((one.kind, one.service, one.subject) for one in own)
        templates: dict[str, dict[int, float]] = {}
        for one in own:
            if one.kind == Kind.UNSEEN and one.template_id is not None:
                templates.setdefault(one.service, {})[one.template_id] = max(one.score, UNSEEN_SCORE_MIN)
        self._confirmed = templates
        for watch in self._watches.values():
            watch.confirmed = templates.get(watch.name, {})

    def _again(self, watch: ServiceWatch, touched: Sequence[Touched]) -> list[Judgement]:
        """Judge the confirmed templates among these that no finding is open of."""
        known = partial(self._findings.is_new_template, watch.name)
        told = [watch.again(one) for one in touched if one.template_id in watch.confirmed]
        return [one for one in told if one is not None and not known(one.template_id)]

    def known(self, template: int) -> list[KnownLine]:
        """Tell what each service that has logged a template taught of it, most lines first."""
        found = []
        for watch in self._watches.values():
            index = watch.ids.get(template)
            if index is not None:
                bank = watch.bank
                rate = (float(bank.expected(index)), float(bank.upper(index)))
                seen = (int(bank.first_ns[index]), int(bank.last_ns[index]), int(bank.lines[index]))
                found.append(KnownLine(watch.name, *seen, int(bank.windows[index]), *rate, watch.learning().state))
        return sorted(found, key=lambda one: (-one.lines, one.service))

    def surprise(self, service: str, template: int) -> float | None:
        """Give what a template would score in a service if it came now for the first time.

        >= 0, higher = more anomalous; from UNSEEN_SCORE_MIN on it is told. None while the service is only learned from.
        """
        watch = self._watches.get(service)
        if watch is None or not watch.watches(watch.newest_ns, watch.lines):
            return None
        return watch.surprise(template, self._about(watch))

    def _watch(self, service: str, first_ns: int) -> ServiceWatch:
        watch = self._watches.get(service)
        if watch is None:
            watch = self._watches[service] = ServiceWatch(service, first_ns, self._timing)
            watch.confirmed = self._confirmed.get(service, {})
            while len(self._watches) > self._services_max:
                self._watches.popitem(last=False)
        self._watches.move_to_end(service)
        return watch

    def _sweep(self, changed: dict[str, Finding], watch: ServiceWatch, now_ns: int) -> None:
        for finding in self._findings.sweep(watch.name, now_ns):
            _note(changed, finding)
        watch.settled = self._findings.settled_series(watch.name)

    def _tell(
        self,
        changed: dict[str, Finding],
        watch: ServiceWatch,
        judgements: list[Judgement],
        batch: pa.RecordBatch | None,
    ) -> None:
        for judgement in judgements:
            if judgement.kind is Kind.SILENT and not self._has_company(watch, judgement.last_ns):
                continue
            if judgement.kind is Kind.RATE and self._findings.is_new_template(watch.name, judgement.template_id):
                continue
            examples = _examples(batch, judgement.rows) if batch is not None else []
            text = self._template_text(judgement.template_id) if judgement.template_id is not None else ""
            points = self._points(watch, judgement)
            _note(changed, self._findings.judge(judgement, watch.name, text, examples, points))

    def _about(self, watch: ServiceWatch) -> About:
        return About(partial(self._known_elsewhere, watch), self._implied_severity, partial(self._alike, watch, {}))

    def _known_elsewhere(self, own: ServiceWatch, template: int) -> bool:
        return any(template in watch.ids for watch in self._watches.values() if watch is not own)

    def _implied_severity(self, template: int) -> int:
        return implied_severity(self._template_text(template))

    def _alike(self, own: ServiceWatch, before: dict[tuple[int, int], float], template: int, told: int) -> float:
        """Give About.alike; `before` keeps the answers for the lines of one batch."""
        if (template, told) not in before:
            severity = own.severity_of if told else self._implied_severity
            least = grade(told or self._implied_severity(template))
            before[template, told] = self._likeness.nearest(
                template, lambda known: known in own.ids and grade(severity(known)) >= least
            )
        return before[template, told]

    def _has_company(self, silent: ServiceWatch, now_ns: int) -> bool:
        """Tell whether another service still logs: where all are silent, it is the telemetry that stopped."""
        since = now_ns - SILENCE_COMPANY_WINDOWS * self._timing.window_ns
        return any(watch.newest_ns >= since for watch in self._watches.values() if watch is not silent)

    def _points(self, watch: ServiceWatch, judgement: Judgement) -> Points:
        """Give the subject's counts in the windows before and now."""
        index = judgement.series
        if index < 0 and judgement.template_id is not None:
            index = watch.ids.get(judgement.template_id, -1)
        if index < 0:
            return []
        width = self._timing.window_ns
        points = [(window * width, float(lines)) for window, lines in watch.bank.points(index)]
        for window in sorted(watch.counts):
            counts = watch.counts[window]
            points.append((window * width, float(counts[index]) if index < len(counts) else 0.0))
        return points


def _note(changed: dict[str, Finding], finding: Finding | None) -> None:
    if finding is not None:
        changed[finding.id] = finding


def _parts(batch: pa.RecordBatch) -> list[tuple[str, Part]]:
    """Split a batch by service, in order of first appearance; rows without a template id are left out."""
    if batch.num_rows == 0:
        return []
    ids = batch.column("template_id")
    rows = np.arange(batch.num_rows)
    if ids.null_count:
        rows = np.flatnonzero(ids.is_valid().to_numpy(zero_copy_only=False))
        if not len(rows):
            return []
    templates = _numbers(ids)[rows]
    severities = _numbers(batch.column("severity_number"))[rows]
    times = _times(batch)[rows]
    services, codes = _services(batch.column("service"))
    codes = codes[rows]
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    parts = []
    for begin, end in zip(starts, [*starts[1:], len(order)], strict=True):
        own = order[begin:end]
        parts.append((services[codes[own[0]]], Part(templates[own], times[own], severities[own], rows[own])))
    return sorted(parts, key=lambda part: int(part[1].rows[0]))


def _services(column: pa.Array) -> tuple[list[str], Ints]:
    """Give the names of services and each row's place among them."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    names = [name or "" for name in column.dictionary.to_pylist()] + [""]
    codes = pc.fill_null(column.indices, len(names) - 1).to_numpy(zero_copy_only=False)
    first: dict[str, int] = {}
    same = np.array([first.setdefault(name, place) for place, name in enumerate(names)])
    return names, same[codes]


def _times(batch: pa.RecordBatch) -> Ints:
    """Give event times, none later than FUTURE_MAX_NS after receipt."""
    times = _numbers(batch.column("time_unix_ns"))
    received = _numbers(batch.column("received_unix_ns"))
    ahead = (times > received + FUTURE_MAX_NS) & (received > 0)
    return np.where(ahead, received, times)


def _numbers(column: pa.Array) -> Ints:
    if column.null_count:
        column = pc.fill_null(column, 0)
    return np.asarray(column.to_numpy(zero_copy_only=False), np.int64)


def _examples(batch: pa.RecordBatch, rows: Ints) -> list[Evidence]:
    bodies, traces, times = batch.column("body"), batch.column("trace_id"), batch.column("time_unix_ns")
    return [
        Evidence(
            "line",
            (bodies[row].as_py() or "")[:EXAMPLE_CHARACTERS_MAX],
            times[row].as_py() or 0,
            traces[row].as_py() or "",
        )
        for row in rows.tolist()
    ]
