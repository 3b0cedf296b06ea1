"""The findings on metrics that are open: one for each kind and entity, until it has been quiet for a while.

Enters: the channels of an entity that are out of the ordinary now. Leaves: findings that opened, changed or closed; the
strongest channel names the finding, the others are its evidence. Decides nothing about what is out of the ordinary.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from watchkeeper.detect.metrics import wording
from watchkeeper.detect.metrics.wording import Member
from watchkeeper.signals.finding import (
    Band,
    Baseline,
    Evidence,
    Finding,
    FindingSeverity,
    FindingState,
    finding_from_dict,
    finding_id,
)

OPEN_MAX = 1_000
MEMBERS_TOLD_MAX = 16
SERIES_SHOWN_MAX = 6
QUIET_STEPS = 3.5

LEVEL, FLAT, MISSING, JOINT, FORECAST = (
    "metric.level",
    "metric.flat",
    "metric.missing",
    "metric.joint",
    "metric.forecast",
)

Points = list[tuple[int, float]]
Key = tuple[str, str, str]

_RANK = {FindingSeverity.INFO: 0, FindingSeverity.WARNING: 1, FindingSeverity.CRITICAL: 2}


@dataclass(frozen=True)
class Said:
    """The words and numbers of a finding as it is now. score: higher = more anomalous."""

    title: str
    why: str
    severity: FindingSeverity
    score: float
    expected: Band
    seen: Band
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Episode:
    """A finding and the channels that belong to it, by name and attributes. quiet_s: how long it must be quiet."""

    finding: Finding
    members: dict[str, Member]
    quiet_s: float


class Episodes:
    """See the module. close_s: quiet seconds of event time after which a finding closes, longer for slow series.

    protected: kind, entity and subject ("" for a joint deviation) of what people confirmed as anomalous.
    """

    def __init__(self, close_s: float) -> None:
        self._close_s = close_s
        self._open: OrderedDict[Key, Episode] = OrderedDict()
        self.protected: frozenset[Key] = frozenset()

    def __len__(self) -> int:
        return len(self._open)

    def get(self, kind: str, entity: str, subject: str = "") -> Episode | None:
        """Give the open episode of an entity; `subject` tells several of a kind apart."""
        return self._open.get((kind, entity, subject))

    def tell(
        self,
        kind: str,
        about: tuple[str, str],
        members: list[Member],
        said: Callable[[list[Member]], Said],
        points: Callable[[Member], Points],
        *,
        now_ns: int,
        subject: str = "",
        quiet_s: float = 0.0,
    ) -> Finding:
        """Open an episode of (entity, service) or go on with the one that is open.

        members: out of the ordinary now. said: words it, given all its members so far, strongest first. quiet_s: how
        long it must be quiet at least before it closes.
        """
        entity, service = about
        key = (kind, entity, subject)
        episode = self._open.get(key)
        if episode is None:
            first = min(member.first_ns for member in members)
            strongest = _strongest(members)[0]
            finding = _new(kind, entity, service, subject or strongest.name, first, now_ns, strongest.learned_s)
            episode = self._open[key] = Episode(finding, {}, self._close_s)
        for member in members:
            _merge(episode.members, member)
        everyone = _strongest(list(episode.members.values()))
        told, finding = said(everyone), episode.finding
        stronger = told.score >= finding.score
        worst = max((finding.severity, told.severity), key=lambda one: _RANK[one])
        episode.quiet_s = max(self._close_s, quiet_s, QUIET_STEPS * max(member.step_s for member in everyone))
        episode.finding = replace(
            finding,
            title=told.title if stronger else finding.title,
            why=told.why if stronger else finding.why,
            expected=told.expected if stronger else finding.expected,
            seen=told.seen if stronger else finding.seen,
            severity=worst,
            score=round(max(told.score, finding.score), 3),
            count=sum(member.readings for member in everyone),
            last_unix_ns=max(finding.last_unix_ns, *(member.last_ns for member in members)),
            evidence=_evidence(everyone, finding.evidence, {member.row for member in members}, points),
            attributes=_attributes(everyone, told.attributes),
        )
        return episode.finding

    def sweep(self, entity: str, now_ns: int) -> list[Finding]:
        """Close what has been quiet on an entity."""
        closed = []
        for key in [key for key in self._open if key[1] == entity]:
            episode = self._open[key]
            if now_ns - episode.finding.last_unix_ns >= episode.quiet_s * 1e9:
                closed.append(self._close(key))
        return closed

    def held_rows(self) -> list[int]:
        """Give the rows of the channels that belong to open episodes of what people confirmed as anomalous."""
        held = (one for one in self._open.values() if self._is_protected(one.finding))
        return sorted({member.row for one in held for member in one.members.values()})

    def is_held(self, kind: str, entity: str) -> bool:
        """Tell whether an open episode of an entity is what people confirmed as anomalous."""
        return any(key[:2] == (kind, entity) and self._is_protected(one.finding) for key, one in self._open.items())

    def _is_protected(self, finding: Finding) -> bool:
        subject = "" if finding.kind == JOINT else finding.subject
        return (finding.kind, finding.entity, subject) in self.protected

    def drop(self, kind: str, entity: str, subject: str = "") -> list[Finding]:
        """Close an episode at once, for what it told is over."""
        key = (kind, entity, subject)
        return [self._close(key)] if key in self._open else []

    def forget(self, entity: str) -> list[Finding]:
        """Close everything of an entity that is no longer watched."""
        return [self._close(key) for key in [key for key in self._open if key[1] == entity]]

    def trim(self) -> list[Finding]:
        """Close the oldest when there are too many."""
        return [self._close(next(iter(self._open))) for _ in range(len(self._open) - OPEN_MAX)]

    def close_all(self) -> list[Finding]:
        """Close everything at once."""
        return [self._close(key) for key in list(self._open)]

    def entities(self) -> set[str]:
        """Give the entities with something open."""
        return {entity for _, entity, _ in self._open}

    def _close(self, key: Key) -> Finding:
        return replace(self._open.pop(key).finding, state=FindingState.CLOSED)

    # -- state ----------------------------------------------------------------------------------------------------

    def as_list(self) -> list[dict[str, Any]]:
        """Give plain data to save."""
        return [
            {
                "key": list(key),
                "finding": episode.finding.as_dict(),
                "members": [asdict(member) for member in episode.members.values()],
                "quiet_s": episode.quiet_s,
            }
            for key, episode in self._open.items()
        ]

    def take(self, saved: list[dict[str, Any]]) -> None:
        """Take up what `as_list` gave; raises KeyError, TypeError or ValueError when it does not fit."""
        self._open.clear()
        for item in saved:
            members = [Member(**member) for member in item["members"]]
            kind, entity, subject = (str(part) for part in item["key"])
            self._open[kind, entity, subject] = Episode(
                finding_from_dict(item["finding"]), {_name(one): one for one in members}, float(item["quiet_s"])
            )


def _name(member: Member) -> str:
    return f"{member.name}\x1f{member.attributes}"


def _merge(members: dict[str, Member], now: Member) -> None:
    known = members.get(_name(now))
    if known is None:
        members[_name(now)] = now
        return
    middle = (known.low + known.high) / 2
    known.row = now.row
    if abs(now.value - middle) > abs(known.value - middle):
        known.value = now.value
    known.heat = max(known.heat, now.heat)
    if now.last_ns > known.last_ns:
        known.readings += 1
        known.last_ns = now.last_ns


def _strongest(members: list[Member]) -> list[Member]:
    return sorted(members, key=lambda one: (-one.heat, not one.is_bad, one.name, one.attributes))


def _new(kind: str, entity: str, service: str, subject: str, first_ns: int, now_ns: int, learned_s: float) -> Finding:
    return Finding(
        id=finding_id(kind, entity, subject, first_ns),
        kind=kind,
        signal="metrics",
        service=service,
        entity=entity,
        subject=subject,
        title="",
        why="",
        severity=FindingSeverity.INFO,
        score=0.0,
        count=0,
        first_unix_ns=first_ns,
        last_unix_ns=first_ns,
        expected=Band(""),
        seen=Band(""),
        baseline=Baseline(first_ns - int(learned_s * 1e9), first_ns),
        detected_unix_ns=now_ns,
    )


def _evidence(
    members: list[Member], before: tuple[Evidence, ...], now: set[int], points: Callable[[Member], Points]
) -> tuple[Evidence, ...]:
    """Give the series of the strongest; those that are not out of the ordinary any more keep what was drawn."""
    drawn = {item.text: item for item in before}
    evidence = []
    for member in members[:SERIES_SHOWN_MAX]:
        text = member.name if member.attributes in {"", "{}"} else f"{member.name} {member.attributes}"
        if member.row in now or text not in drawn:
            line = points(member)
            evidence.append(Evidence("series", text, line[-1][0] if line else member.last_ns, points=tuple(line)))
        else:
            evidence.append(drawn[text])
    return tuple(evidence)


def _attributes(members: list[Member], more: dict[str, Any]) -> dict[str, Any]:
    strongest = members[0]
    return {
        "metric": strongest.metric,
        "series": strongest.attributes,
        "unit": strongest.unit,
        "aspect": strongest.aspect,
        "metrics": [member.name for member in members[:MEMBERS_TOLD_MAX]],
        **more,
    }


def plain(members: list[Member], title: str, why: str) -> Said:
    """Give the words of a finding on the strongest of the members."""
    first = members[0]
    return Said(
        title,
        why,
        wording.severity(first, len(members)),
        first.heat,
        wording.band(first.low, first.high, first.unit),
        Band(wording.amount(first.value, first.unit), first.value, first.value, first.unit),
    )
