"""The shapes of feedback: what people say of findings and incidents, previews, rounds."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from watchkeeper.gateway.models import Shape, UnixNs
from watchkeeper.gateway.models_incidents import By, Id


class FeedbackRequest(BaseModel):
    """What somebody says of a finding or an incident."""

    model_config = ConfigDict(extra="forbid")

    subject: Id = Field(description="Id of a finding or an incident.")
    verdict: Literal["right", "wrong", "cause", "category"] = Field(
        description="`wrong`: what was told is expected behaviour. `cause` and `category` name the true one."
    )
    true_cause: str = Field("", max_length=500, description="Node of the topology.", examples=["service:cart"])
    true_category: str = Field("", max_length=100, description="See docs/categories.md.", examples=["network"])
    why: str = Field("", max_length=4_000)
    by: By = ""


class FeedbackShape(Shape):
    """One entry of the log of feedback; entries are added and never changed."""

    id: str
    sequence: int
    subject_kind: Literal["finding", "incident"]
    subject: str
    title: str = Field(description="Title of the subject when it was judged.")
    verdict: Literal["right", "wrong", "cause", "category", "undo"]
    true_cause: str
    true_category: str
    by: str
    why: str
    time_unix_ns: UnixNs
    undoes: str = Field(description="The entry that this one takes back, else empty.")
    findings: int = Field(description="How many findings it speaks of.")
    in_force: bool = Field(description="It counts: not taken back, and its author has said nothing else since.")


class FeedbackAnswer(Shape):
    """One page of feedback, latest first."""

    items: list[FeedbackShape]
    next_cursor: str | None
    pending: int = Field(description="Entries that the round in force does not know yet.")
    categories: list[str] = Field(description="What `true_category` may be.")


class QuestionShape(Shape):
    """A finding that a verdict on is worth most."""

    finding_id: str
    title: str
    kind: str
    service: str
    first_unix_ns: UnixNs
    about: int = Field(description="How many kept findings are about the same.")
    judged: int = Field(description="How many of them somebody has judged.")


class QuestionsAnswer(Shape):
    """What to judge, the most useful first."""

    items: list[QuestionShape]


class FeedbackPreviewRequest(BaseModel):
    """The range of the kept findings to look at."""

    model_config = ConfigDict(extra="forbid")

    start: str = Field("7d", alias="from", max_length=60, description="Begin, as `from` of a list.", examples=["7d"])
    end: str = Field("now", alias="to", max_length=60, description="End, as `to` of a list.", examples=["now"])


class ChangedFinding(Shape):
    """A kept finding whose weight would be another."""

    id: str
    title: str
    kind: str
    service: str
    first_unix_ns: UnixNs
    severity: str = Field(description="Without any feedback.")
    change: Literal["lowered", "raised"]
    weight: float = Field(description="0..1: how much of the evidence asked for it brings; below 1 it is lowered.")


class ChangedFindings(Shape):
    """Kept findings whose weight would be another."""

    all: int
    lowered: int
    raised: int
    items: list[ChangedFinding]


class ChangedIncident(Shape):
    """An incident that would be another."""

    id: str
    title: str
    services: list[str]
    opened_unix_ns: UnixNs
    change: Literal["gone", "new", "changed"]
    severity_before: str
    severity_after: str
    findings_before: int
    findings_after: int


class ChangedIncidents(Shape):
    """Incidents of the kept findings, grouped by the round in force and by the one that would be."""

    before: int
    after: int
    gone: int
    new: int
    changed: int
    items: list[ChangedIncident]


class FeedbackPreviewAnswer(Shape):
    """What would change in the kept findings and incidents if the feedback given were applied now."""

    from_unix_ns: UnixNs
    to_unix_ns: UnixNs
    pending: int
    rules: int
    would_promote: bool
    reason: str = Field(description="Why it would not be promoted, else empty.")
    quality: dict[str, float]
    before: dict[str, float]
    findings: ChangedFindings
    incidents: ChangedIncidents
    truncated: bool


class RoundRequest(BaseModel):
    """Who does it and why."""

    model_config = ConfigDict(extra="forbid")

    why: str = Field("", max_length=2_000)
    by: By = ""


class RoundShape(Shape):
    """One round of feedback."""

    number: int
    state: Literal["candidate", "active", "retired"]
    created_unix_ns: UnixNs
    by: str
    why: str
    entries: int
    rules: int
    quality: dict[str, float] = Field(description="Figures of this round: on held-out verdicts, on all earlier ones.")
    before: dict[str, float] = Field(description="The same of the round that was in force when it was made.")
    reason: str = Field(description="Why it was not promoted, else empty.")


class AuditShape(Shape):
    """Who did what to a round, when and why."""

    time_unix_ns: UnixNs
    number: int | None
    what: str
    who: str
    why: str


class RoundsAnswer(Shape):
    """All rounds, latest first, and what was done with them."""

    items: list[RoundShape]
    audit: list[AuditShape]
    pending: int
