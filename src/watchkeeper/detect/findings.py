"""The findings that are open: one for each kind, service and subject, with its count, until it has been quiet.

Enters: judgements, and lines of subjects that are open. Leaves: findings that opened, changed or closed. What goes on
for longer than SETTLE_S is taken as the new normal: its finding closes and its subject stays unsaid until it has been
quiet. Holds no log lines but the examples of open findings.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from watchkeeper.detect import wording
from watchkeeper.detect.judgement import SUBJECTS, Judgement, Kind
from watchkeeper.detect.parts import Timing
from watchkeeper.detect.service import EXAMPLES_MAX
from watchkeeper.signals.entity import Entity
from watchkeeper.signals.finding import (
    Band,
    Baseline,
    Evidence,
    Finding,
    FindingSeverity,
    FindingState,
    finding_from_dict,
    finding_id,
)

SETTLE_S = 1800.0
OPEN_MAX = 500
UNSEEN_SINGLE_MAX = 8
WINDOWS_REMEMBERED_MAX = 256
MANY = "many"
TOO_MANY = frozenset({Kind.RATE, Kind.ERRORS, Kind.BURST})

_RANK = {FindingSeverity.INFO: 0, FindingSeverity.WARNING: 1, FindingSeverity.CRITICAL: 2}

Key = tuple[str, str, str]


@dataclass(slots=True)
class OpenFinding:
    """A finding and what it still gathers. windows: lines of each anomalous window. index: of its series."""

    finding: Finding
    index: int
    windows: dict[int, int] = field(default_factory=dict)
    older: int = 0
    settled: bool = False

    def count_window(self, window: int, lines: int) -> None:
        """Set the lines of one window."""
        self.windows[window] = lines
        if len(self.windows) > WINDOWS_REMEMBERED_MAX:
            self.older += self.windows.pop(min(self.windows))

    def total(self) -> int:
        """Give the lines of all its windows."""
        return self.older + sum(self.windows.values())


class OpenFindings:
    """See the module. close_s: quiet seconds of event time after which a finding closes.

    protected: kind, service and subject of what people confirmed as anomalous, which never becomes the new normal.
    """

    def __init__(self, timing: Timing, close_s: float) -> None:
        self._timing = timing
        self._close_ns = int(close_s * 1e9)
        self._open: OrderedDict[Key, OpenFinding] = OrderedDict()
        self.protected: frozenset[Key] = frozenset()

    def __len__(self) -> int:
        return sum(not one.settled for one in self._open.values())

    def is_new_template(self, service: str, template_id: int | None) -> bool:
        """Tell whether the template's first appearance in the service is an open finding."""
        return (str(Kind.UNSEEN), service, str(template_id)) in self._open

    def templates_of_interest(self, service: str) -> set[int]:
        """Give the templates of a service whose further lines belong to an open finding."""
        return {
            one.finding.template_id
            for (kind, owner, _), one in self._open.items()
            if owner == service and kind == Kind.UNSEEN and one.finding.template_id is not None
        }

    def settled_series(self, service: str) -> set[int]:
        """Give the series of a service that have been anomalous for so long that they are learned as normal."""
        return {one.index for (_, owner, _), one in self._open.items() if owner == service and one.settled}

    def judge(
        self, judgement: Judgement, service: str, template: str, examples: list[Evidence], points: Points
    ) -> Finding | None:
        """Open a finding or add to the one that is open; None when its subject is settled."""
        key = self._key(judgement, service)
        known = self._open.get(key)
        if known is None:
            known = self._open[key] = OpenFinding(self._new(key, judgement, service, template), judgement.series)
        if known.settled:
            known.finding = replace(known.finding, last_unix_ns=max(known.finding.last_unix_ns, judgement.last_ns))
            return None
        for window, lines in judgement.each or ((len(known.windows), judgement.lines),):
            known.count_window(window, lines)
        known.finding = self._merged(known, judgement, template, service, examples, points)
        return known.finding

    def touch(
        self, service: str, template_id: int, lines: int, last_ns: int, examples: list[Evidence]
    ) -> Finding | None:
        """Count further lines of a template whose first lines opened a finding; None when there is none."""
        known = self._open.get((Kind.UNSEEN, service, str(template_id)))
        if known is None:
            return None
        finding = known.finding
        last = max(finding.last_unix_ns, last_ns)
        if known.settled:
            known.finding = replace(finding, last_unix_ns=last)
            return None
        count = finding.count + lines
        known.older += lines
        known.finding = replace(
            finding,
            count=count,
            last_unix_ns=last,
            seen=replace(finding.seen, text=f"{count:,} lines", low=float(count), high=float(count)),
            evidence=_with_examples(finding.evidence, examples),
        )
        return known.finding

    def sweep(self, service: str, now_ns: int) -> list[Finding]:
        """Close what has been quiet, and settle what has gone on for long, by the service's event time."""
        closed = []
        for key, one in list(self._open.items()):
            if key[1] != service:
                continue
            finding = one.finding
            quiet = now_ns - finding.last_unix_ns >= self._close_ns
            long = finding.last_unix_ns - finding.first_unix_ns >= SETTLE_S * 1e9 and key not in self.protected
            if not one.settled and (quiet or long):
                one.finding = replace(finding, state=FindingState.CLOSED)
                one.settled = True
                closed.append(one.finding)
            if quiet:
                del self._open[key]
        return closed

    def trim(self) -> list[Finding]:
        """Close the oldest when there are too many."""
        closed = []
        while len(self._open) > OPEN_MAX:
            _, one = self._open.popitem(last=False)
            if not one.settled:
                closed.append(replace(one.finding, state=FindingState.CLOSED))
        return closed

    def _key(self, judgement: Judgement, service: str) -> Key:
        key = (str(judgement.kind), service, judgement.subject)
        if judgement.kind is not Kind.UNSEEN or key in self._open:
            return key
        singles = sum(kind == Kind.UNSEEN and owner == service for kind, owner, _ in self._open)
        return key if singles < UNSEEN_SINGLE_MAX else (str(judgement.kind), service, MANY)

    def _new(self, key: Key, judgement: Judgement, service: str, template: str) -> Finding:
        entity = Entity(service=service).key
        many = key[2] == MANY
        return Finding(
            id=finding_id(judgement.kind, entity, key[2], judgement.first_ns),
            kind=str(judgement.kind),
            signal="logs",
            service=service,
            entity=entity,
            subject=key[2],
            title=f"{service} logs many things it never logged before" if many else "",
            why="",
            severity=FindingSeverity.INFO,
            score=0.0,
            count=0,
            first_unix_ns=judgement.first_ns,
            last_unix_ns=judgement.last_ns,
            expected=wording.expected(judgement, self._timing),
            seen=wording.seen(judgement, 0, 0, self._timing),
            baseline=Baseline(
                judgement.learned_from_ns, judgement.first_ns, judgement.windows, judgement.learned_lines
            ),
            template_id=None if many else judgement.template_id,
            template="" if many else template,
            detected_unix_ns=judgement.last_ns,
        )

    def _merged(
        self,
        known: OpenFinding,
        judgement: Judgement,
        template: str,
        service: str,
        examples: list[Evidence],
        points: Points,
    ) -> Finding:
        finding, count = known.finding, known.total()
        peak = max(known.windows.values(), default=0)
        told = finding
        if judgement.score >= finding.score:
            many = finding.subject == MANY
            told = replace(
                finding,
                title=finding.title if many else wording.title(judgement, service, template),
                why=wording.why(judgement, self._timing),
                expected=wording.expected(judgement, self._timing),
                seen=wording.seen(judgement, count, peak, self._timing),
                score=round(judgement.score, 3),
            )
        what = SUBJECTS.get(judgement.kind, "lines")
        worst = max((finding.severity, wording.severity_of(judgement)), key=lambda one: _RANK[one])
        return replace(
            told,
            severity=worst,
            count=count,
            last_unix_ns=max(finding.last_unix_ns, judgement.last_ns),
            seen=self._seen(told, judgement, count, peak),
            evidence=_with_series(_with_examples(finding.evidence, examples), what, points, self._timing),
        )

    def _seen(self, told: Finding, judgement: Judgement, count: int, peak: int) -> Band:
        """Give what was seen: for too many lines, in the words of the judgement that `expected` is from."""
        now = wording.seen(judgement, count, peak, self._timing)
        return replace(now, text=told.seen.text) if judgement.kind in TOO_MANY else now

    def close_all(self) -> list[Finding]:
        """Close everything at once, and forget what has settled."""
        closed = [replace(one.finding, state=FindingState.CLOSED) for one in self._open.values() if not one.settled]
        self._open.clear()
        return closed

    # -- state ----------------------------------------------------------------------------------------------------

    def as_list(self) -> list[dict[str, Any]]:
        """Give plain data to save."""
        return [
            {
                "finding": one.finding.as_dict(),
                "index": one.index,
                "windows": list(one.windows.items()),
                "older": one.older,
                "settled": one.settled,
            }
            for one in self._open.values()
        ]

    def take(self, saved: Iterable[dict[str, Any]]) -> None:
        """Take up what `as_list` gave; raises KeyError, TypeError or ValueError when it does not fit."""
        self._open.clear()
        for item in saved:
            finding = finding_from_dict(item["finding"])
            windows = {int(window): int(lines) for window, lines in item["windows"]}
            self._open[finding.kind, finding.service, finding.subject] = OpenFinding(
                finding, int(item["index"]), windows, int(item["older"]), bool(item["settled"])
            )


Points = list[tuple[int, float]]


def _with_examples(evidence: tuple[Evidence, ...], examples: list[Evidence]) -> tuple[Evidence, ...]:
    lines = [one for one in evidence if one.kind == "line"]
    for example in examples:
        if len(lines) < EXAMPLES_MAX and example not in lines:
            lines.append(example)
    return (*lines, *(one for one in evidence if one.kind != "line"))


def _with_series(evidence: tuple[Evidence, ...], what: str, points: Points, timing: Timing) -> tuple[Evidence, ...]:
    if not points:
        return evidence
    text = f"{what} in windows of {timing.window_s:g} s"
    series = Evidence("series", text, points[-1][0], points=tuple(points))
    return (*(one for one in evidence if one.kind != "series"), series)
