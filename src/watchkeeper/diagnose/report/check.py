"""Holds a report's claims against the evidence: what cites nothing, or what does not exist, does not leave the house.

Enters: lines and the ids of evidence that exist. Leaves: the lines that stand, and those dropped. Checks that evidence
is named and there, and that the nodes a claim speaks of are known; whether it convinces is the ranker's matter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from watchkeeper.diagnose.base import Ranking
from watchkeeper.diagnose.report.document import Line, Section
from watchkeeper.diagnose.window import IncidentWindow
from watchkeeper.signals.finding import Finding

NEEDS_EVIDENCE = frozenset({"cause", "path", "ruled_out", "category"})


class Checked(NamedTuple):
    """What stands, and what was dropped for want of evidence."""

    sections: tuple[Section, ...]
    dropped: tuple[Line, ...]


def evidence_ids(window: IncidentWindow, ranking: Ranking, findings: Iterable[Finding] = ()) -> frozenset[str]:
    """Give the ids that may be cited: findings, changes, and the proofs of the ranking."""
    proofs = (proof for cause in ranking.causes for proof in (*cause.evidence_for, *cause.evidence_against))
    return frozenset(
        {proof.id for proof in proofs}
        | {finding.id for finding in (*window.findings, *findings)}
        | {change.id for change in window.changes}
    ) - {""}


def unsupported(line: Line, known: Collection[str]) -> str:
    """Give why a line may not stand, "" when it may."""
    missing = [each for each in line.cites if each not in known]
    if missing:
        return f"cites evidence that does not exist: {', '.join(missing)}"
    if line.about in NEEDS_EVIDENCE and not line.cites:
        return "claims something about the cause without evidence"
    return ""


def checked(sections: Sequence[Section], known: Collection[str]) -> Checked:
    """Drop the lines that are unsupported, and sections that have none left."""
    kept, dropped = [], []
    for section in sections:
        lines = tuple(line for line in section.lines if not unsupported(line, known))
        dropped += [line for line in section.lines if unsupported(line, known)]
        if lines:
            kept.append(Section(section.heading, lines, section.listed))
    return Checked(tuple(kept), tuple(dropped))


def require(sections: Sequence[Section], known: Collection[str]) -> None:
    """Raise ValueError at the first unsupported line."""
    for section in sections:
        for line in section.lines:
            if why := unsupported(line, known):
                raise ValueError(f"{section.heading}: {line.text!r} {why}")
