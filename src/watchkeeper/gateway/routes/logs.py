"""Log records, their counts over time, their live feed, and their patterns."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response, StreamingResponse

from watchkeeper.errors import NotFound, QueryError
from watchkeeper.gateway import models
from watchkeeper.gateway.context import Asked, Gateway, Parts
from watchkeeper.gateway.live import log_events
from watchkeeper.gateway.shapes import JsonResponse
from watchkeeper.signals.schema import SEVERITY_NAMES, TIME_MAX_UNIX_NS
from watchkeeper.store.reads import logs as reads
from watchkeeper.store.reads import patterns
from watchkeeper.store.reads.base import TimeRange

PAGE_MAX = 5_000
TEMPLATE_ID = r"^-?\d{1,19}$"

router = APIRouter(prefix="/api/v1", tags=["logs"])

Search = Annotated[
    str, Query(alias="query", max_length=4096, description="The query language of logs.", examples=["refused -healthz"])
]
ServiceName = Annotated[str, Query(max_length=1000, description="Exact name of the service.")]
SeverityMin = Annotated[
    str,
    Query(
        alias="severity_min",
        max_length=20,
        description="Least severity: a name or a number of 0 to 24.",
        examples=["warn"],
    ),
]
TemplateId = Annotated[str, Query(alias="template_id", pattern=TEMPLATE_ID + "|^$", description="Id of the pattern.")]
TraceId = Annotated[str, Query(alias="trace_id", max_length=64, description="Id of the trace, hexadecimal.")]


def log_filter(
    search: Search = "",
    service: ServiceName = "",
    severity_min: SeverityMin = "",
    template_id: TemplateId = "",
    trace_id: TraceId = "",
) -> reads.LogFilter:
    """Take a filter from a request; raises QueryError for a query that cannot be read."""
    chosen = reads.LogFilter(
        query=search,
        service=service,
        severity_min=read_severity(severity_min),
        template_id=read_template_id(template_id) if template_id else None,
        trace_id=trace_id,
    )
    assert chosen.condition.sql
    return chosen


def read_severity(text: str) -> int:
    """Give the least severity number of a name or number; raises QueryError.

    >>> read_severity("warn"), read_severity("17"), read_severity("")
    (13, 17, 0)
    """
    said = text.strip().lower()
    if not said:
        return 0
    if said in SEVERITY_NAMES:
        return max(0, 4 * SEVERITY_NAMES.index(said) - 3)
    if said.isascii() and said.isdigit() and int(said) <= 24:
        return int(said)
    raise QueryError(f"severity_min={text!r} is neither of {', '.join(SEVERITY_NAMES)} nor a number of 0 to 24")


def read_template_id(text: str) -> int:
    """Give the id of a pattern; raises QueryError when it does not fit 64 bits."""
    value = int(text)
    if not -(2**63) <= value < 2**63:
        raise QueryError(f"template_id={text} does not fit 64 bits; take it from a record or a pattern")
    return value


Filter = Annotated[reads.LogFilter, Depends(log_filter)]


@router.get("/logs", operation_id="searchLogs", response_model=models.LogsAnswer)
async def search(
    gateway: Parts,
    chosen: Filter,
    asked: Asked,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    cursor: Annotated[str, Query(max_length=200, description="`next_cursor` of the page before.")] = "",
    order: Annotated[Literal["desc", "asc"], Query(description="Newest first (desc) or oldest first.")] = "desc",
) -> Response:
    """Search log records.

    Without `to` the search has no end, so that records whose clock is ahead are found too.
    """
    now = gateway.now_unix_ns()
    within = asked.read(now)
    if not asked.to_text:
        within = TimeRange(within.from_unix_ns, TIME_MAX_UNIX_NS)
    page = await gateway.work.queries.run(
        reads.search_logs,
        gateway.keeper.store,
        chosen,
        within,
        limit=limit,
        cursor=cursor or None,
        ascending=order == "asc",
        now_unix_ns=now,
    )
    return JsonResponse(page._asdict())


@router.get("/logs/histogram", operation_id="countLogs", response_model=models.HistogramAnswer)
async def histogram(
    gateway: Parts, chosen: Filter, asked: Asked, buckets: Annotated[int, Query(ge=1, le=1000)] = 60
) -> Response:
    """Count log records and errors in equal steps of the range."""
    within = asked.read(gateway.now_unix_ns())
    return JsonResponse(
        await gateway.work.queries.run(reads.log_histogram, gateway.keeper.store, chosen, within, buckets=buckets)
    )


@router.get(
    "/logs/stream",
    operation_id="followLogs",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def stream(gateway: Parts, chosen: Filter) -> Response:
    """Follow log records as they become queryable.

    Server-sent events: `log` (LogRecord), `dropped` `{count}` for records that came too fast to be shown.
    """
    return gateway.streams.response(log_events(gateway, chosen))


@router.get("/patterns", operation_id="listPatterns", response_model=models.PatternsAnswer, tags=["patterns"])
async def list_patterns(
    gateway: Parts,
    chosen: Filter,
    asked: Asked,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    sort: Annotated[
        Literal["count", "recent", "rare"], Query(description="Most lines, latest line, or fewest lines first.")
    ] = "count",
) -> Response:
    """List the patterns of the log records that match."""
    within = asked.read(gateway.now_unix_ns())
    items = await gateway.shared.get(
        ("patterns", chosen, asked, limit, sort),
        lambda: gateway.work.queries.run(
            patterns.list_patterns,
            gateway.keeper.store,
            chosen,
            within,
            gateway.keeper.patterns.get,
            sort=sort,
            limit=limit,
        ),
    )
    return JsonResponse({"items": items})


@router.get(
    "/patterns/{template_id}", operation_id="getPattern", response_model=models.PatternDetail, tags=["patterns"]
)
async def get_pattern(gateway: Parts, template_id: Annotated[str, Path(pattern=TEMPLATE_ID)], asked: Asked) -> Response:
    """Show one pattern with its newest lines and the values of its parameters."""
    return JsonResponse(await _pattern(gateway, read_template_id(template_id), asked))


async def _pattern(gateway: Gateway, template_id: int, asked: Asked) -> dict[str, Any]:
    within = asked.read(gateway.now_unix_ns())
    found = await gateway.work.queries.run(
        patterns.one_pattern, gateway.keeper.store, template_id, within, gateway.keeper.patterns.get
    )
    if found is None:
        raise NotFound(f"there is no pattern {template_id} in this range; /api/v1/patterns lists them")
    return found
