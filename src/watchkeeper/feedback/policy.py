"""What feedback makes of findings: a rule for each thing that people called expected, and the weight of a finding.

Enters: judged findings. Leaves: a Policy, and the weight of any finding by it. A rule asks for more evidence before the
same thing tells again; it is no silence, and it touches nothing else. Does no I/O but save and load.

Bounds, whatever people say: a finding keeps its full weight where nothing of its kind, place, template or series and
side was called wrong; where it is graver than everything called wrong there; and where its score or its distance from
what was expected reaches MARGIN times the largest called wrong. What is lowered is
kept, shown, and joins incidents as company.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from watchkeeper.errors import NewerFormat, StoreError
from watchkeeper.feedback.entries import WEIGHED, Described, described
from watchkeeper.feedback.ledger import Labelled
from watchkeeper.signals.finding import Finding, FindingSeverity

MARGIN = 1.1
"""How many times as strong as all that was called wrong a deviation must be to tell again."""
ERROR_SHARE = 0.1
"""How often a person's verdict is taken to be an error."""
SURE = 0.9 - 1e-9
"""How likely it must be that what a rule is about is expected behaviour."""
OF_NOTHING = "many"
"""The subject of findings that stand for many new things at once: another time these are other things."""
POLICY_SCHEMA_VERSION = 1
POLICY_FILE = "policy.json"
_RANK = {severity.value: rank for rank, severity in enumerate(FindingSeverity)}

Key = tuple[str, str, str, str]


class Rule(NamedTuple):
    """What is asked of one thing: kind, place, what, side; a score and an excess, either of which suffices.

    severity: the gravest that was called wrong. wrong, right: how many findings were called so. entries: who said it.
    """

    key: Key
    score: float
    excess: float
    severity: str
    wrong: int
    right: int
    entries: tuple[str, ...]


class Weighing(NamedTuple):
    """weight: 0..1, how much of the evidence asked for a finding brings; below 1 it is lowered. rule: that asks."""

    weight: float
    rule: Rule | None = None

    @property
    def lowers(self) -> bool:
        """Tell whether the finding is lowered."""
        return self.weight < 1.0


FULL = Weighing(1.0)


@dataclass(frozen=True)
class Policy:
    """The rules of a round of feedback. entries: ids of all entries in force then; number: its version, 0 for none."""

    rules: Mapping[Key, Rule] = field(default_factory=dict)
    entries: tuple[str, ...] = ()
    number: int = 0

    def weigh(self, one: Described) -> Weighing:
        """Give the weight of a finding by what it describes. Cost: one look-up."""
        rule = self.rules.get(one.key)
        if rule is None or _RANK.get(one.severity, len(_RANK)) > _RANK[rule.severity]:
            return FULL
        by_score = one.score / rule.score if rule.score > 0 else 1.0
        # Where what was called wrong had no distance, a distance is something else.
        by_excess = one.excess / rule.excess if rule.excess > 0 else float(one.excess > 0)
        return Weighing(min(1.0, max(by_score, by_excess)), rule)

    def apply(self, findings: Iterable[Finding]) -> list[Finding]:
        """Give the findings, those that are lowered with grade info and the attribute WEIGHED, the others as they were.

        Findings that an earlier policy lowered are weighed anew, from the grade they had at first.
        """
        return [self._applied(restored(each)) for each in findings]

    def _applied(self, finding: Finding) -> Finding:
        if not self.rules:
            return finding
        weighing = self.weigh(described(finding))
        if not weighing.lowers or weighing.rule is None:
            return finding
        told = {
            "weight": round(weighing.weight, 3),
            "version": self.number,
            "severity": finding.severity.value,
            "wrong": weighing.rule.wrong,
            "right": weighing.rule.right,
            "entries": list(weighing.rule.entries[:20]),
            "why": _why(weighing.rule),
        }
        return replace(finding, severity=FindingSeverity.INFO, attributes={**finding.attributes, WEIGHED: told})

    def save(self, folder: Path) -> None:
        """Write the policy into the folder."""
        document = {
            "schema_version": POLICY_SCHEMA_VERSION,
            "entries": list(self.entries),
            "rules": [rule._asdict() for rule in self.rules.values()],
        }
        (folder / POLICY_FILE).write_text(json.dumps(document, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, *, number: int = 0) -> Policy:
        """Read what `save` wrote; raises StoreError when it is damaged, NewerFormat when it is newer."""
        file = folder / POLICY_FILE
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
            if document["schema_version"] > POLICY_SCHEMA_VERSION:
                raise NewerFormat(f"{file} is of a newer Watchkeeper; upgrade this one")
            rules = [_rule(each) for each in document["rules"]]
            return cls({rule.key: rule for rule in rules}, tuple(map(str, document["entries"])), number)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"the feedback in {file} cannot be read: {error}; roll back to an earlier round"
            ) from error


