"""Every route asks for the role that docs/api.md says, and no route is open by oversight."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from tests.gateway.assembly import Keeper, LiveServer

from watchkeeper.gateway.auth import OPENAPI_PATH, PAGE_PATH, ROLES
from watchkeeper.receive.tokens import Role

DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"
MAY = {
    "viewer": {"viewer"},
    "operator": {"viewer", "operator"},
    "admin": {"viewer", "operator", "admin", "ingest"},
    "ingest": {"ingest"},
}
GUARDED = sorted((method, path, role.value) for (method, path), role in ROLES.items() if role)
BODIES = {
    "/api/v1/sql": {"query": "SELECT 1"},
    "/api/v1/tokens": {"name": "new", "role": "viewer"},
    "/api/v1/backup": {"target": "/dev/null"},
    "/api/v1/why": {"line": "cart 7 is ready"},
    "/api/v1/models/promote": {"name": "logs/default", "number": 7},
    "/api/v1/models/rollback": {"name": "logs/default"},
    "/api/v1/models/save": {"name": "online"},
    "/api/v1/training/jobs": {"watchlist": "default"},
    "/api/v1/training/jobs/{job_id}/cancel": {},
    "/logs": {},
    "/changes": {"kind": "deploy", "title": "cart 2"},
    "/api/v1/changes": {"kind": "deploy", "title": "cart 2"},
    "/api/v1/silences": {"matchers": {"kind": "x"}, "why": "known", "duration_s": 1},
    "/model/train": {"items": []},
    "/model/current_status": {"status": "training"},
    "/ai/settings": {},
    "/api/v1/watchlists/{name}": {"items": []},
    "/api/v1/watchlists/{name}/edit": {"add": ["*"]},
    "/api/v1/watchlists/{name}/train": {"items": []},
    "/api/v1/feedback": {"subject": "8", "verdict": "right"},
    "/api/v1/feedback/preview": {},
    "/api/v1/feedback/rounds": {},
    "/api/v1/feedback/rollback": {},
    "/api/v1/alerts/alertmanager": {"version": "4", "alerts": []},
    "/api/v1/incidents/preview": {},
    "/api/v1/explain": {"from_unix_ns": "1", "to_unix_ns": "2"},
    **{f"/api/v1/incidents/{{incident_id}}/{act}": {} for act in ("acknowledge", "resolve", "reopen", "explain")},
    "/api/v1/incidents/{incident_id}/note": {"text": "n"},
    "/api/v1/incidents/{incident_id}/merge": {"incidents": ["8"]},
    "/api/v1/incidents/{incident_id}/split": {"findings": ["8"]},
}


def documented():
    """Read the table of docs/api.md: (method, path) -> role or "-"."""
    found = {}
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        row = re.fullmatch(r"\| ((?:GET|POST|PUT|DELETE).*?) \| ([\w-]+) \| .*\|", line)
        if not row:
            continue
        where, role = row.groups()
        for part in re.split(r"(?<=`),", where):
            path = re.search(r"`(/[^`?]*)", part)[1]
            for method in re.findall(r"\b(?:GET|POST|PUT|DELETE)\b", re.sub(r"`[^`]*`", "", part)):
                found[method, path.replace("{id}", "{finding_id}")] = role
    return found


def test_the_table_of_roles_is_that_of_the_document():
    said = {key: role.value if role else "-" for key, role in ROLES.items()}
    for not_in_the_table in (("GET", PAGE_PATH), ("GET", OPENAPI_PATH)):
        assert said.pop(not_in_the_table) == "-"
    assert documented() == said


def test_every_operation_has_a_role(server: LiveServer):
    operations = {(method.upper(), path) for path, each in server.api.openapi()["paths"].items() for method in each}
    assert operations == set(ROLES) - {("GET", PAGE_PATH), ("GET", OPENAPI_PATH)}


def test_a_route_without_a_role_is_refused(tmp_path):
    keeper = Keeper(tmp_path)
    server = LiveServer(keeper)
    try:
        api: FastAPI = server.api

        async def forgotten() -> dict[str, str]:
            return {"secret": "told"}

        api.add_api_route("/api/v1/forgotten", forgotten, methods=["GET"])
        api.router.routes.insert(0, api.router.routes.pop())
        answer = server.client.get("/api/v1/forgotten")
        assert answer.status_code == 403
        assert "told" not in answer.text
    finally:
        server.stop()
        keeper.close()


@pytest.fixture(scope="module")
def keeper(tmp_path_factory):
    made = Keeper(tmp_path_factory.mktemp("roles"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(keeper: Keeper):
    running = LiveServer(keeper)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def secrets(keeper: Keeper):
    return {role: keeper.tokens.create(role, role) for role in MAY}


@pytest.mark.parametrize(("method", "path", "needed"), GUARDED)
def test_each_role_gets_what_it_may(server: LiveServer, secrets, method, path, needed):
    at = re.sub(r"\{\w+\}", "7", path)

    def status(headers):
        with server.client.stream(method, at, headers=headers, json=BODIES.get(path)) as answer:
            return answer.status_code

    assert status({}) == 401
    assert status({"Authorization": "Bearer wk_viewer_wrong"}) == 401
    assert status({"Authorization": "Basic eDp5"}) == 401
    for role, secret in secrets.items():
        got = status({"Authorization": f"Bearer {secret}"})
        assert (got == 403) == (needed not in MAY[role]), (role, got)
        assert got != 401


@pytest.mark.parametrize("path", [path for (_, path), role in ROLES.items() if role is None and path != PAGE_PATH])
def test_what_asks_for_no_role_is_open(server: LiveServer, secrets, path):
    assert server.client.get(path).status_code == 200


def test_the_token_may_stand_in_the_address_of_streams_alone(server: LiveServer, secrets):
    with server.client.stream("GET", f"/api/v1/events?token={secrets['viewer']}") as answer:
        assert answer.status_code == 200
    assert server.client.get(f"/api/v1/status?token={secrets['viewer']}").status_code == 401


def test_an_expired_or_revoked_token_is_out(server: LiveServer, keeper: Keeper):
    secret = keeper.tokens.create("short", "viewer")
    headers = {"Authorization": f"Bearer {secret}"}
    assert server.client.get("/api/v1/status", headers=headers).status_code == 200
    keeper.tokens.create("other", "viewer")
    keeper.tokens.revoke("short")
    answer = server.client.get("/api/v1/status", headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"].startswith("Bearer")) == (401, True)


def test_beyond_loopback_without_a_token_nobody_is_let_in(tmp_path):
    keeper = Keeper(tmp_path, bind="0.0.0.0")
    server = LiveServer(keeper)
    try:
        assert server.client.get("/api/v1/status").status_code == 401
        assert server.client.get("/health").status_code == 200
    finally:
        server.stop()
        keeper.close()


def test_roles_are_known_to_the_openapi_document(server: LiveServer):
    paths = server.client.get("/openapi.json").json()["paths"]
    assert paths["/api/v1/sql"]["post"]["x-role"] == Role.OPERATOR.value
    assert "security" not in paths["/health"]["get"]
