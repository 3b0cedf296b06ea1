"""The shapes of the API as pydantic models: what OpenAPI shows and what the tests hold every answer to.

Answers are written straight from plain data and are not copied through these; only requests are read by them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

UnixNs = Annotated[
    str,
    Field(pattern=r"^-?\d{1,19}$", description="Unix nanoseconds as decimal text.", examples=["1763700000000000000"]),
]
TemplateId = Annotated[
    str, Field(pattern=r"^-?\d{1,19}$", description="Id of a log pattern as decimal text.", examples=["-4182376235"])
]
Attributes = dict[str, Any]
Sparkline = Annotated[list[int], Field(description="Counts in equal steps of the range, oldest first.")]


class Shape(BaseModel):
    """Base of all shapes; further members may come with later versions."""

    model_config = ConfigDict(extra="allow")


class Problem(Shape):
    """An error (RFC 9457)."""

    title: str = Field(examples=["Bad Request"])
    status: int = Field(examples=[400])
    detail: str = Field(description="What is wrong, where, and how to mend it.")
    position: int | None = Field(None, description="The character of the query at which it cannot be read, from 0.")


class Service(Shape):
    """What one service sent in the range."""

    service: str
    logs: int
    errors: int = Field(description="Logs of severity 17 (error) and above.")
    spans: int
    span_errors: int
    metric_points: int
    logs_per_second: float
    last_unix_ns: UnixNs
    findings_open: int
    sparkline: Sparkline
    errors_sparkline: Sparkline


class ServicesAnswer(Shape):
    """Services by name."""

    items: list[Service]


class LogRecord(Shape):
    """One log record."""

    time_unix_ns: UnixNs
    severity_number: int
    severity: str = Field(examples=["error"])
    severity_text: str = Field(description="The severity in the sender's own word.")
    service: str
    entity: str
    body: str = Field(description="The text; JSON where body_type is not string.")
    body_type: Literal["empty", "string", "bool", "int", "double", "array", "map", "bytes"]
    attributes: Attributes
    resource_attributes: Attributes
    scope_name: str
    trace_id: str
    span_id: str
    event_name: str
    template_id: TemplateId | None = Field(description="Null until the record's pattern is known.")
    key: str = Field(description="Tells this record apart from all others.")


class LogsAnswer(Shape):
    """One page of log records."""

    items: list[LogRecord]
    next_cursor: str | None = Field(description="The cursor of the next page; null at the end.")
    scanned: int = Field(description="Records that were looked at.")


class HistogramStep(Shape):
    """One step of a histogram; it begins at its time."""

    time_unix_ns: UnixNs
    count: int
    errors: int


class HistogramAnswer(Shape):
    """Counts over time."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)

    from_unix_ns: UnixNs = Field(alias="from")
    to_unix_ns: UnixNs = Field(alias="to")
    step_ns: UnixNs
    items: list[HistogramStep]


class ParameterValue(Shape):
    """A value that stood at a place, and in how many of the lines."""

    value: str
    count: int


class Parameter(Shape):
    """What stands at one `<*>` of a pattern, in its newest lines."""

    position: int
    distinct: int
    values: list[ParameterValue]


class Pattern(Shape):
    """One log pattern."""

    template_id: TemplateId
    template: str = Field(examples=["user <*> signed in from <*>"])
    count: int
    first_unix_ns: UnixNs
    last_unix_ns: UnixNs
    services: list[str]
    severity: str = Field(description="The highest among its lines.")
    sparkline: Sparkline
    examples: list[str]


class PatternDetail(Pattern):
    """One log pattern with the values of its parameters."""

    parameters: list[Parameter]


class PatternsAnswer(Shape):
    """Log patterns."""

    items: list[Pattern]


class Band(Shape):
    """A range of values; null is no bound."""

    text: str
    low: float | None
    high: float | None
    unit: str


class Evidence(Shape):
    """One piece of evidence: a line, a series of points, or a note."""

    kind: str
    text: str
    time_unix_ns: UnixNs
    trace_id: str
    points: list[tuple[UnixNs, float | None]]


class Baseline(Shape):
    """What normal was learned from."""

    from_unix_ns: UnixNs
    to_unix_ns: UnixNs
    windows: int
    lines: int


class FindingShape(Shape):
    """One thing that is out of the ordinary, with its evidence."""

    id: str
    kind: str
    signal: str
    service: str
    entity: str
    subject: str
    title: str
    why: str
    severity: Literal["info", "warning", "critical"]
    score: float
    count: int
    first_unix_ns: UnixNs
    last_unix_ns: UnixNs
    expected: Band
    seen: Band
    baseline: Baseline
    state: Literal["open", "closed"]
    template_id: TemplateId | None
    template: str
    evidence: list[Evidence]
    detected_unix_ns: UnixNs
    attributes: Attributes
    incident_id: str = Field("", description="The incident that it belongs to; of lists and single findings.")
    schema_version: int


