"""Feedback on findings and incidents: verdicts and their undoing, a preview, rounds and the way back."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from watchkeeper.app.feedback import Round
from watchkeeper.diagnose.base import Category
from watchkeeper.feedback.entries import Entry
from watchkeeper.gateway import models_feedback as models
from watchkeeper.gateway.acting import actor
from watchkeeper.gateway.context import Gateway, Parts
from watchkeeper.gateway.shapes import JsonResponse, times_as_text
from watchkeeper.store.reads.times import parse_range

router = APIRouter(prefix="/api/v1/feedback", tags=["feedback"])

CATEGORIES = [each.value for each in Category if each is not Category.UNKNOWN]


@router.get("", operation_id="listFeedback", response_model=models.FeedbackAnswer)
async def list_feedback(
    gateway: Parts,
    subject: Annotated[str, Query(max_length=100, description="Only of this finding or incident.")] = "",
    by: Annotated[str, Query(max_length=200, description="Only what this person said.")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str, Query(max_length=200, description="`next_cursor` of the page before.")] = "",
) -> Response:
    """List what people said of findings and incidents, latest first; what was taken back and the undoing too."""

    def read() -> dict[str, Any]:
        feedback = gateway.keeper.feedback
        items, more = feedback.ledger.list(subject=subject, by=by, limit=limit, cursor=cursor)
        known = {each.id for each in feedback.ledger.in_force()}
        shapes = [_shape(each, known) for each in items]
        return {"items": shapes, "next_cursor": more, "pending": feedback.pending(), "categories": CATEGORIES}

    return JsonResponse(await gateway.work.queries.run(read))


@router.post(
    "",
    operation_id="giveFeedback",
    response_model=models.FeedbackShape,
    status_code=201,
    responses={200: {"model": models.FeedbackShape, "description": "The same person has said so before."}},
)
async def give(gateway: Parts, http: Request, request: models.FeedbackRequest) -> Response:
    """Say that a finding or incident is right or wrong, or name its true cause or category; rules act with a round."""
    given = await gateway.work.queries.run(
        gateway.keeper.feedback.ledger.give,
        request.subject,
        request.verdict,
        true_cause=request.true_cause,
        true_category=request.true_category,
        who=actor(http, request.by),
        why=request.why,
    )
    return JsonResponse(_shape(given.entry, {given.entry.id}), status_code=201 if given.is_new else 200)


@router.get("/questions", operation_id="askForFeedback", response_model=models.QuestionsAnswer)
async def questions(
    gateway: Parts,
    start: Annotated[str, Query(alias="from", max_length=60, description="Begin, as of a list.")] = "7d",
    end: Annotated[str, Query(alias="to", max_length=60, description="End, as of a list.")] = "now",
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
) -> Response:
    """List the findings that a verdict on is worth most, at most two about the same thing, the best first."""
    within = parse_range(start, end, gateway.now_unix_ns())

    def ask() -> list[dict[str, Any]]:
        asked = gateway.keeper.feedback.questions(within.from_unix_ns, within.to_unix_ns, limit)
        told = ("title", "kind", "service", "first_unix_ns")
        return [{**each._asdict(), **{name: getattr(finding, name) for name in told}} for each, finding in asked]

    return JsonResponse({"items": times_as_text(await gateway.work.sql.run(ask))})


@router.post("/preview", operation_id="previewFeedback", response_model=models.FeedbackPreviewAnswer)
async def preview(gateway: Parts, request: models.FeedbackPreviewRequest) -> Response:
    """Tell which kept findings and incidents would change if the feedback given were applied now; changes nothing."""
    within = parse_range(request.start, request.end, gateway.now_unix_ns())
    told = await gateway.work.sql.run(gateway.keeper.feedback.preview, within.from_unix_ns, within.to_unix_ns)
    return JsonResponse(times_as_text(told))


@router.get("/rounds", operation_id="listFeedbackRounds", response_model=models.RoundsAnswer)
async def list_rounds(gateway: Parts) -> Response:
    """List the rounds of feedback, latest first, and who did what with them."""
    return JsonResponse(await gateway.work.queries.run(_rounds, gateway))


@router.post("/rounds", operation_id="applyFeedback", response_model=models.RoundShape, status_code=201)
async def apply(gateway: Parts, http: Request, request: models.RoundRequest) -> Response:
    """Make a round of all feedback in force; it acts unless it is worse, and is a candidate then, with the reason."""
    made = await gateway.work.sql.run(_apply, gateway, actor(http, request.by), request.why)
    return JsonResponse(_round(made), status_code=201)


@router.post("/rollback", operation_id="rollBackFeedback", response_model=models.RoundShape)
async def rollback(gateway: Parts, http: Request, request: models.RoundRequest) -> Response:
    """Go back to the round before, in one step; what people said stays and waits for the next round."""
    back = await gateway.work.queries.run(_rollback, gateway, actor(http, request.by), request.why)
    return JsonResponse(_round(back))


@router.delete("/{entry_id}", operation_id="undoFeedback", response_model=models.FeedbackShape)
async def undo(
    gateway: Parts,
    http: Request,
    entry_id: Annotated[str, Path(max_length=100)],
    by: Annotated[str, Query(max_length=100, description="Who does it, where no tokens are set up.")] = "",
    why: Annotated[str, Query(max_length=4_000)] = "",
) -> Response:
    """Take an entry back; the entry stays in the log, and so does who took it back."""
    who = actor(http, by)
    given = await gateway.work.queries.run(gateway.keeper.feedback.ledger.undo, entry_id, who=who, why=why)
    return JsonResponse(_shape(given.entry, set()))


def _apply(gateway: Gateway, who: str, why: str) -> Round:
    return gateway.keeper.feedback.apply(who=who, why=why)


def _rollback(gateway: Gateway, who: str, why: str) -> Round:
    return gateway.keeper.feedback.rollback(who=who, why=why)


def _rounds(gateway: Gateway) -> dict[str, Any]:
    feedback = gateway.keeper.feedback
    audit = [each._asdict() for each in feedback.audit()]
    for each in audit:
        del each["name"]
    return {
        "items": [_round(each) for each in feedback.rounds()],
        "audit": times_as_text(audit),
        "pending": feedback.pending(),
    }


def _round(one: Round) -> dict[str, Any]:
    shape: dict[str, Any] = times_as_text(one._asdict())
    return shape


def _shape(entry: Entry, in_force: set[str]) -> dict[str, Any]:
    shape: dict[str, Any] = times_as_text(entry.as_dict())
    shape["findings"] = len(shape.pop("describes"))
    shape["in_force"] = entry.id in in_force
    return shape
