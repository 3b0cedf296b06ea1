"""The shapes of diagnoses of a chosen span and of forecasts, beside those of models.py."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from watchkeeper.gateway.models import Shape, UnixNs

Moment = Annotated[
    Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=r"^[0-9]{1,19}$")],
    Field(description="Unix nanoseconds, as a number or as decimal text.", examples=["1763700000000000000"]),
]


class ExplainRequest(BaseModel):
    """A span of time, and the services that seemed out of the ordinary in it."""

    model_config = ConfigDict(extra="forbid")

    from_unix_ns: Moment
    to_unix_ns: Moment
    services: list[Annotated[str, Field(min_length=1, max_length=500)]] = Field(
        default_factory=list, max_length=50, description="Names; all that the topology knows if left out."
    )


class ExplainAnswer(Shape):
    """A diagnosis, as under `diagnosis` of an incident."""

    ranking: dict[str, Any] = Field(
        description="`causes`, likeliest first, `abstains`, `why`, `missing`, `ruled_out`, `fault_kind`."
    )
    classification: dict[str, Any] = Field(description="`category`, `probabilities`, `why`, `abstains`.")
    similar: list[dict[str, Any]] = Field(description="Earlier incidents that are alike; none of a span.")
    report_markdown: str
    report_html: str
    path: list[list[Any]] = Field(description="Hops from the cause to the symptom: from, to, whether work stopped.")
    window: dict[str, Any] = Field(description="What was looked at: the times, and how much there was.")
    features: dict[str, float] = Field(description="The strongest of what the category was told by.")
    seconds: float = Field(description="How long the diagnosis took.")


class ForecastLine(Shape):
    """How one series is expected to go on, with a band that holds it nine times out of ten."""

    labels: dict[str, str]
    limit: float | None = Field(description="What it fills up to; null when not known.")
    is_trend: bool = Field(description="Whether a rise or fall is significant; if not, the level goes on.")
    slope_per_s: float
    times_unix_ns: list[UnixNs]
    low: list[float]
    mid: list[float]
    high: list[float]
    time_to_limit_s: float | None = Field(description="Expected; null when the limit is not reached in that time.")
    earliest_s: float | None
    latest_s: float | None


class ForecastAnswer(Shape):
    """Forecasts of a metric that fills something up; none of any other."""

    name: str
    is_capacity: bool
    unit: str
    items: list[ForecastLine]
