"""Versions of models, and why a line is judged so, over HTTP."""

from __future__ import annotations

from tests.gateway.assembly import Keeper, LiveServer

from watchkeeper.models.versions import Card

MODEL = "logs/default"


def publish(keeper: Keeper, name: str = MODEL) -> int:
    return keeper.models.publish(
        name,
        lambda folder: (folder / "model.txt").write_text("m") and None,
        Card("logs", "job-7", {"from_unix_ns": 2**60}, quality={"held_out_accuracy": 0.9}),
        verify=lambda folder: None,
    ).number


def test_versions_are_listed_promoted_rolled_back_and_audited(server: LiveServer, keeper: Keeper) -> None:
    for _ in range(2):
        body = {"name": MODEL, "number": publish(keeper), "why": "better", "by": "ada"}
        assert server.client.post("/api/v1/models/promote", json=body).json()["state"] == "active"
    back = server.client.post("/api/v1/models/rollback", json={"name": MODEL, "why": "noisy", "by": "bob"}).json()
    assert (back["number"], back["state"]) == (1, "active")
    listed = server.client.get("/api/v1/models", params={"name": MODEL}).json()
    assert [(each["number"], each["state"]) for each in listed["items"]] == [(2, "retired"), (1, "active")]
    assert listed["problems"] == []
    assert listed["items"][0]["card"]["trained_on"] == {"from_unix_ns": str(2**60)}
    assert "folder" not in listed["items"][0]
    shown = server.client.get("/api/v1/models/version", params={"name": MODEL, "number": 2}).json()
    assert shown["parent"] == 1
    audit = server.client.get("/api/v1/models/audit", params={"name": MODEL, "limit": 2}).json()["items"]
    assert [(each["what"], each["who"], each["why"]) for each in audit] == [
        ("rollback", "bob", "from 2: noisy"),
        ("promote", "ada", "better"),
    ]


def test_what_cannot_be_is_told(server: LiveServer, keeper: Keeper) -> None:
    post = server.client.post
    assert post("/api/v1/models/promote", json={"name": MODEL, "number": 9}).status_code == 404
    assert post("/api/v1/models/rollback", json={"name": MODEL}).status_code == 409
    assert post("/api/v1/models/save", json={"name": MODEL}).status_code == 404
    keeper.models.promote(MODEL, publish(keeper), who="ada", why="")
    number = publish(keeper)
    (keeper.models.get(MODEL, number).folder / "model.txt").write_text("damaged")
    refused = post("/api/v1/models/promote", json={"name": MODEL, "number": number})
    assert (refused.status_code, "damaged" in refused.json()["detail"]) == (409, True)


def test_the_online_model_is_saved_and_goes_back(server: LiveServer) -> None:
    saved = server.client.post("/api/v1/models/save", json={"name": "online", "why": "a normal day"})
    assert (saved.status_code, saved.json()["number"], saved.json()["state"]) == (201, 1, "active")
    back = server.client.post("/api/v1/models/rollback", json={"name": "online"}).json()
    assert back["number"] == 1
    listed = server.client.get("/api/v1/models", params={"name": "online"}).json()["items"]
    assert [(each["number"], each["state"]) for each in listed] == [(2, "retired"), (1, "active")]


def test_why_works_without_any_model_and_learns_nothing(server: LiveServer) -> None:
    asked = {"line": "cart 4711 is lost", "service": "cart"}
    told = server.client.post("/api/v1/why", json=asked).json()
    assert told["masked"] == "cart <*> is lost"
    assert (told["pattern"], told["models"], told["online"]["services"]) == (None, [], [])
    assert "no log model" in told["no_model"]
    assert told["online"]["state"] == "no data"
    assert server.client.post("/api/v1/why", json=asked).json() == told
    assert server.client.post("/api/v1/why", json={**asked, "model": "logs/none"}).status_code == 404


def test_a_page_is_told_what_it_may_do(server: LiveServer, keeper: Keeper) -> None:
    assert server.client.get("/api/v1/session").json() == {"name": "", "role": "admin", "may_operate": True}
    secrets = {role: keeper.tokens.create(f"a-{role}", role) for role in ("viewer", "operator")}
    assert server.client.get("/api/v1/session").status_code == 401
    for role, secret in secrets.items():
        answer = server.client.get("/api/v1/session", headers={"Authorization": f"Bearer {secret}"}).json()
        assert answer == {"name": f"a-{role}", "role": role, "may_operate": role == "operator"}
