"""What to ask people about first: where one verdict says most about what is told here.

Enters: kept findings and what was judged. Leaves: findings in the order in which a verdict on them is worth most.
Decides nothing about them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from watchkeeper.feedback.entries import Described
from watchkeeper.feedback.ledger import Labelled
from watchkeeper.feedback.policy import SURE, Key, chance_wrong, priors, votes


class Question(NamedTuple):
    """A finding to judge: the latest of those about the same, how many there are, and how many are judged."""

    finding_id: str
    about: int
    judged: int


def questions(findings: Iterable[Described], labels: Sequence[Labelled], *, limit: int = 20) -> list[Question]:
    """Give up to `limit` findings to judge, one for each thing, that of most unsettled findings first.

    A thing is settled when the verdicts on it make it SURE that it is expected, or that it is not; then it comes after
    those that are not, the fewer verdicts a finding it has the sooner. Cost: one pass.
    """
    known = {each.described.finding_id for each in labels}
    groups: dict[Key, list[Described]] = {}
    for each in findings:
        groups.setdefault(each.key, []).append(each)
    said: dict[Key, list[Labelled]] = {}
    for label in labels:
        said.setdefault(label.described.key, []).append(label)
    prior = priors(labels)
    rows = []
    for key, group in groups.items():
        told = said.get(key, [])
        chance = chance_wrong(prior.get(key[0], 0.5), *votes(told))
        open_ones = [each for each in group if each.finding_id not in known]
        if not open_ones:
            continue
        is_settled = bool(told) and not 1.0 - SURE < chance < SURE
        latest = max(open_ones, key=lambda each: (each.last_unix_ns, each.finding_id))
        rows.append((is_settled, -len(group) / (1 + len(told)), Question(latest.finding_id, len(group), len(told))))
    return [row[2] for row in sorted(rows)[:limit]]