class FindingsAnswer(Shape):
    """One page of findings, latest opened first."""

    items: list[FindingShape]
    next_cursor: str | None


class Metric(Shape):
    """One metric."""

    name: str
    kind: str = Field(examples=["gauge", "sum", "histogram", "exponential_histogram", "summary"])
    unit: str
    description: str
    services: list[str]
    series: int
    last_unix_ns: UnixNs
    attributes: list[str] = Field(description="Names of attributes that its points carry; what to group by.")
    aggregations: list[str] = Field(description="What `agg` may be, the usual one first.")


class MetricsAnswer(Shape):
    """Metrics by name."""

    items: list[Metric]


class Series(Shape):
    """One line of a chart; a step without points is left out."""

    labels: dict[str, str]
    times_unix_ns: list[UnixNs]
    values: list[float]


class SeriesAnswer(Shape):
    """The course of a metric."""

    name: str
    kind: str
    unit: str
    agg: str
    step_ns: UnixNs
    items: list[Series]
    truncated: bool = Field(description="Whether there are more series than are shown.")
    series_total: int


class TraceSummary(Shape):
    """One trace in short."""

    trace_id: str
    root_service: str
    root_name: str
    start_unix_ns: UnixNs
    duration_ms: float
    spans: int
    errors: int
    services: list[str]


class TracesAnswer(Shape):
    """Traces, the latest begun first."""

    items: list[TraceSummary]


class Span(Shape):
    """One span."""

    span_id: str
    parent_span_id: str
    service: str
    entity: str
    name: str
    kind: Literal["unspecified", "internal", "server", "client", "producer", "consumer"]
    start_unix_ns: UnixNs
    duration_ns: UnixNs
    status_code: Literal["unset", "ok", "error"]
    status_message: str
    scope_name: str
    attributes: Attributes
    resource_attributes: Attributes
    events: list[Any]
    links: list[Any]


class Trace(Shape):
    """All spans of a trace by start time."""

    trace_id: str
    spans: list[Span]
    truncated: bool


class SettingRow(Shape):
    """One setting in force."""

    name: str
    value: bool | int | float | str
    default: bool | int | float | str
    source: str
    help: str


class SettingsAnswer(Shape):
    """All settings."""

    items: list[SettingRow]


class SqlRequest(BaseModel):
    """A reading statement over the tables logs, metrics and spans."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(min_length=1, max_length=100_000, examples=["SELECT service, count(*) FROM logs GROUP BY 1"])
    rows_max: int | None = Field(
        None, ge=1, le=1_000_000, description="Rows to give at most; query_rows_max if left out."
    )


class BackupRequest(BaseModel):
    """Where a backup is to be written."""

    model_config = ConfigDict(extra="forbid")

    target: str = Field(
        min_length=1,
        max_length=4_096,
        pattern=r"^/[^\x00]*$",
        description="Absolute path of a new folder or of a new .tar file; what exists is never overwritten.",
        examples=["/var/backups/watchkeeper-2026-11-21.tar"],
    )


class BackupAnswer(Shape):
    """What a backup holds."""

    target: str
    files: int
    bytes: int


class SqlColumn(Shape):
    """One column of an answer; `type` as Arrow names it."""

    name: str
    type: str


class SqlAnswer(Shape):
    """Rows; a column with whole numbers beyond 2^53 is text throughout."""

    columns: list[SqlColumn]
    rows: list[list[Any]]
    truncated: bool
    elapsed_ms: float


class TokenRequest(BaseModel):
    """A token to be made."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$", examples=["ci"])
    role: Literal["viewer", "operator", "admin", "ingest"]
    expires_days: float | None = Field(None, gt=0, lt=36_500)


class Token(Shape):
    """A token without its secret."""

    name: str
    role: str
    created_unix_ns: UnixNs
    expires_unix_ns: UnixNs | None


class NewToken(Shape):
    """A token with its secret, which is shown this once."""

    name: str
    role: str
    secret: str


class TokensAnswer(Shape):
    """Tokens by name."""

    items: list[Token]


class LogEntry(BaseModel):
    """One entry of POST /logs; what is not named here becomes an attribute."""

    model_config = ConfigDict(extra="allow")

    timestamp: str = Field(
        description="RFC 3339.", json_schema_extra={"format": "date-time"}, examples=["2026-11-21T07:00:00.123Z"]
    )
    level: str = Field(examples=["error"])
    component: str = Field(description="Becomes the service.", examples=["cart"])
    message: str = Field(examples=["no stock left"])


class LogEntryError(Shape):
    """Why an entry was not taken."""

    position: int
    field: str
    message: str


class LogEntriesAnswer(Shape):
    """What became of the entries."""

    accepted: int
    rejected: int
    errors: list[LogEntryError]
