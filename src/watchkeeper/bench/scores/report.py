"""Scores of a report against the truth and against its own evidence.

Enters: reports, true causes, true chains. Leaves: cause recall and propagation recall (0..1, higher is better), and the
share of claims that nothing supports (0..1, lower is better). A claim is held to more than the writer's own check: the
cited evidence must exist, and be about a node that the claim names; what a report worked out itself counts only when
it is about some node of which the window observed anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from watchkeeper.bench.forms import Claim, Told
from watchkeeper.diagnose.base import Classification, Ranking
from watchkeeper.diagnose.member import nodes_of
from watchkeeper.diagnose.report.document import Line
from watchkeeper.diagnose.report.writer import CAUSES_MAX, Report
from watchkeeper.diagnose.window import IncidentWindow

_EVIDENCE = ("For it", "Against it")


@dataclass(frozen=True)
class Chain:
    """How much of a true chain a report tells: hops told right, hops true, hops told."""

    right: int
    true: int
    told: int

    @property
    def recall(self) -> float:
        """Give the share of the true hops that is told; 1 when there is none to tell."""
        return self.right / self.true if self.true else 1.0

    @property
    def precision(self) -> float:
        """Give the share of the told hops that is true; 1 when none is told."""
        return self.right / self.told if self.told else 1.0


def chain(told: Iterable[tuple[str, str]], true: Iterable[tuple[str, str]]) -> Chain:
    """Hold the hops told, (from, to), against the true ones."""
    ours, theirs = set(told), set(true)
    return Chain(len(ours & theirs), len(theirs), len(ours))


def told_of(report: Report, ranking: Ranking, classification: Classification, window: IncidentWindow) -> Told:
    """Give a report of the product in the form of the harness."""
    named = () if ranking.abstains else tuple(ranking.nodes()[:CAUSES_MAX])
    return Told(
        named,
        tuple((hop.source, hop.target) for hop in report.hops),
        "" if classification.abstains else classification.category.value,
        tuple(claim_of(line, window.nodes) for line in report.claims),
        worked_out(window, ranking),
    )


def claim_of(line: Line, nodes: Collection[str]) -> Claim:
    """Give a line of the product's report as a claim; a line of evidence names no cause."""
    named = tuple(span.text for span in line.spans if span.kind == "told" and span.text in nodes)
    about = "evidence" if line.text.startswith(_EVIDENCE) else line.about
    return Claim(about, line.text, named, line.cites)


def named(claims: Iterable[Claim], truth: Collection[str]) -> bool:
    """Tell whether a true cause is named by a claim about the cause (not only by evidence or as ruled out)."""
    return any(node in truth for claim in claims if claim.about == "cause" for node in claim.nodes)


def worked_out(window: IncidentWindow, ranking: Ranking) -> dict[str, tuple[str, ...]]:
    """Give for each proof of a ranking the nodes that it is about, or that its text names by their ids."""
    about: dict[str, set[str]] = {}
    known = {finding.id: nodes_of(finding) for finding in window.findings}
    for cause in ranking.causes:
        for proof in (*cause.evidence_for, *cause.evidence_against):
            nodes = {node for node in window.nodes if node in proof.text}
            nodes |= (
                {proof.node}
                if proof.node
                else set(known.get(proof.finding_id, () if proof.finding_id else [cause.node]))
            )
            about.setdefault(proof.id, set()).update(nodes)
    return {identifier: tuple(sorted(nodes)) for identifier, nodes in about.items()}


def evidence_nodes(window: IncidentWindow, proofs: Mapping[str, Collection[str]]) -> dict[str, frozenset[str]]:
    """Give for each id of evidence the nodes that it is about: findings, changes, and proofs.

    A proof that is about no observed node counts for nothing; one that ties an observed node to a silent one, for both.
    """
    seen = observed(window)
    about = {identifier: set(nodes) for identifier, nodes in proofs.items() if set(nodes) & seen}
    for finding in window.findings:
        about.setdefault(finding.id, set()).update(nodes_of(finding))
    for change in window.changes:
        about.setdefault(change.id, set()).add(change.node)
    return {identifier: frozenset(nodes) for identifier, nodes in about.items() if nodes}


def observed(window: IncidentWindow) -> frozenset[str]:
    """Give the nodes of which a window holds anything: series, events, waits, findings or changes."""
    nodes = {one.node for one in window.series} | {node for one in window.events for node in (*one.nodes, *one.callers)}
    nodes |= {node for gap in window.gaps for node in (gap.caller, gap.callee)}
    nodes |= {node for finding in window.findings for node in nodes_of(finding)}
    return frozenset(nodes | {change.node for change in window.changes}) - {""}


def unsupported(claims: Iterable[Claim], about: Mapping[str, Collection[str]]) -> list[Claim]:
    """Give the claims that cite nothing, something that does not exist, or nothing about any node that they name."""
    found = []
    for claim in claims:
        known = [about[each] for each in claim.cites if each in about]
        covered = {node for each in known for node in each}
        if not claim.cites or len(known) < len(claim.cites) or (claim.nodes and not set(claim.nodes) & covered):
            found.append(claim)
    return found
