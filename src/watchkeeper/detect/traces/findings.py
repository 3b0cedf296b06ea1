"""The findings on traces that are open: one for each kind, service and subject, until it has been quiet.

Enters: judgements. Leaves: findings that opened, changed or closed. What goes on for longer than SETTLE_S is taken as
the new normal: its finding closes and its subject stays unsaid until it has been quiet. Holds a few exemplars of each.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from watchkeeper.detect.traces import wording
from watchkeeper.detect.traces.judgement import Judgement, Kind
from watchkeeper.signals.entity import Entity
from watchkeeper.signals.finding import (
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
EXEMPLARS_MAX = 8
PATHS_SINGLE_MAX = 5
MANY = "many"

_RANK = {FindingSeverity.INFO: 0, FindingSeverity.WARNING: 1, FindingSeverity.CRITICAL: 2}

Key = tuple[str, str, str]


@dataclass(slots=True)
class OpenFinding:
    """A finding, and whether it has settled."""

    finding: Finding
    settled: bool = False


class OpenTraceFindings:
    """See the module. Words and score are of the worst window, attributes of the newest: blame may move on.

    close_s: quiet seconds of event time after which a finding closes. protected: kind, service and subject of what
    people confirmed as anomalous, which never becomes the new normal.
    """

    def __init__(self, window_s: float, close_s: float) -> None:
        self._window_s = window_s
        self._close_ns = int(close_s * 1e9)
        self._open: OrderedDict[Key, OpenFinding] = OrderedDict()
        self.protected: frozenset[Key] = frozenset()

    def settled(self) -> set[Key]:
        """Give kind, service and subject of what is learned as normal by now."""
        return {key for key, one in self._open.items() if one.settled}

    def judge(self, one: Judgement) -> Finding | None:
        """Open a finding or add to the one that is open; None when its subject is settled."""
        key = self._key(one)
        known = self._open.get(key)
        if known is None:
            known = self._open[key] = OpenFinding(_new(one, key))
        if known.settled:
            last = max(known.finding.last_unix_ns, one.last_ns)
            known.finding = replace(known.finding, last_unix_ns=last)
            return None
        known.finding = self._merged(known.finding, one, many=key[2] == MANY)
        return known.finding

    def sweep(self, now_ns: int) -> list[Finding]:
        """Close what has been quiet, and settle what has gone on for long; the oldest go when there are too many."""
        closed: list[Finding] = []
        for key, one in list(self._open.items()):
            finding = one.finding
            quiet = now_ns - finding.last_unix_ns >= self._close_ns
            long = finding.last_unix_ns - finding.first_unix_ns >= SETTLE_S * 1e9 and key not in self.protected
            if not one.settled and (quiet or long):
                one.finding = replace(finding, state=FindingState.CLOSED)
                one.settled = True
                closed.append(one.finding)
            if quiet:
                del self._open[key]
        while len(self._open) > OPEN_MAX:
            _, one = self._open.popitem(last=False)
            if not one.settled:
                closed.append(replace(one.finding, state=FindingState.CLOSED))
        return closed

    def _key(self, one: Judgement) -> Key:
        key = (str(one.kind), one.service, one.subject)
        if one.kind is not Kind.UNSEEN or key in self._open:
            return key
        singles = sum(kind == key[0] and service == one.service for kind, service, _ in self._open)
        return key if singles < PATHS_SINGLE_MAX else (key[0], one.service, MANY)

    def _merged(self, finding: Finding, one: Judgement, *, many: bool) -> Finding:
        told = finding
        if one.score >= finding.score and not many:
            told = replace(
                finding,
                title=wording.title(one),
                why=wording.why(one),
                expected=wording.expected(one),
                seen=wording.seen(one),
                score=round(one.score, 3),
            )
        worst = max((finding.severity, wording.severity(one)), key=lambda grade: _RANK[grade])
        return replace(
            told,
            severity=worst,
            count=finding.count + one.events,
            last_unix_ns=max(finding.last_unix_ns, one.last_ns),
            evidence=self._evidence(finding.evidence, one),
            attributes=finding.attributes if many else _attributes(one),
        )

    def _evidence(self, before: tuple[Evidence, ...], one: Judgement) -> tuple[Evidence, ...]:
        lines = [each for each in before if each.kind == "line"]
        known = {each.trace_id for each in lines}
        for exemplar in one.exemplars:
            if len(lines) < EXEMPLARS_MAX and exemplar.trace_id not in known:
                lines.append(Evidence("line", exemplar.text, exemplar.time_unix_ns, exemplar.trace_id))
                known.add(exemplar.trace_id)
        series = [each for each in before if each.kind == "series"]
        if one.points:
            text = wording.series_text(one, self._window_s)
            series = [Evidence("series", text, one.points[-1][0], points=one.points)]
        return (*lines, *series)

    def close_all(self) -> list[Finding]:
        """Close everything at once, and forget what has settled."""
        closed = [replace(one.finding, state=FindingState.CLOSED) for one in self._open.values() if not one.settled]
        self._open.clear()
        return closed

    # -- state ----------------------------------------------------------------------------------------------------

    def as_list(self) -> list[dict[str, Any]]:
        """Give plain data to save."""
        return [
            {"key": list(key), "finding": one.finding.as_dict(), "settled": one.settled}
            for key, one in self._open.items()
        ]

    def take(self, saved: Iterable[dict[str, Any]]) -> None:
        """Take up what `as_list` gave; raises KeyError, TypeError or ValueError when it does not fit."""
        self._open.clear()
        for item in saved:
            kind, service, subject = item["key"]
            self._open[kind, service, subject] = OpenFinding(finding_from_dict(item["finding"]), bool(item["settled"]))


def _new(one: Judgement, key: Key) -> Finding:
    entity = Entity(service=one.service).key
    many = key[2] == MANY
    return Finding(
        id=finding_id(one.kind, entity, key[2], one.first_ns),
        kind=str(one.kind),
        signal="spans",
        service=one.service,
        entity=entity,
        subject=key[2],
        title=f"{one.service} makes many calls that it never made before" if many else wording.title(one),
        why=wording.why(one),
        severity=FindingSeverity.INFO,
        score=round(one.score, 3) if many else 0.0,
        count=0,
        first_unix_ns=one.first_ns,
        last_unix_ns=one.last_ns,
        expected=wording.expected(one),
        seen=wording.seen(one),
        baseline=Baseline(one.learned_from_ns, one.first_ns, one.learned_windows, one.learned_spans),
        detected_unix_ns=one.last_ns,
        attributes=_attributes(one),
    )


def _attributes(one: Judgement) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operation": one.operation,
        "caller": one.caller,
        "callee": one.callee,
        "child": one.child,
        "measure": one.measure,
        "explained_by": one.explained_by,
    }
    if one.own_share >= 0:
        told["own_share"] = round(one.own_share, 3)
    return {name: value for name, value in told.items() if value != ""}
