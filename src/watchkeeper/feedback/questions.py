"""What to ask people about first: where one verdict says most about what is told here.

Enters: kept findings and what was judged. Leaves: findings in the order in which a verdict on them is worth most.
Decides nothing about them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from watchkeeper.feedback.entries import Described
from watchkeeper.feedback.ledger import Labelled
from watchkeeper.feedback.policy import MISS_COST, Key, chance_wrong, priors, stands, votes


class Question(NamedTuple):
    """A finding to judge: the latest of those about the same, how many there are, and how many are judged."""

    finding_id: str
    about: int
    judged: int


def questions(findings: Iterable[Described], labels: Sequence[Labelled], *, limit: int = 20) -> list[Question]:
    """Give up to `limit` findings to judge, at most two of one thing, those of the largest expected loss first.

    The loss of a thing is what is lost if people's verdicts so far mislead: its findings times how likely these are
    expected while they tell, times how likely they are not, and MISS_COST, while a rule lowers them. So what is told
    most is asked about again, with another finding, before and after it has a rule. The second of a thing is asked as
    if the first had been answered as is likely. Cost: one pass.
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
        left = [each for each in group if each.finding_id not in known]
        left.sort(key=lambda each: (each.last_unix_ns, each.finding_id), reverse=True)
        told = said.get(key, [])
        before, (wrong, right) = prior.get(key[0], 0.5), votes(told)
        for at, each in enumerate(left[:2]):
            unjudged = len(left) - at
            if at and unjudged < 2:
                break
            rows.append((-_loss(before, wrong, right, unjudged), Question(each.finding_id, len(group), len(told))))
            is_wrong = chance_wrong(before, wrong, right) >= 0.5
            wrong, right = wrong + is_wrong, right + (not is_wrong)
    return [row[1] for row in sorted(rows)[:limit]]


def _loss(prior: float, wrong: float, right: float, unjudged: int) -> float:
    chance = chance_wrong(prior, wrong, right)
    is_lowered = stands(prior, wrong, right, unjudged)
    return unjudged * (MISS_COST * (1.0 - chance) if is_lowered else chance)
