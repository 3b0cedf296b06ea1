"""Feedback over HTTP and from the command line: what people say, what would change, rounds, and the way back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.gateway.assembly import Keeper, LiveServer, finding
from tests.gateway.test_incident_routes import call
from typer.testing import CliRunner

from watchkeeper.cli.main import root
from watchkeeper.gateway import models_feedback as models
from watchkeeper.gateway.auth import ROLES

PATH = "/api/v1/feedback"


@pytest.fixture
def noisy(keeper: Keeper) -> Keeper:
    keeper.publish([finding("noise", service="mail", entity="service=mail", kind="log.odd")])
    return keeper


def command(server: LiveServer, *arguments: str) -> Any:
    ran = CliRunner().invoke(root, ["--server", server.url, "feedback", *arguments], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran.output


def test_a_journey_from_a_verdict_to_a_round_and_back(server: LiveServer, noisy: Keeper) -> None:
    said = {"subject": "noise", "verdict": "wrong", "why": "every night", "by": "ann"}
    made = call(server, "POST", PATH, said, model=models.FeedbackShape, status=201)
    assert (made["subject_kind"], made["by"], made["in_force"], made["findings"]) == ("finding", "ann", True, 1)
    assert call(server, "POST", PATH, said, status=200)["id"] == made["id"]
    told = call(server, "POST", f"{PATH}/preview", {"from": "30d"}, model=models.FeedbackPreviewAnswer)
    assert (told["pending"], told["findings"]["lowered"], told["would_promote"]) == (1, 1, True)
    assert [each["change"] for each in told["incidents"]["items"]] == ["gone"]
    made = call(server, "POST", f"{PATH}/rounds", {"by": "ann"}, model=models.RoundShape, status=201)
    assert (made["state"], made["rules"]) == ("active", 1)
    call(server, "POST", f"{PATH}/rounds", {}, status=409)
    rounds = call(server, "GET", f"{PATH}/rounds", model=models.RoundsAnswer)
    assert [each["state"] for each in rounds["items"]] == ["active", "retired"]
    assert rounds["audit"][0]["who"] == "ann"
    back = call(server, "POST", f"{PATH}/rollback", {"by": "bob", "why": "no"}, model=models.RoundShape)
    assert (back["number"], back["state"]) == (1, "active")
    call(server, "POST", f"{PATH}/rollback", {}, status=409)


def test_what_cannot_be_said_is_told(server: LiveServer, noisy: Keeper) -> None:
    for status, said in (
        (404, {"subject": "gone", "verdict": "wrong"}),
        (400, {"subject": "noise", "verdict": "meh"}),
        (400, {"subject": "noise", "verdict": "category", "true_category": "gremlins"}),
        (400, {"subject": "noise", "verdict": "cause", "true_cause": "planet:mars"}),
    ):
        assert call(server, "POST", PATH, said, status=status)["detail"]
    call(server, "DELETE", f"{PATH}/none", status=404)


def test_the_log_is_listed_and_an_entry_undone(server: LiveServer, noisy: Keeper) -> None:
    made = call(server, "POST", PATH, {"subject": "noise", "verdict": "right", "by": "ann"}, status=201)
    undone = call(server, "DELETE", f"{PATH}/{made['id']}?by=bob&why=slip", model=models.FeedbackShape)
    assert (undone["verdict"], undone["undoes"], undone["by"]) == ("undo", made["id"], "bob")
    listed = call(server, "GET", f"{PATH}?subject=noise&limit=1", model=models.FeedbackAnswer)
    assert [each["verdict"] for each in listed["items"]] == ["undo"]
    rest = call(server, "GET", f"{PATH}?cursor={listed['next_cursor']}")
    assert [(each["verdict"], each["in_force"]) for each in rest["items"]] == [("right", False)]
    assert "network" in listed["categories"]
    assert listed["pending"] == 0


def test_questions(server: LiveServer, noisy: Keeper) -> None:
    asked = call(server, "GET", f"{PATH}/questions?from=30d", model=models.QuestionsAnswer)["items"]
    assert "noise" in {each["finding_id"] for each in asked}


def test_the_command_line(server: LiveServer, noisy: Keeper) -> None:
    assert "noise" in command(server, "ask", "--from", "30d")
    assert "ann on finding noise: wrong" in command(server, "wrong", "noise", "--by", "ann", "-m", "nightly")
    assert "it would be promoted" in command(server, "preview", "--from", "30d")
    assert "round 2 (active) by ann: 1 entries, 1 rules" in command(server, "apply", "--by", "ann")
    assert "round 1 (active)" in command(server, "rollback", "--by", "ann")
    [entry] = json.loads(command(server, "list", "--json"))["items"]
    assert f"undoes {entry['id']}" in command(server, "undo", entry["id"], "--by", "ann")
    command(server, "cause", "noise", "cart", "--by", "ann")
    assert "category network" in command(server, "category", "noise", "network", "--by", "ann")
    assert "right" in command(server, "right", "noise", "--by", "ann")
    assert "no longer counts" in command(server, "list")


def test_viewers_may_look_and_operators_may_judge() -> None:
    own = {key: role.value for key, role in ROLES.items() if key[1].startswith(PATH) and role}
    assert {role for (method, path), role in own.items() if method == "GET" or path.endswith("preview")} == {"viewer"}
    assert {role for (method, path), role in own.items() if method != "GET" and not path.endswith("preview")} == {
        "operator"
    }
