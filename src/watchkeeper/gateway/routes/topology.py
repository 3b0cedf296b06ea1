"""The topology: what is there and how it hangs together, now or in the past."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from watchkeeper.gateway import models_topology as models
from watchkeeper.gateway.context import Asked, Parts
from watchkeeper.gateway.shapes import JsonResponse, times_as_text

router = APIRouter(prefix="/api/v1", tags=["topology"])


@router.get("/topology", operation_id="getTopology", response_model=models.TopologyAnswer)
async def get_topology(gateway: Parts, asked: Asked) -> Response:
    """Show the nodes and edges of the hours that overlap the range, and what of the CMDB does not agree with them."""
    within = asked.read(gateway.now_unix_ns())
    topologies = gateway.keeper.topologies
    graph = await gateway.work.queries.run(topologies.at, within.from_unix_ns, within.to_unix_ns)
    problems = await gateway.work.queries.run(topologies.problems, within.from_unix_ns, within.to_unix_ns)
    return JsonResponse({**times_as_text(graph.as_dict()), "problems": list(problems)})
