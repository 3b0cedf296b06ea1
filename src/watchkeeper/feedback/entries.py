"""What people say of findings and incidents: the entries of the feedback log, and what a judged finding described.

Enters: Findings. Leaves: Described, small enough to be kept beside each verdict, so that a verdict outlives the
finding, and Entry. Plain data and its checks; keeps nothing, weighs nothing.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from watchkeeper.diagnose.base import Category
from watchkeeper.errors import QueryError
from watchkeeper.signals.finding import Band, Finding, FindingSeverity
from watchkeeper.signals.topology import NodeKind

WEIGHED = "feedback"
"""The attribute of a finding that feedback lowered: weight, version, the severity it had, and why."""
OF_A_TEMPLATE = frozenset({"log.template.unseen"})
EXCESS_MAX = 1e6
WIDTH_SHARE_MIN = 0.05


class Verdict(StrEnum):
    """What a person says. `wrong` means that what was told is expected behaviour."""

    RIGHT = "right"
    WRONG = "wrong"
    CAUSE = "cause"
    CATEGORY = "category"
    UNDO = "undo"


class Described(NamedTuple):
    """What a finding describes: the place and the side of its deviation, and how strong it was when it was judged.

    what: the template's text, else the metric, else the subject. side: `above`, `below` or "" for neither. score: >= 0,
    higher = more anomalous. excess: how many widths of what was expected it lay outside, >= 0, without a unit; 0 where
    there is no range.
    """

    finding_id: str
    kind: str
    signal: str
    service: str
    entity: str
    subject: str
    what: str
    side: str
    score: float
    excess: float
    severity: str
    first_unix_ns: int
    last_unix_ns: int
    template_id: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Give what two findings must share to be about the same: kind, entity, what and side.

        A line of a form never seen is about that form, wherever it comes: in one service it is new only once.
        """
        place = "" if self.kind in OF_A_TEMPLATE and self.template_id else self.entity or self.service
        return (self.kind, place, self.what, self.side)


def described(finding: Finding) -> Described:
    """Give what a finding describes, at the severity it had before any feedback lowered it."""
    severity = finding.severity.value
    lowered = finding.attributes.get(WEIGHED)
    if isinstance(lowered, dict) and lowered.get("severity") in set(FindingSeverity):
        severity = str(lowered["severity"])
    metric = finding.attributes.get("metric")
    what = finding.template or (str(metric) if finding.signal == "metrics" and metric else finding.subject)
    side, excess = _deviation(finding.expected, finding.seen)
    return Described(
        finding.id,
        finding.kind,
        finding.signal,
        finding.service,
        finding.entity,
        finding.subject,
        what,
        side,
        float(finding.score) if math.isfinite(finding.score) else 0.0,
        excess,
        severity,
        finding.first_unix_ns,
        finding.last_unix_ns,
        "" if finding.template_id is None else str(finding.template_id),
    )


def _deviation(expected: Band, seen: Band) -> tuple[str, float]:
    """Give on which side of what was expected something lay, and by how many widths of it."""
    low, high = expected.low, expected.high
    at_most, at_least = seen.high, seen.low if seen.low is not None else seen.high
    if at_most is None or at_least is None or (low is None and high is None):
        return "", 0.0
    scale = abs(high if high is not None else low or 0.0)
    width = max((high - low) if low is not None and high is not None else 0.0, scale * WIDTH_SHARE_MIN, 1e-12)
    above = at_most - high if high is not None else -math.inf
    below = low - at_least if low is not None else -math.inf
    far = max(above, below)
    if scale == 0 and width < 1e-9:
        return ("above" if above > 0 else "below" if below > 0 else ""), 0.0
    if not math.isfinite(far) or far <= 0:
        return "", 0.0
    return ("above" if above >= below else "below"), min(EXCESS_MAX, far / width)


@dataclass(frozen=True)
class Entry:
    """One entry of the log; entries are added and never changed. `undoes`: the entry that this one takes back.

    subject_kind: `finding` or `incident`. describes: the finding, or the members of the incident, as they were then.
    """

    id: str
    sequence: int
    subject_kind: str
    subject: str
    verdict: Verdict
    by: str
    why: str
    time_unix_ns: int
    true_cause: str = ""
    true_category: str = ""
    undoes: str = ""
    title: str = ""
    describes: tuple[Described, ...] = ()

    @property
    def slot(self) -> str:
        """Give what of a subject it speaks of: a person's later word on the same takes the place of the earlier."""
        return "truth" if self.verdict in {Verdict.RIGHT, Verdict.WRONG} else self.verdict.value

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON."""
        return {**asdict(self), "describes": [each._asdict() for each in self.describes]}


def entry_from_dict(data: dict[str, Any]) -> Entry:
    """Read an entry back from `as_dict`'s form; fields that this version does not know are left out."""
    known = {name: data[name] for name in Entry.__dataclass_fields__ if name in data}
    known["verdict"] = Verdict(known["verdict"])
    fields = set(Described._fields)
    known["describes"] = tuple(
        Described(**{name: value for name, value in each.items() if name in fields}) for each in known["describes"]
    )
    return Entry(**known)


def checked_verdict(verdict: str, true_cause: str, true_category: str) -> tuple[Verdict, str, str]:
    """Give verdict, cause and category as they are kept; raises QueryError for what does not go together.

    >>> checked_verdict("cause", "cart", "")
    (<Verdict.CAUSE: 'cause'>, 'service:cart', '')
    """
    allowed = [each.value for each in Verdict if each is not Verdict.UNDO]
    if verdict not in allowed:
        raise QueryError(f"there is no verdict {verdict[:100]!r}; it is one of {', '.join(allowed)}")
    said = Verdict(verdict)
    for name, value, belongs in (
        ("true_cause", true_cause, Verdict.CAUSE),
        ("true_category", true_category, Verdict.CATEGORY),
    ):
        if value and said is not belongs:
            raise QueryError(f"{name} goes with the verdict {belongs.value!r}, not with {verdict!r}; give two verdicts")
        if not value and said is belongs:
            raise QueryError(f"the verdict {verdict!r} needs {name}")
    return said, _node(true_cause), _category(true_category)


def _node(text: str) -> str:
    text = text.strip()
    kind, colon, name = text.partition(":")
    if not text or (colon and name and kind in set(NodeKind)):
        return text
    if colon:
        raise QueryError(
            f"the true cause {text[:100]!r} is no node: {kind[:50]!r} is not one of {', '.join(NodeKind)}; write it as "
            "kind:name, such as service:cart"
        )
    return f"{NodeKind.SERVICE.value}:{text}"


def _category(text: str) -> str:
    text = text.strip()
    known = [each.value for each in Category if each is not Category.UNKNOWN]
    if text and text not in known:
        raise QueryError(f"there is no category {text[:100]!r}; docs/categories.md lists them: {', '.join(known)}")
    return text
