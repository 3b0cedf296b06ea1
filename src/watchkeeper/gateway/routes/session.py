"""Who the one that asks is: the name and role of the token, so that a page offers only what may be done."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from watchkeeper.gateway.auth import peer_of
from watchkeeper.gateway.context import Parts
from watchkeeper.gateway.models_session import SessionAnswer
from watchkeeper.gateway.shapes import JsonResponse
from watchkeeper.receive.tokens import Role, identify

router = APIRouter(prefix="/api/v1", tags=["system"])


@router.get("/session", operation_id="getSession", response_model=SessionAnswer)
async def session(gateway: Parts, http: Request) -> Response:
    """Tell the name and the role of the token; where nobody is asked for one, all may be done."""
    keeper = gateway.keeper
    identity = identify(keeper.settings, keeper.tokens, peer_of(http, protocol="http"), Role.VIEWER)
    if identity is None:
        return JsonResponse({"name": "", "role": Role.ADMIN.value, "may_operate": True})
    may = identity.may(Role.OPERATOR)
    return JsonResponse({"name": identity.name, "role": identity.role.value, "may_operate": may})
