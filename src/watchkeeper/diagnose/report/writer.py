"""Words a diagnosis as a report: summary, impact, timeline, cause, path, what was ruled out, category, similar, steps.

Enters: an incident with its findings, window, ranking, classification and similar past incidents. Leaves: a Report in
Markdown and HTML. Sentences come from templates; those about a cause cite evidence, and `check` drops the ones that
cannot. When the ranking abstains the report says so, and what is missing.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from watchkeeper.diagnose.base import Category, Cause, Classification, Ranking
from watchkeeper.diagnose.incident import Incident
from watchkeeper.diagnose.member import nodes_of
from watchkeeper.diagnose.report.check import checked, evidence_ids
from watchkeeper.diagnose.report.document import Line, Section, Span, line, to_html, to_markdown, told
from watchkeeper.diagnose.report.path import Hop, propagation
from watchkeeper.diagnose.report.steps import STEPS
from watchkeeper.diagnose.similar import Similar
from watchkeeper.diagnose.window import IncidentWindow
from watchkeeper.signals.finding import Finding

CAUSES_MAX = 3
TIMELINE_MAX = 20
EVIDENCE_MAX = 6
_REACHED = {False: ", which depends on it.", True: ", which gets its work from there."}


@dataclass(frozen=True)
class Report:
    """A report. claims: its lines that make a claim. dropped: lines left out, for their evidence is not there.

    hops: the propagation path as (from, to).
    """

    markdown: str
    html: str
    claims: tuple[Line, ...]
    dropped: tuple[Line, ...]
    hops: tuple[Hop, ...]


class MarkdownWriter:
    """A Writer: the report of a window alone."""

    def write(self, window: IncidentWindow, ranking: Ranking, classification: Classification) -> str:
        """Give Markdown."""
        return write_report(None, window.findings, window, ranking, classification).markdown


def write_report(
    incident: Incident | None,
    findings: Sequence[Finding],
    window: IncidentWindow,
    ranking: Ranking,
    classification: Classification,
    similar: Sequence[Similar] = (),
) -> Report:
    """Give the report; `incident` is None for a span of time that a person chose. Cost: small, reads nothing."""
    every = {finding.id: finding for finding in (*window.findings, *findings)}
    ordered = sorted(every.values(), key=lambda finding: (finding.first_unix_ns, finding.id))
    shown = _shown_by_node(ordered)
    leading = None if ranking.abstains or not ranking.causes else ranking.causes[0]
    hops: list[Hop] = []
    if leading is not None:
        affected = {*shown, *(incident.nodes if incident else ()), window.symptom} - {""}
        hops = propagation(window.topology, leading.node, affected)
    sections = [
        Section("Summary", tuple(_summary(incident, ordered, window, ranking, leading, classification)), listed=False),
        Section("Impact", tuple(_impact(incident, window, shown))),
        Section("Timeline", tuple(_timeline(incident, ordered, window))),
        Section("Cause", tuple(_causes(ranking))),
        Section("Propagation", tuple(_path(hops, shown, leading))),
        Section("Ruled out", tuple(_ruled_out(ranking, shown))),
        Section("Category", tuple(_category(classification, ordered, window, leading))),
        Section("Similar past incidents", tuple(_similar(similar))),
        Section("Next steps", tuple(line(step) for step in STEPS[classification.category])),
        Section("What is missing", tuple(line(told(each)) for each in ranking.missing)),
    ]
    title = incident.title if incident else "Diagnosis of a span of time"
    kept = checked([section for section in sections if section.lines], evidence_ids(window, ranking, findings))
    claims = tuple(each for section in kept.sections for each in section.lines if each.about)
    stands = {(each.spans[0].text, each.spans[2].text) for each in claims if each.about == "path"}
    return Report(
        to_markdown(title, kept.sections),
        to_html(title, kept.sections),
        claims,
        kept.dropped,
        tuple(hop for hop in hops if (hop.source, hop.target) in stands),
    )


def _summary(
    incident: Incident | None,
    findings: Sequence[Finding],
    window: IncidentWindow,
    ranking: Ranking,
    leading: Cause | None,
    classification: Classification,
) -> list[Line]:
    state = f" It is {incident.state.value}." if incident else ""
    count = f"{len(findings)} finding{'' if len(findings) == 1 else 's'}"
    lines = [line(f"{count} between {_clock(window.onset_unix_ns)} and {_clock(window.until_unix_ns)}.{state}")]
    if leading is None:
        lines.append(line("No cause is named: the evidence does not single one out.", *_because(ranking.why)))
        return lines
    lines.append(
        line(
            "The likeliest cause is",
            told(leading.node),
            f", with {leading.confidence:.0%} confidence.",
            about="cause",
            cites=_cited(leading),
        )
    )
    if not classification.abstains:
        chance = classification.probabilities.get(classification.category, 0.0)
        lines.append(line(f"Its category is probably {_named(classification.category)} ({chance:.0%})."))
    return lines


def _impact(incident: Incident | None, window: IncidentWindow, shown: dict[str, list[str]]) -> list[Line]:
    lines = []
    if incident and incident.impact:
        lines.append(line(told(incident.impact)))
    if incident:
        lines.append(line(f"Severity: {incident.severity.value}."))
    if window.symptom:
        lines.append(line("Users notice it at", told(window.symptom), ".", cites=shown.get(window.symptom, [])[:2]))
    if shown:
        names = [told(node) for node in list(shown)[:10]]
        lines.append(line(f"{len(shown)} nodes show something:", *_commas(names), "."))
    return lines


def _timeline(incident: Incident | None, findings: Sequence[Finding], window: IncidentWindow) -> list[Line]:
    events: list[tuple[int, Line]] = []
    for finding in findings:
        at = finding.first_unix_ns
        events.append((at, line(f"{_clock(at)}:", told(finding.title), cites=[finding.id])))
    for change in window.changes:
        at = change.time_unix_ns
        what = line(f"{_clock(at)}: a change ({change.kind}):", told(change.title), cites=[change.id])
        events.append((at, what))
    if incident:
        events.extend(
            (entry.time_unix_ns, line(f"{_clock(entry.time_unix_ns)}:", told(entry.text)))
            for entry in incident.timeline
            if entry.kind not in {"finding", "change"}
        )
    events.sort(key=lambda event: event[0])
    lines = [each for _, each in events[:TIMELINE_MAX]]
    if len(events) > TIMELINE_MAX:
        lines.append(line(f"{len(events) - TIMELINE_MAX} more events are not listed."))
    return lines


def _causes(ranking: Ranking) -> list[Line]:
    if ranking.abstains or not ranking.causes:
        return [line("No cause is named.", *_because(ranking.why))]
    lines = []
    for place, cause in enumerate(ranking.causes[:CAUSES_MAX]):
        if place and cause.verdict == "refuted":
            continue
        lead = "Likeliest:" if not place else "Also possible:"
        lines.append(
            line(
                lead,
                told(cause.node),
                f"({cause.confidence:.0%}, {cause.verdict}).",
                *_because(cause.why),
                about="cause",
                cites=_cited(cause),
            )
        )
        for indicator in cause.indicators[:2]:
            cites = [proof.id for proof in cause.evidence_for if indicator.name and indicator.name in proof.text]
            text = ("Within it, the", f"{indicator.kind.value.replace('_', ' ')}", told(indicator.name), "stands out.")
            lines.append(line(*text, about="cause", cites=cites[:2] or _cited(cause)[:1]))
        for lead, proofs in (("For it:", cause.evidence_for), ("Against it:", cause.evidence_against)):
            lines.extend(
                line(lead, told(proof.text), about="cause", cites=[proof.id]) for proof in proofs[:EVIDENCE_MAX]
            )
    return lines


def _path(hops: Sequence[Hop], shown: dict[str, list[str]], leading: Cause | None) -> list[Line]:
    lines = []
    for hop in hops:
        cites = [*shown.get(hop.source, [])[:1], *shown.get(hop.target, [])[:1]]
        if leading is not None and hop.source == leading.node:
            cites = [*_cited(leading)[:1], *cites]
        lines.append(
            line(told(hop.source), "reached", told(hop.target), _REACHED[hop.starves], about="path", cites=cites)
        )
    return lines


def _ruled_out(ranking: Ranking, shown: dict[str, list[str]]) -> list[Line]:
    against = {cause.node: [proof.id for proof in cause.evidence_against] for cause in ranking.causes}
    lines = []
    for node, why in ranking.ruled_out[:10]:
        cites = against.get(node, [])[:2] or shown.get(node, [])[:1]
        if cites:
            lines.append(line(told(node), "is not the cause:", told(why), about="ruled_out", cites=cites))
        else:
            lines.append(line(told(node), "was set aside, for nothing was observed that speaks for it."))
    return lines


def _category(
    classification: Classification, findings: Sequence[Finding], window: IncidentWindow, leading: Cause | None
) -> list[Line]:
    if classification.abstains or classification.category is Category.UNKNOWN:
        return [line("No category is named: what was observed does not speak clearly for one.")]
    likely = sorted(classification.probabilities.items(), key=lambda item: (-item[1], item[0].value))[:3]
    lines = [line(f"{_named(category)}: {chance:.0%}.") for category, chance in likely]
    lines.extend(
        line("Because:", told(why), about="category", cites=_said_by(why, findings, window, leading))
        for why in classification.why[:EVIDENCE_MAX]
    )
    return lines


def _said_by(why: str, findings: Sequence[Finding], window: IncidentWindow, leading: Cause | None) -> list[str]:
    """Give the evidence whose own words a reason repeats, else that which is about a node that the reason names."""
    said = " ".join(why.split())
    words = [(each.id, each.title) for each in findings] + [(each.id, each.template) for each in findings]
    words += [(change.id, change.title) for change in window.changes]
    words += [(proof.id, proof.text) for proof in (leading.evidence_for if leading else ())]
    exact = [identifier for identifier, text in words if text and " ".join(text.split())[:80] in said]
    about = [each.id for each in findings if any(node in said for node in nodes_of(each))]
    about += [proof.id for proof in (leading.evidence_for if leading else ()) if proof.node and proof.node in said]
    return list(dict.fromkeys(exact or about))[:2]


def _similar(similar: Sequence[Similar]) -> list[Line]:
    return [
        line(
            told(each.title),
            f"({each.incident_id}, {each.score:.0%} alike):",
            *_commas([told(why) for why in each.why]),
        )
        for each in similar
    ]


def _shown_by_node(findings: Sequence[Finding]) -> dict[str, list[str]]:
    shown: dict[str, list[str]] = {}
    for finding in findings:
        for node in nodes_of(finding):
            shown.setdefault(node, []).append(finding.id)
    return shown


def _cited(cause: Cause) -> list[str]:
    return [proof.id for proof in cause.evidence_for[:3]]


def _because(why: str) -> tuple[Span, ...]:
    return (told(why),) if why else ()


def _commas(spans: Sequence[Span]) -> list[str | Span]:
    parts: list[str | Span] = []
    for at, span in enumerate(spans):
        parts += [span] if not at else [",", span]
    return parts


def _named(category: Category) -> str:
    return category.value.replace("_", " ")


def _clock(time_unix_ns: int) -> str:
    return datetime.datetime.fromtimestamp(time_unix_ns / 1e9, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
