"""Findings of unlikely lines: one for each service and template, with its count, until it has been quiet.

Enters: explanations of lines that a log model holds to be strange. Leaves: findings that opened, changed or closed. As
with the online detectors' findings, what goes on for longer than SETTLE_S is closed and stays unsaid until it has been
quiet; where a service has many at once they become one. Asks no model.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from math import log10
from typing import NamedTuple

from watchkeeper.detect.findings import MANY, OPEN_MAX, SETTLE_S, UNSEEN_SINGLE_MAX
from watchkeeper.detect.parts import SEVERITY_FATAL, SEVERITY_WARN
from watchkeeper.detect.words import implied_severity
from watchkeeper.learn.explanation import Explanation
from watchkeeper.models.card import Version
from watchkeeper.signals.entity import Entity
from watchkeeper.signals.finding import (
    Band,
    Baseline,
    Evidence,
    Finding,
    FindingSeverity,
    FindingState,
    finding_id,
)

KIND = "unlikely-line"
EXAMPLES_MAX = 5
TITLE_CHARACTERS_MAX = 100


class Unlikely(NamedTuple):
    """Lines of one template that a model holds to be strange. severity: the gravest told, 0 for none."""

    service: str
    template_id: int
    template: str
    version: Version
    explanation: Explanation
    lines: int
    first_unix_ns: int
    last_unix_ns: int
    severity: int = 0
    trace_id: str = ""


class Touched(NamedTuple):
    """What further lines did. is_open: there is a finding for them already. finding: as it is now, None: unsaid."""

    is_open: bool
    finding: Finding | None


@dataclass(slots=True)
class _Open:
    finding: Finding
    settled: bool = False


class OpenLines:
    """The findings that are open. close_s: quiet seconds of event time after which one closes."""

    def __init__(self, close_s: float) -> None:
        self._close_ns = int(close_s * 1e9)
        self._open: OrderedDict[tuple[str, str], _Open] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def take_up(self, findings: list[Finding]) -> None:
        """Go on with findings that an earlier run left open."""
        for finding in findings:
            if finding.kind == KIND and finding.state is FindingState.OPEN:
                self._open[finding.service, finding.subject] = _Open(finding)

    def touch(self, service: str, template_id: int, lines: int, last_unix_ns: int, body: str) -> Touched:
        """Count further lines where their finding is open."""
        one = self._open.get((service, str(template_id)))
        if one is None:
            return Touched(is_open=False, finding=None)
        finding = replace(one.finding, last_unix_ns=max(one.finding.last_unix_ns, last_unix_ns))
        one.finding = finding
        if one.settled:
            return Touched(is_open=True, finding=None)
        one.finding = _more(finding, lines, Evidence("line", body, last_unix_ns))
        return Touched(is_open=True, finding=one.finding)

    def tell(self, unlikely: Unlikely) -> Finding | None:
        """Open a finding, or add to the one that stands for many of the service; None when that one is settled."""
        service = unlikely.service
        singles = sum(owner == service and subject != MANY for owner, subject in self._open)
        if singles < UNSEEN_SINGLE_MAX:
            subject = str(unlikely.template_id)
        else:
            subject = MANY
            one = self._open.get((service, MANY))
            if one is not None:
                one.finding = replace(one.finding, last_unix_ns=max(one.finding.last_unix_ns, unlikely.last_unix_ns))
                if one.settled:
                    return None
                one.finding = _more(one.finding, unlikely.lines, _line(unlikely))
                return one.finding
        finding = _finding(unlikely, subject)
        self._open[service, subject] = _Open(finding)
        return finding

    def sweep(self, now_unix_ns: int) -> list[Finding]:
        """Close what has been quiet, what has gone on for long, and the oldest where there are too many."""
        closed = []
        for key, one in list(self._open.items()):
            finding = one.finding
            quiet = now_unix_ns - finding.last_unix_ns >= self._close_ns
            long = finding.last_unix_ns - finding.first_unix_ns >= SETTLE_S * 1e9
            if not one.settled and (quiet or long):
                one.settled = True
                one.finding = replace(finding, state=FindingState.CLOSED)
                closed.append(one.finding)
            if quiet:
                del self._open[key]
        while len(self._open) > OPEN_MAX:
            _, one = self._open.popitem(last=False)
            if not one.settled:
                closed.append(replace(one.finding, state=FindingState.CLOSED))
        return closed


def _finding(unlikely: Unlikely, subject: str) -> Finding:
    told, version, many = unlikely.explanation, unlikely.version, subject == MANY
    entity = Entity(service=unlikely.service).key
    value = told.score if told.measure == "share" else told.chance
    trained = version.card.trained_on
    nearest = told.neighbours[0] if told.neighbours else None
    return Finding(
        id=finding_id(KIND, entity, subject, unlikely.first_unix_ns),
        kind=KIND,
        signal="logs",
        service=unlikely.service,
        entity=entity,
        subject=subject,
        title=_title(unlikely, many=many),
        why=_why(unlikely, value),
        severity=_severity(unlikely),
        score=round(-log10(max(told.chance, 1e-12)), 3),
        count=unlikely.lines,
        first_unix_ns=unlikely.first_unix_ns,
        last_unix_ns=unlikely.last_unix_ns,
        expected=Band(f"{_MEASURES[told.measure]} of {told.threshold:.4g} or more", told.threshold, 1.0, told.measure),
        seen=Band(f"{_MEASURES[told.measure]} of {value:.4g}", value, value, told.measure),
        baseline=Baseline(
            int(trained.get("from_unix_ns", 0)), int(trained.get("until_unix_ns", 0)), 0, int(trained.get("lines", 0))
        ),
        template_id=None if many else unlikely.template_id,
        template="" if many else unlikely.template,
        evidence=(_line(unlikely),),
        detected_unix_ns=unlikely.last_unix_ns,
        attributes={
            "model": version.name,
            "model_version": version.number,
            "masked": told.masked,
            "score": told.score,
            "chance": told.chance,
            "measure": told.measure,
            "threshold": told.threshold,
            "strangers": list(told.strangers),
            "nearest": nearest.line if nearest else "",
            "likeness": nearest.likeness if nearest else 0.0,
        },
    )


_MEASURES = {"share": "a share of its words foretold", "chance": "a mean chance of its words"}


def _why(unlikely: Unlikely, value: float) -> str:
    told, version = unlikely.explanation, unlikely.version
    learned = int(version.card.trained_on.get("lines", 0))
    strangers = ", ".join(f"“{each}”" for each in told.strangers)
    near = (
        f" The nearest line it knows is “{_short(told.neighbours[0].line)}”, {told.neighbours[0].likeness:.0%} alike."
        if told.neighbours
        else ""
    )
    borne_out = "it was set by hand" if told.bound >= 1.0 else f"{told.bound:.1%} of new normal lines are below it"
    return (
        f"Version {version.number} of the model {version.name} learned {learned:,} "
        f"lines and none of this form. With one word hidden at a time it foretells {told.score:.0%} of the words "
        f"among its best 50 guesses; {_MEASURES[told.measure]} is {value:.4g}, and {told.threshold:.4g} is the least "
        f"that is not told: {borne_out}. Least likely: {strangers}.{near}"
    )


def _title(unlikely: Unlikely, *, many: bool) -> str:
    who = unlikely.service or "a service without a name"
    if many:
        return f"{who} logs many lines that its model holds to be unlikely"
    return f"{who} logs an unlikely line: “{_short(unlikely.template or unlikely.explanation.masked)}”"


def _severity(unlikely: Unlikely) -> FindingSeverity:
    severity = unlikely.severity or implied_severity(unlikely.template or unlikely.explanation.masked)
    if severity >= SEVERITY_FATAL:
        return FindingSeverity.CRITICAL
    return FindingSeverity.WARNING if severity >= SEVERITY_WARN else FindingSeverity.INFO


def _line(unlikely: Unlikely) -> Evidence:
    return Evidence("line", unlikely.explanation.line, unlikely.first_unix_ns, unlikely.trace_id)


def _more(finding: Finding, lines: int, example: Evidence) -> Finding:
    known = any(each.text == example.text for each in finding.evidence)
    wanted = not known and len(finding.evidence) < EXAMPLES_MAX
    evidence = (*finding.evidence, example) if wanted else finding.evidence
    return replace(finding, count=finding.count + lines, evidence=evidence)


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= TITLE_CHARACTERS_MAX else one_line[: TITLE_CHARACTERS_MAX - 1] + "…"
