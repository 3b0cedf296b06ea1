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
AGREED = 2.0
"""How many verdicts more must say wrong than right where a rule speaks for findings that nobody judged."""
RIGHT_WEIGHS = 2.0
"""How many verdicts of wrong a verdict of right outweighs there."""
MISS_COST = 10.0
"""How many false alarms less make up for one right finding that is lowered."""
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


def learn(labels: Sequence[Labelled], *, entries: Sequence[str] = (), told: Mapping[Key, int] | None = None) -> Policy:
    """Make the rules of what was judged; the order of `labels` does not matter.

    told: how many findings there are of each thing, judged or not; what is missing was told as often as it was judged.
    There is a rule where it is at least SURE likely that what people call wrong is so: each verdict counts for what it
    is worth when people err in ERROR_SHARE of cases, and before any there is the share of wrong ones among things of
    the kind; and where the verdicts stand against an error (`stands`). A rule asks for MARGIN times the strength up to
    which this holds, and for no more than what was called right above that had. Where rules would lower all of what was
    called right together, the one with the fewest verdicts asks for no more than that had.
    """
    groups: dict[Key, list[Labelled]] = {}
    for each in labels:
        groups.setdefault(each.described.key, []).append(each)
    prior = priors(labels)
    often = {key: max((told or {}).get(key, 0), len(group)) for key, group in groups.items()}
    found = (_learned(key, group, prior[key[0]], often[key]) for key, group in groups.items() if key[2] != OF_NOTHING)
    rules = {rule.key: rule for rule in found if rule is not None}
    return Policy(dict(sorted(_sparing(rules, labels).items())), tuple(entries))


def priors(labels: Sequence[Labelled]) -> dict[str, float]:
    """Give the share of things of each kind that are wrong, drawn towards that of all, and that towards a half.

    A thing counts once, however often it was judged: it is asked about again because it is told often.
    """
    groups: dict[Key, list[Labelled]] = {}
    for each in labels:
        groups.setdefault(each.described.key, []).append(each)
    kinds: dict[str, list[float]] = {}
    for key, group in groups.items():
        kinds.setdefault(key[0], []).append(chance_wrong(0.5, *votes(group)))
    every = [chance for chances in kinds.values() for chance in chances]
    overall = (math.fsum(every) + 1.0) / (len(every) + 2.0)
    return {kind: (math.fsum(chances) + 2.0 * overall) / (len(chances) + 2.0) for kind, chances in kinds.items()}


def votes(labels: Iterable[Labelled]) -> tuple[float, float]:
    """Give how many verdicts called it wrong and right; one of an incident's findings that was right is not named."""
    labels = list(labels)
    wrong = len({each.entries for each in labels if not each.is_right})
    return float(wrong), math.fsum(1.0 / each.together for each in labels if each.is_right)


def stands(prior: float, wrong: float, right: float, unjudged: int) -> bool:
    """Tell whether verdicts suffice to lower a thing of which `unjudged` findings are not judged.

    Beyond SURE, a rule must stand against an error of one person: AGREED more must say wrong than outweigh those who
    say right. One verdict alone does where nobody contradicts and at most one finding is left that it would speak for:
    asking about that one costs as much as it tells.
    """
    if chance_wrong(prior, wrong, right) < SURE:
        return False
    return (right == 0 and unjudged <= 1) or wrong - RIGHT_WEIGHS * right >= AGREED


def _learned(key: Key, group: Sequence[Labelled], prior: float, often: int) -> Rule | None:
    level = _level(group, prior, often)
    if level is None:
        return None
    called = [each.described for each in group if not each.is_right and each.described.score <= level]
    score, excess = MARGIN * level, MARGIN * max(each.excess for each in called)
    stronger = [each.described.score for each in group if each.is_right and each.described.score > level]
    gravest = max((each.severity for each in called), key=lambda each: _RANK[each])
    said = sorted({entry for each in group for entry in each.entries})
    right = sum(each.is_right for each in group)
    return Rule(key, min([score, *stronger]), excess, gravest, len(group) - right, right, tuple(said))


def _level(group: Sequence[Labelled], prior: float, often: int) -> float | None:
    """Give the largest score called wrong that verdicts suffice for, None for none.

    What was called wrong speaks for all that is no stronger, what was called right for all that is no weaker.
    """
    for level in sorted({each.described.score for each in group if not each.is_right}, reverse=True):
        if stands(prior, *votes(_speaking(group, level)), often - len(group)):
            return level
    return None


def _speaking(group: Sequence[Labelled], score: float) -> list[Labelled]:
    return [each for each in group if each.is_right == (each.described.score <= score) or each.described.score == score]


def outvoted(labels: Sequence[Labelled]) -> frozenset[tuple[str, ...]]:
    """Give the entries of verdicts of right on single findings that verdicts of wrong on the same thing outvote.

    They are told apart from faults by strength: only what was called wrong and is no weaker counts against them.
    """
    groups: dict[Key, list[Labelled]] = {}
    for each in labels:
        groups.setdefault(each.described.key, []).append(each)
    prior = priors(labels)
    return frozenset(
        each.entries
        for key, group in groups.items()
        for each in group
        if each.is_right
        and each.together == 1
        and stands(prior[key[0]], *votes(_speaking(group, each.described.score)), 2)
    )


def _sparing(rules: Mapping[Key, Rule], labels: Sequence[Labelled]) -> dict[Key, Rule]:
    """Give the rules, asking for no more evidence than what was called right had where they would lower all of it."""
    spared, policy = dict(rules), Policy(rules)
    lost = [
        members
        for members in together(labels)
        if members[0].is_right and len(members) > 1 and all(policy.weigh(each.described).lowers for each in members)
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
