"""The shapes of incidents, changes, silences and alerts, beside those of models.py."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from watchkeeper.gateway.models import Attributes, FindingShape, Shape, UnixNs

State = Literal["open", "acknowledged", "resolved", "merged"]
Severity = Literal["info", "warning", "critical"]
By = Annotated[
    str,
    Field(max_length=100, description="Who does it, where no tokens are set up; else the name of the token counts."),
]
Id = Annotated[str, Field(min_length=1, max_length=100)]


class HappeningShape(Shape):
    """One entry of an incident's timeline."""

    time_unix_ns: UnixNs
    kind: str = Field(
        description="opened, finding, severity, diagnosed, acknowledged, resolved, reopened, merged, split, note, "
        "change",
        examples=["opened"],
    )
    text: str
    by: str = Field(description="`watchkeeper`, or who did it.")
    finding_id: str
    count: int = Field(description="How often it came; findings of one kind, entity and subject are one entry.")
    last_unix_ns: str = Field(description="When it came last, 0 when it came once.")


class LikeliestCause(Shape):
    """The first of the causes that diagnosis found."""

    node: str = Field(examples=["service:cart"])
    confidence: float
    indicator: str


class IncidentSummary(Shape):
    """An incident as a list shows it."""

    id: str
    title: str
    state: State
    severity: Severity
    opened_unix_ns: UnixNs
    updated_unix_ns: UnixNs
    first_unix_ns: UnixNs
    last_unix_ns: UnixNs
    resolved_unix_ns: UnixNs
    resolved_by: str
    acknowledged_by: str
    merged_into: str
    reopened: int
    nodes: list[str]
    services: list[str]
    findings_count: int
    impact: str
    attributes: Attributes
    cause: LikeliestCause | None
    category: str
    schema_version: int


class IncidentsAnswer(Shape):
    """One page of incidents, latest opened first."""

    items: list[IncidentSummary]
    next_cursor: str | None


class IncidentShape(IncidentSummary):
    """One incident in full, with its findings."""

    finding_ids: list[str]
    timeline: list[HappeningShape]
    diagnosis: dict[str, Any] = Field(description="What diagnosis made of it last; {} before the first.")
    findings: list[FindingShape] = Field(description="Its findings that are still kept, in order of joining.")


class SplitAnswer(Shape):
    """Both sides of a split."""

    incident: IncidentShape
    new: IncidentShape


class ActRequest(BaseModel):
    """Who does it, and what there is to say."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field("", max_length=4_000)
    by: By = ""


class NoteRequest(BaseModel):
    """A remark."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=4_000)
    by: By = ""


class MergeRequest(ActRequest):
    """The incidents that go up in this one."""

    incidents: list[Id] = Field(min_length=1, max_length=50)


class SplitRequest(ActRequest):
    """The findings that become an incident of their own."""

    findings: list[Id] = Field(min_length=1, max_length=1_000)


class PreviewRequest(BaseModel):
    """Settings that begin with `incident_`, and the range of the findings to group by them."""

    model_config = ConfigDict(extra="forbid")

    settings: dict[str, str | float | int | bool] = Field(
        default_factory=dict, max_length=20, examples=[{"incident_gap_s": 600}]
    )
    start: str = Field("7d", alias="from", max_length=60, description="Begin, as `from` of a list.", examples=["7d"])
    end: str = Field("now", alias="to", max_length=60, description="End, as `to` of a list.", examples=["now"])


class DayCount(Shape):
    """Incidents of one day (UTC)."""

    day_unix_ns: UnixNs
    incidents: int


class PreviewExample(Shape):
    """One incident that there would have been."""

    title: str
    severity: Severity
    opened_unix_ns: UnixNs
    services: list[str]
    findings_count: int
    reopened: int


class PreviewOutcome(Shape):
    """What some settings make of the findings."""

    incidents: int
    by_severity: dict[str, int]
    per_day: list[DayCount]
    examples: list[PreviewExample]


class PreviewAnswer(PreviewOutcome):
    """What the settings asked for would have made of the kept findings, beside what those in force do."""

    from_unix_ns: UnixNs
    to_unix_ns: UnixNs
    findings: int
    truncated: bool = Field(description="There were more findings than are taken into account, the latest 10,000.")
    settings: dict[str, Any]
    present: PreviewOutcome


class ChangeRequest(BaseModel):
    """Something that was changed; sent again with the same id it is kept once."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["deploy", "config", "scale", "flag", "other"]
    title: str = Field(min_length=1, max_length=500, examples=["cart 1.4.2 deployed"])
    service: str = Field("", max_length=500, description="What was changed, if it is a service.", examples=["cart"])
    node: str = Field("", max_length=500, description="Or its id in the topology.", examples=["host:n1"])
    time: str = Field("", max_length=60, description="When: Unix nanoseconds, RFC 3339, or 5m ago; now if left out.")
    id: str = Field("", max_length=200, description="Made of the other fields if left out.")
    source: str = Field("", max_length=100, description="What tells it, such as a pipeline.")
    attributes: dict[str, str | float | int | bool] = Field(default_factory=dict, max_length=40)
    by: By = ""


class ChangeShape(Shape):
    """One change."""

    id: str
    kind: str
    node: str
    title: str
    time_unix_ns: UnixNs
    source: str
    attributes: Attributes


class ChangesAnswer(Shape):
    """One page of changes, newest first."""

    items: list[ChangeShape]
    next_cursor: str | None


class Matchers(BaseModel):
    """What a silence covers; all that are given must hold."""

    model_config = ConfigDict(extra="forbid")

    service: str = Field("", max_length=500, description="`*` stands for anything.", examples=["cart"])
    node: str = Field("", max_length=500, description="Id or name in the topology; `*` stands for anything.")
    kind: str = Field("", max_length=500, description="Kind of finding; `*` stands for anything.", examples=["log.*"])
    template: str = Field("", max_length=500, description="Regular expression (RE2) over the pattern, else the title.")
    severity: Literal["", "info", "warning", "critical"] = ""


class SilenceRequest(BaseModel):
    """A silence that begins now."""

    model_config = ConfigDict(extra="forbid")

    matchers: Matchers
    why: str = Field(min_length=1, max_length=1_000)
    duration_s: float = Field(gt=0, le=316_224_000, description="When it ends, from now.", examples=[7200])
    by: By = ""


class SilenceShape(Shape):
    """One silence."""

    id: str
    matchers: dict[str, str]
    by: str
    why: str
    from_unix_ns: UnixNs
    until_unix_ns: UnixNs
    active: bool


class SilencesAnswer(Shape):
    """Silences, the one that ends first at the front."""

    items: list[SilenceShape]


class AlertmanagerPayload(BaseModel):
    """What Alertmanager sends to a webhook, version 4; members not named here are passed over."""

    model_config = ConfigDict(extra="allow")

    version: Literal["4"]
    alerts: list[dict[str, Any]] = Field(max_length=1_000)


class AlertsAnswer(Shape):
    """How many alerts were taken."""

    findings: int
