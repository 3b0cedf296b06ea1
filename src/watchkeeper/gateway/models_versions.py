"""The shapes of model versions and of why a line is judged as it is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from watchkeeper.gateway.models import Shape, UnixNs
from watchkeeper.gateway.models_incidents import By

Name = Annotated[str, Field(min_length=1, max_length=80, examples=["logs/default", "online"])]
Number = Annotated[int, Field(ge=1, le=2**31 - 1)]
Why = Annotated[str, Field(max_length=2_000, description="Stands in the audit.")]


class CardShape(Shape):
    """What a version is and what it was made of."""

    kind: str
    job_id: str
    trained_on: dict[str, Any] = Field(
        description="Workloads, from and until, lines, distinct lines; as its maker tells."
    )
    parameters: dict[str, Any]
    quality: dict[str, Any] = Field(description="Held-out figures by name.")
    thresholds: dict[str, Any]
    notes: str


class VersionShape(Shape):
    """One version of a model."""

    name: str
    number: int
    state: Literal["candidate", "active", "retired"]
    created_unix_ns: UnixNs
    card: CardShape
    sha256: str
    parent: int | None = Field(description="The version that was active when this one was published.")
    damaged: str = Field(description="Why its files cannot be used; empty when they can.")


class VersionsAnswer(Shape):
    """Versions, by name and the newest first."""

    items: list[VersionShape]
    problems: list[str] = Field(description="Versions whose files are damaged and not used.")


class AuditEntryShape(Shape):
    """Who did what to which version, when and why."""

    time_unix_ns: UnixNs
    name: str
    number: int | None
    what: str = Field(examples=["promote"])
    who: str
    why: str


class AuditAnswer(Shape):
    """The audit, the newest first."""

    items: list[AuditEntryShape]


class ActRequest(BaseModel):
    """Which model, who, and why."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    why: Why = ""
    by: By = ""


class PromoteRequest(ActRequest):
    """Which version is to be the active one."""

    number: Number


class WhyRequest(BaseModel):
    """A line of log, and whose it is."""

    model_config = ConfigDict(extra="forbid")

    line: str = Field(min_length=1, max_length=100_000, description="The first 2,000 characters count.")
    service: str = Field("", max_length=1_000)
    model: str = Field("", max_length=80, description="Only this model; it must be at work.")
    resource_attributes: dict[str, Any] = Field(
        default_factory=dict, max_length=1_000, description="Those of the record: they name its workload."
    )


class OnlineService(Shape):
    """What a service taught the online detector of a template."""

    service: str
    state: Literal["warming", "watching"]
    first_unix_ns: UnixNs
    last_unix_ns: UnixNs
    lines: int
    windows: int = Field(description="Windows learned from.")
    expected: float = Field(description="Lines expected in a window.")
    upper: float = Field(description="Lines in a window beyond which it is too many.")


class WhyOnline(Shape):
    """What the online detector knows of a line."""

    window_s: float
    state: str = Field(description="Of the service asked for: warming, watching, no data; empty without one.")
    services: list[OnlineService]
    services_count: int
    score: float | None = Field(description="Were it new there now; null where it is known or only learned from.")
    threshold: float


class WhyModel(Shape):
    """What one log model says of a line, token by token."""

    version: VersionShape
    explanation: dict[str, Any]


class WhyAnswer(Shape):
    """Why a line is judged as it is."""

    line: str
    masked: str
    template_id: str
    service: str
    pattern: dict[str, Any] | None
    online: WhyOnline
    models: list[WhyModel]
    no_model: str = Field(description="Why no model was asked; empty when one was.")
    nearest: list[dict[str, Any]] = Field(description="Known patterns that share most with one that is not known.")
