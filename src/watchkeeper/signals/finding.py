"""A Finding: one thing that is out of the ordinary, with the evidence for saying so.

Made by detectors, kept by the store, shown by every surface. The same subject on the same entity is one finding with a
count, open until it has been quiet for a while. Plain data; decides nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

FINDING_SCHEMA_VERSION = 1


class FindingState(StrEnum):
    """Whether it still goes on."""

    OPEN = "open"
    CLOSED = "closed"


class FindingSeverity(StrEnum):
    """How much it matters, by what was seen: least first."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True)
class Band:
    """What was expected or seen, in words and as a range of values; either end may be None for 'no bound'."""

    text: str
    low: float | None = None
    high: float | None = None
    unit: str = ""


@dataclass(frozen=True)
class Evidence:
    """One piece of evidence.

    `kind` is `line` (text is a log line), `series` (points are [time_unix_ns, value] pairs) or `note`.
    `trace_id` leads to the trace when the line carried one.
    """

    kind: str
    text: str
    time_unix_ns: int = 0
    trace_id: str = ""
    points: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Baseline:
    """What 'normal' was learned from: event times, and how many windows or lines it held."""

    from_unix_ns: int
    to_unix_ns: int
    windows: int = 0
    lines: int = 0


@dataclass(frozen=True)
class Finding:
    """One finding; `id` is a hash of kind, entity, subject and opening time, so telling it again updates it.

    kind: dotted, e.g. `log.template.unseen`. subject: what within the entity (a template id, `errors`).
    score: >= 0, higher = more anomalous. count: events that belong to it. Times are event times in Unix nanoseconds.
    """

    id: str
    kind: str
    signal: str
    service: str
    entity: str
    subject: str
    title: str
    why: str
    severity: FindingSeverity
    score: float
    count: int
    first_unix_ns: int
    last_unix_ns: int
    expected: Band
    seen: Band
    baseline: Baseline
    state: FindingState = FindingState.OPEN
    template_id: int | None = None
    template: str = ""
    evidence: tuple[Evidence, ...] = ()
    detected_unix_ns: int = 0
    attributes: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON, with `schema_version`; `template_id` as text, for JavaScript cannot hold it."""
        data = asdict(self)
        data["template_id"] = None if self.template_id is None else str(self.template_id)
        data["schema_version"] = FINDING_SCHEMA_VERSION
        return data


def finding_id(kind: str, entity: str, subject: str, opened_unix_ns: int) -> str:
    """Give the id of a finding: 16 hexadecimal digits, the same for the same four facts."""
    text = "\x1f".join((kind, entity, subject, str(opened_unix_ns)))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def finding_from_dict(data: dict[str, Any]) -> Finding:
    """Read a finding back from `as_dict`'s form; fields that this version does not know are left out."""
    known = {name: data[name] for name in Finding.__dataclass_fields__ if name in data}
    template_id = known.get("template_id")
    known["template_id"] = None if template_id is None else int(template_id)
    known["severity"] = FindingSeverity(known["severity"])
    known["state"] = FindingState(known["state"])
    known["expected"] = Band(**known["expected"])
    known["seen"] = Band(**known["seen"])
    known["baseline"] = Baseline(**known["baseline"])
    known["evidence"] = tuple(
        Evidence(**{**item, "points": tuple((int(at), float(value)) for at, value in item["points"])})
        for item in known["evidence"]
    )
    return Finding(**known)
