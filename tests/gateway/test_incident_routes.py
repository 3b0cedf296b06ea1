"""The routes of incidents, changes, silences and alerts: shapes, refusals, who acted, and the live feed."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gateway.assembly import Keeper, LiveServer, finding
from tests.store.reads.tables import NOW, SECOND

from watchkeeper.gateway import models, models_incidents

ALERT = {
    "status": "firing",
    "labels": {"alertname": "Slow", "service": "mail"},
    "annotations": {},
    "startsAt": "2025-11-21T04:30:00Z",
}


def call(server: LiveServer, method: str, path: str, body: Any = None, *, model: Any = None, status: int = 200) -> Any:
    answer = server.client.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
    data = answer.json() if answer.content else None
    if model is not None:
        model.model_validate(data, extra="forbid", strict=False)
    return data


@pytest.fixture
def first(server: LiveServer) -> str:
    listed = call(server, "GET", "/api/v1/incidents?service=cart", model=models_incidents.IncidentsAnswer)
    (item,) = listed["items"]
    return str(item["id"])


def test_incidents_have_their_documented_shape(server: LiveServer, first: str) -> None:
    whole = call(server, "GET", f"/api/v1/incidents/{first}", model=models_incidents.IncidentShape)
    assert [each["id"] for each in whole["findings"]] == whole["finding_ids"] == ["f1"]
    assert whole["opened_unix_ns"] == str(NOW - SECOND)
    assert [entry["time_unix_ns"] for entry in whole["timeline"]] == [str(NOW - SECOND)] * 2
    pages = [call(server, "GET", "/api/v1/incidents?limit=1")]
    pages.append(call(server, "GET", f"/api/v1/incidents?limit=1&cursor={pages[0]['next_cursor']}"))
    assert {page["items"][0]["services"][0] for page in pages} == {"cart", "pay"}
    assert pages[1]["next_cursor"] is None
    call(server, "GET", "/api/v1/incidents/none", status=404)
    call(server, "GET", "/api/v1/incidents?cursor=x", status=400)
    call(server, "GET", "/api/v1/incidents?state=odd", status=400)


def test_acts_change_it_and_stand_in_the_timeline(server: LiveServer, keeper: Keeper, first: str) -> None:
    shape = models_incidents.IncidentShape
    at = f"/api/v1/incidents/{first}"
    acted = call(server, "POST", f"{at}/acknowledge", {"by": "ann", "text": "mine"}, model=shape)
    assert (acted["state"], acted["acknowledged_by"]) == ("acknowledged", "ann")
    assert "acknowledged" in call(server, "POST", f"{at}/acknowledge", {}, status=409)["detail"]
    call(server, "POST", f"{at}/note", {"text": "n"}, model=shape)
    call(server, "POST", f"{at}/note", {"text": ""}, status=400)
    call(server, "POST", f"{at}/resolve", {}, model=shape)
    call(server, "POST", f"{at}/reopen", {}, model=shape)
    other = call(server, "GET", "/api/v1/incidents?service=pay")["items"][0]["id"]
    merged = call(server, "POST", f"{at}/merge", {"incidents": [other]}, model=shape)
    assert len(merged["findings"]) == 2
    assert call(server, "GET", f"/api/v1/incidents/{other}")["merged_into"] == first
    halves = call(server, "POST", f"{at}/split", {"findings": ["f2"]}, model=models_incidents.SplitAnswer)
    assert halves["new"]["services"] == ["pay"]
    call(server, "POST", f"{at}/split", {"findings": ["f1"]}, status=400)
    secret = keeper.tokens.create("carla", "operator")
    server.client.headers["Authorization"] = f"Bearer {secret}"
    told = call(server, "POST", f"{at}/note", {"text": "by token", "by": "somebody else"}, model=shape)
    assert told["timeline"][-1]["by"] == "carla"


def test_reports_and_explaining(server: LiveServer, keeper: Keeper, first: str) -> None:
    at = f"/api/v1/incidents/{first}"
    assert "no report yet" in call(server, "GET", f"{at}/report", status=404)["detail"]
    assert "explains" in call(server, "POST", f"{at}/explain", {}, status=409)["detail"]
    keeper.incidents.set_diagnosis(first, {"report_markdown": "# why", "report_html": "<h1>why</h1>"})
    for form, kind, text in (("markdown", "text/markdown", "# why"), ("html", "text/html", "<h1>why</h1>")):
        answer = server.client.get(f"{at}/report?format={form}")
        assert (answer.headers["content-type"], answer.text) == (f"{kind}; charset=utf-8", text)
    keeper.incidents.explainer = lambda identifier: {"incident": identifier, "at_unix_ns": NOW}
    assert call(server, "POST", f"{at}/explain", {}) == {"incident": first, "at_unix_ns": str(NOW)}


def test_a_preview(server: LiveServer) -> None:
    body = {"settings": {"incident_coincidence_s": 60}, "from": "1d", "to": str(NOW + SECOND)}
    answer = call(server, "POST", "/api/v1/incidents/preview", body, model=models_incidents.PreviewAnswer)
    assert (answer["incidents"], answer["present"]["incidents"], answer["findings"]) == (1, 2, 2)
    refused = call(server, "POST", "/api/v1/incidents/preview", {"settings": {"http_port": 1}}, status=400)
    assert "incident_" in refused["detail"]


def test_changes_are_kept_once(server: LiveServer) -> None:
    body = {"kind": "deploy", "title": "cart 2", "service": "cart", "id": "d1", "time": "5m", "by": "ci"}
    shape = models_incidents.ChangeShape
    made = call(server, "POST", "/api/v1/changes", body, model=shape, status=201)
    assert (made["node"], made["time_unix_ns"]) == ("service:cart", str(NOW - 300 * SECOND))
    assert call(server, "POST", "/changes", {**body, "title": "other"}, model=shape, status=200) == made
    assert call(server, "GET", "/api/v1/changes/d1", model=shape) == made
    listed = call(server, "GET", "/api/v1/changes?node=service:cart", model=models_incidents.ChangesAnswer)
    assert listed["items"] == [made]
    assert call(server, "GET", "/api/v1/changes?kind=flag")["items"] == []
    call(server, "GET", "/api/v1/changes/none", status=404)
    call(server, "POST", "/changes", {"kind": "magic", "title": "x"}, status=400)
    call(server, "POST", "/changes", {"kind": "flag", "title": "x", "time": "soon"}, status=400)
    assert server.client.post("/changes", content=b"kind=deploy&title=x").status_code == 415
    assert server.client.post("/changes", json={"title": "x" * 2**20}).status_code == 413


def test_silences(server: LiveServer) -> None:
    body = {"matchers": {"service": "mail"}, "why": "moving", "duration_s": 60, "by": "ann"}
    made = call(server, "POST", "/api/v1/silences", body, model=models_incidents.SilenceShape, status=201)
    assert (made["matchers"], made["active"]) == ({"service": "mail"}, True)
    call(server, "POST", "/api/v1/alerts/alertmanager", {"version": "4", "alerts": [ALERT]})
    assert call(server, "GET", "/api/v1/incidents?service=mail")["items"] == []
    (kept,) = call(server, "GET", "/api/v1/findings?service=mail")["items"]
    assert kept["attributes"]["silenced_by"] == made["id"]
    call(server, "DELETE", f"/api/v1/silences/{made['id']}", status=204)
    shown = call(server, "GET", "/api/v1/silences?ended=true", model=models_incidents.SilencesAnswer)
    assert [item["active"] for item in shown["items"]] == [False]
    assert call(server, "GET", "/api/v1/silences")["items"] == []
    call(server, "DELETE", "/api/v1/silences/none", status=404)
    for bad in ({**body, "matchers": {}}, {**body, "matchers": {"template": "("}}, {**body, "duration_s": 0}):
        call(server, "POST", "/api/v1/silences", bad, status=400)


def test_alerts_become_findings_and_incidents(server: LiveServer) -> None:
    path = "/api/v1/alerts/alertmanager"
    payload = {"version": "4", "receiver": "wk", "alerts": [ALERT]}
    assert call(server, "POST", path, payload, model=models_incidents.AlertsAnswer) == {"findings": 1}
    (kept,) = call(server, "GET", "/api/v1/findings?kind=alert.Slow", model=models.FindingsAnswer)["items"]
    (incident,) = call(server, "GET", "/api/v1/incidents?service=mail")["items"]
    assert call(server, "GET", f"/api/v1/incidents/{incident['id']}")["finding_ids"] == [kept["id"]]
    call(server, "POST", path, {"version": "3", "alerts": []}, status=400)
    call(server, "POST", path, {"version": "4", "alerts": [{**ALERT, "startsAt": "x"}]}, status=400)


def test_incidents_are_told_live(server: LiveServer, keeper: Keeper) -> None:
    with server.client.stream("GET", "/api/v1/events") as answer:
        lines = answer.iter_lines()
        next(line for line in lines if line == "event: status")
        keeper.publish([finding("f9", service="mail", entity="service=mail")])
        next(line for line in lines if line == "event: incident")
        data = next(line for line in lines if line.startswith("data: "))
    shown = models_incidents.IncidentSummary.model_validate_json(data.removeprefix("data: "), extra="forbid")
    assert shown.services == ["mail"]