def learn(labels: Sequence[Labelled], *, entries: Sequence[str] = (), margin: float = MARGIN) -> Policy:
    """Make the rules of what was judged; the order of `labels` does not matter.

    There is a rule where it is at least SURE likely that what people call wrong is so: each verdict counts for what it
    is worth when people err in ERROR_SHARE of cases, and before any there is the share of wrong ones among findings of
    the kind. A rule asks for `margin` times the strongest called wrong. Where that would lower all of what was called
    right together, more often than people's errors explain, the rule with the fewest verdicts asks for no more than
    that had.
    """
    groups: dict[Key, list[Labelled]] = {}
    for each in labels:
        groups.setdefault(each.described.key, []).append(each)
    prior = priors(labels)
    found = (_learned(key, group, prior[key[0]], margin) for key, group in groups.items() if key[2] != OF_NOTHING)
    rules = {rule.key: rule for rule in found if rule is not None}
    return Policy(dict(sorted(_sparing(rules, labels).items())), tuple(entries))


def priors(labels: Sequence[Labelled]) -> dict[str, float]:
    """Give the share of wrong findings of each kind, drawn towards that of all, and that towards a half."""
    kinds: dict[str, list[Labelled]] = {}
    for each in labels:
        kinds.setdefault(each.described.kind, []).append(each)
    wrong, right = votes(labels)
    every = (wrong + 1.0) / (wrong + right + 2.0)
    counted = {kind: votes(told) for kind, told in kinds.items()}
    return {kind: (wrong + 2.0 * every) / (wrong + right + 2.0) for kind, (wrong, right) in counted.items()}


def votes(labels: Sequence[Labelled]) -> tuple[float, float]:
    """Give how much was called wrong and right; one of an incident's findings that was right is not known by name."""
    wrong = sum(not each.is_right for each in labels)
    return float(wrong), sum(1.0 / each.together for each in labels if each.is_right)


def _learned(key: Key, group: Sequence[Labelled], prior: float, margin: float) -> Rule | None:
    called = [each.described for each in group if not each.is_right]
    wrong, right = votes(group)
    if not called or chance_wrong(prior, wrong, right) < SURE:
        return None
    score, excess = (margin * max(getattr(each, name) for each in called) for name in ("score", "excess"))
    gravest = max((each.severity for each in called), key=lambda each: _RANK[each])
    said = sorted({entry for each in group for entry in each.entries})
    return Rule(key, score, excess, gravest, len(called), len(group) - len(called), tuple(said))


def _sparing(rules: Mapping[Key, Rule], labels: Sequence[Labelled]) -> dict[Key, Rule]:
    """Give the rules, asking for no more evidence than what was called right had where they would lower all of it."""
    spared, policy = dict(rules), Policy(rules)
    lost = [
        members
        for members in together(labels)
        if members[0].is_right and all(policy.weigh(each.described).lowers for each in members)
    ]
    often = Counter(key for members in lost for key in {each.described.key for each in members})
    for members in lost:
        key = min({each.described.key for each in members}, key=lambda each: (rules[each].wrong, each))
        if often[key] > ERROR_SHARE * (rules[key].wrong + often[key]):
            least = min(each.described.score for each in members if each.described.key == key)
            spared[key] = spared[key]._replace(score=min(spared[key].score, least))
    return spared


def together(labels: Sequence[Labelled]) -> list[list[Labelled]]:
    """Give the findings that were judged by the same verdicts together."""
    groups: dict[tuple[str, ...], list[Labelled]] = {}
    for each in labels:
        groups.setdefault(each.entries, []).append(each)
    return [groups[entries] for entries in sorted(groups)]


def chance_wrong(prior: float, wrong: float, right: float) -> float:
    """Give how likely it is, 0..1, that a thing is expected behaviour, by people who err in ERROR_SHARE of cases.

    prior: 0..1 exclusive, the share of such things before anybody judged this one.

    >>> round(chance_wrong(0.5, 1, 0), 3), round(chance_wrong(0.05, 1, 0), 3)
    (0.9, 0.321)
    """
    worth = math.log((1.0 - ERROR_SHARE) / ERROR_SHARE)
    odds = math.log(prior / (1.0 - prior)) + worth * (wrong - right)
    return 1.0 / (1.0 + math.exp(-min(max(odds, -700.0), 700.0)))


def restored(finding: Finding) -> Finding:
    """Give a finding as it was before feedback lowered it."""
    told = finding.attributes.get(WEIGHED)
    if not isinstance(told, dict):
        return finding
    rest = {name: value for name, value in finding.attributes.items() if name != WEIGHED}
    return replace(finding, severity=FindingSeverity(described(finding).severity), attributes=rest)


def is_lowered(finding: Finding) -> bool:
    """Tell whether feedback lowered it."""
    return WEIGHED in finding.attributes


def _rule(data: Mapping[str, Any]) -> Rule:
    kind, place, what, side = (str(each) for each in data["key"])
    return Rule(
        (kind, place, what, side),
        float(data["score"]),
        float(data["excess"]),
        FindingSeverity(data["severity"]).value,
        int(data["wrong"]),
        int(data["right"]),
        tuple(map(str, data["entries"])),
    )


def _why(rule: Rule) -> str:
    times = "once" if rule.wrong == 1 else f"{rule.wrong} times"
    more = f" and right {rule.right} times" if rule.right else ""
    return f"people called this expected {times}{more}; it tells again from a score of {rule.score:.3g} on" + (
        f", or {rule.excess:.3g} widths outside of what is expected" if rule.excess else ""
    )
