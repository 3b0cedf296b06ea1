"""Explains a span of time that somebody chose: the same diagnosis as an incident's, kept nowhere."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from watchkeeper.errors import QueryError
from watchkeeper.gateway import models_explain as models
from watchkeeper.gateway.context import Parts
from watchkeeper.gateway.shapes import JsonResponse, times_as_text
from watchkeeper.signals.schema import TIME_MAX_UNIX_NS
from watchkeeper.signals.topology import NodeKind
from watchkeeper.store.reads.base import SECOND_NS

router = APIRouter(prefix="/api/v1", tags=["incidents"])

RANGE_S_MAX = 86_400


@router.post("/explain", operation_id="explainRange", response_model=models.ExplainAnswer)
async def explain(gateway: Parts, request: models.ExplainRequest) -> Response:
    """Diagnose a span of at most a day; its first quarter of an hour is weighed against the time before.

    Without services all of the topology is looked at.
    """
    from_unix_ns, to_unix_ns = _span(request)
    nodes = [f"{NodeKind.SERVICE.value}:{service}" for service in dict.fromkeys(request.services)]
    diagnosis = await gateway.work.sql.run(gateway.keeper.diagnoses.explain_range, from_unix_ns, to_unix_ns, nodes)
    return JsonResponse(times_as_text(diagnosis))


def _span(request: models.ExplainRequest) -> tuple[int, int]:
    """Give both ends; raises QueryError where there is no time between them, or too much."""
    from_unix_ns, to_unix_ns = int(request.from_unix_ns), int(request.to_unix_ns)
    if max(from_unix_ns, to_unix_ns) > TIME_MAX_UNIX_NS:
        raise QueryError("a time is after 2262-04-11, the last that 64-bit nanoseconds can tell")
    if from_unix_ns >= to_unix_ns:
        raise QueryError(f"from_unix_ns ({from_unix_ns}) is not before to_unix_ns ({to_unix_ns}); exchange them")
    if to_unix_ns - from_unix_ns > RANGE_S_MAX * SECOND_NS:
        raise QueryError(
            f"the span is longer than {RANGE_S_MAX} s; choose a shorter one around what is to be explained"
        )
    return from_unix_ns, to_unix_ns
