"""Whether a round of feedback is no worse than the one in force, on verdicts it was not made of and on earlier ones.

Enters: judged findings, the policy in force, the candidate, and incidents that people took up. Leaves: figures of both
and the reason for not promoting, "" for none. Decides; publishes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from watchkeeper.feedback.ledger import Labelled
from watchkeeper.feedback.policy import MISS_COST, Key, Policy, learn, outvoted, together

FOLDS = 5
Errors = frozenset[tuple[str, ...]]


class Outcome(NamedTuple):
    """What a policy does to verdicts: how many were `right` and how many of these it lowers, and so on."""

    right: int = 0
    right_lowered: int = 0
    wrong: int = 0
    wrong_told: int = 0

    @property
    def cost(self) -> float:
        """Give what it costs, 0 for none, lower is better."""
        return self.wrong_told + MISS_COST * self.right_lowered


class Evaluation(NamedTuple):
    """Figures of a candidate beside those of the policy in force, and why it is not promoted, "" when it is.

    held_out: each finding lowered where rules made without the verdicts on it do so too. earlier: all verdicts in
    force. incidents: those of the stored data that a person took up, and how many of them would not have opened.
    """

    held_out: Outcome
    held_out_before: Outcome
    earlier: Outcome
    earlier_before: Outcome
    taken_up: int
    taken_up_lost: int
    taken_up_lost_before: int
    reason: str

    def quality(self) -> dict[str, float]:
        """Give the candidate's figures by name."""
        return {
            **_named("held_out", self.held_out),
            **_named("earlier", self.earlier),
            "incidents_taken_up": float(self.taken_up),
            "incidents_taken_up_lost": float(self.taken_up_lost),
        }

    def before(self) -> dict[str, float]:
        """Give the figures of the policy in force by name."""
        return {
            **_named("held_out", self.held_out_before),
            **_named("earlier", self.earlier_before),
            "incidents_taken_up": float(self.taken_up),
            "incidents_taken_up_lost": float(self.taken_up_lost_before),
        }


def outcome(
    policy: Policy, labels: Sequence[Labelled], *, alike: Policy | None = None, errors: Errors = frozenset()
) -> Outcome:
    """Give what a policy does to what was judged; what was judged together is told where any of it is.

    alike: another policy that must lower a finding too. errors: entries that are not counted.
    """
    both = (policy,) if alike is None else (policy, alike)
    verdicts = [
        (members[0].is_right, all(one.weigh(each.described).lowers for each in members for one in both))
        for members in together(labels)
        if members[0].entries not in errors
    ]
    return Outcome(
        sum(is_right for is_right, _ in verdicts),
        sum(is_right and lowered for is_right, lowered in verdicts),
        sum(not is_right for is_right, _ in verdicts),
        sum(not is_right and not lowered for is_right, lowered in verdicts),
    )


def held_out(
    policy: Policy, labels: Sequence[Labelled], known: Sequence[Labelled], told: Mapping[Key, int], errors: Errors
) -> Outcome:
    """Give what a policy made of `known` does to `labels`, where rules made without a verdict's own fold do so too.

    Folds are by the verdict, so that the findings of an incident that was judged as one are in the same. Cost: FOLDS
    times learning.
    """
    total = Outcome()
    for fold in range(FOLDS):
        asked = [each for each in labels if _fold(each) == fold]
        without = learn([each for each in known if _fold(each) != fold], told=told)
        total = Outcome(
            *(a + b for a, b in zip(total, outcome(policy, asked, alike=without, errors=errors), strict=True))
        )
    return total


def evaluate(
    candidate: Policy,
    active: Policy,
    labels: Sequence[Labelled],
    *,
    told: Mapping[Key, int] | None = None,
    lost: Callable[[Policy], int],
    taken_up: int,
) -> Evaluation:
    """Hold a candidate against the policy in force.

    labels: all judged findings, which the candidate was made of; those that others outvote are not counted. told: see
    `learn`. lost: how many of the `taken_up` incidents of the stored data would not have opened by a policy.
    """
    said = set(active.entries)
    known_before = [each for each in labels if said.issuperset(each.entries)]
    told, errors = told or {}, outvoted(labels)
    found = Evaluation(
        held_out(candidate, labels, labels, told, errors),
        held_out(active, labels, known_before, told, errors),
        outcome(candidate, labels, errors=errors),
        outcome(active, labels, errors=errors),
        taken_up,
        lost(candidate),
        lost(active),
        "",
    )
    return found._replace(reason=_worse(found))


def _worse(found: Evaluation) -> str:
    """Give why a candidate is worse, "" when it is not."""
    for name, now, before in (
        ("verdicts it was not made of", found.held_out, found.held_out_before),
        ("all earlier feedback", found.earlier, found.earlier_before),
    ):
        if now.cost > before.cost:
            return (
                f"worse on {name}: it lowers {now.right_lowered} of {now.right} right findings and tells "
                f"{now.wrong_told} of {now.wrong} wrong ones, where the round in force has {before.right_lowered} and "
                f"{before.wrong_told}"
            )
    if found.taken_up_lost > found.taken_up_lost_before:
        return (
            f"worse on stored data: {found.taken_up_lost} of {found.taken_up} incidents that people took up would not "
            f"have opened, {found.taken_up_lost_before} by the round in force"
        )
    return ""


def _named(name: str, one: Outcome) -> dict[str, float]:
    return {f"{name}_{field}": float(value) for field, value in one._asdict().items()}


def _fold(one: Labelled) -> int:
    return hashlib.blake2b(one.entries[0].encode(), digest_size=4).digest()[0] % FOLDS
