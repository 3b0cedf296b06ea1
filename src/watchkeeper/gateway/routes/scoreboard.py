"""The scoreboard of the harness, as the last `watchkeeper bench run` of this home left it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from watchkeeper.bench.output.kept import read_board
from watchkeeper.gateway import models_scoreboard as models
from watchkeeper.gateway.context import Gateway, Parts
from watchkeeper.gateway.shapes import JsonResponse

router = APIRouter(prefix="/api/v1", tags=["scoreboard"])

COMMAND = "watchkeeper bench run --suite quick"


@router.get("/scoreboard", operation_id="getScoreboard", response_model=models.ScoreboardAnswer)
async def get_scoreboard(gateway: Parts) -> Response:
    """Show every measured task, data set, model and enhancement with intervals, cost and marks."""
    return JsonResponse(await gateway.shared.get(("scoreboard",), lambda: gateway.work.queries.run(_answer, gateway)))


def _answer(gateway: Gateway) -> dict[str, Any]:
    board = read_board(gateway.keeper.settings.path("home") / "bench" / "records")
    none = {"available": False, "command": COMMAND, "written": "", "machine": "", "tables": []}
    return {**none, **board, "available": True} if board else none
