"""Scores of a report against the truth and against its own evidence.

Enters: reports, true causes, true chains. Leaves: cause recall and propagation recall (0..1, higher is better), and the
share of claims that nothing supports (0..1, lower is better). A claim is held to more than the writer's own check: the
cited evidence must exist, and be about a node that the claim names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from watchkeeper.diagnose.base import Ranking
from watchkeeper.diagnose.member import nodes_of
from watchkeeper.diagnose.report.document import Line
from watchkeeper.diagnose.report.path import Hop
from watchkeeper.diagnose.window import IncidentWindow


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


def chain(told: Iterable[Hop], true: Iterable[tuple[str, str]]) -> Chain:
    """Hold the hops told against the true ones."""
    ours, theirs = {(hop.source, hop.target) for hop in told}, set(true)
    return Chain(len(ours & theirs), len(theirs), len(ours))


def named(claims: Iterable[Line], truth: Collection[str]) -> bool:
    """Tell whether a true cause is named by a claim about the cause (not only by evidence or as ruled out)."""
    return any(
        span.kind == "told" and span.text in truth
        for claim in claims
        if claim.about == "cause" and not claim.text.startswith(("For it", "Against it"))
        for span in claim.spans
    )


def evidence_nodes(window: IncidentWindow, ranking: Ranking) -> dict[str, frozenset[str]]:
    """Give for each id of evidence the nodes that it is about, or that its text names by their ids."""
    about: dict[str, set[str]] = {}
    for finding in window.findings:
        about.setdefault(finding.id, set()).update(nodes_of(finding))
    for change in window.changes:
        about.setdefault(change.id, set()).add(change.node)
    for cause in ranking.causes:
        for proof in (*cause.evidence_for, *cause.evidence_against):
            named_nodes = {node for node in window.nodes if node in proof.text}
            about.setdefault(proof.id, set()).update(
                named_nodes | {proof.node or (cause.node if not proof.finding_id else "")}
            )
    return {identifier: frozenset(nodes) for identifier, nodes in about.items()}


def unsupported(claims: Iterable[Line], about: Mapping[str, Collection[str]], nodes: Collection[str]) -> list[Line]:
    """Give the claims that cite nothing, something that does not exist, or nothing about any node that they name."""
    found = []
    for claim in claims:
        names = {span.text for span in claim.spans if span.kind == "told" and span.text in nodes}
        known = [about[each] for each in claim.cites if each in about]
        covered = {node for each in known for node in each}
        if not claim.cites or len(known) < len(claim.cites) or (names and not names & covered):
            found.append(claim)
    return found
