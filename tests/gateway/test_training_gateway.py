"""The training gateway's paths over HTTP: shapes as documented, errors as problems, lists for the page."""

from __future__ import annotations

import pytest
from tests.gateway.assembly import Keeper, LiveServer
from tests.store.reads.tables import NOW, Tables
from tests.training.test_counts import logs, said

from watchkeeper.gateway import models_training as models
from watchkeeper.signals.schema import Signal

A, B = ({"cluster_id": "west", "namespace": "shop", "deployment": name} for name in ("cart", "pay"))


@pytest.fixture
def counted(keeper: Keeper) -> Keeper:
    keeper.workload_counter.seed(Tables())
    rows = [
        (said(each["deployment"], **{"k8s.cluster.name": "west", "k8s.namespace.name": "shop"}), NOW)
        for each in (A, A, B)
    ]
    keeper.workload_counter.observe(Signal.LOGS, logs(1, rows))
    return keeper


def test_from_a_list_to_a_job_and_back(server: LiveServer, counted: Keeper):
    client = server.client
    models.ModelStatus(**client.get("/model/status").json())
    answer = models.DecisionAnswer(**client.post("/model/train", json={"items": [A]}).json())
    assert (answer.decision, [each.model_dump() for each in answer.added]) == ("trained", [A])
    status = models.ModelStatus(**client.get("/model/status").json())
    assert (status.status, status.stage, status.job_id) == ("training", "fetching data", answer.job_id)
    told = client.put("/model/current_status", json={"status": "completed"})
    assert told.status_code == 409
    assert "runs here" in told.json()["detail"]
    assert models.ParametersAnswer(**client.get("/model/training_parameters").json()).items[0].deployment == "cart"
    assert client.post("/model/train", json={"items": []}).json()["decision"] == "reset"
    assert client.get("/model/status").json()["status"] == "no model trained"
    assert client.put("/model/current_status", json={"status": "training", "statistics": {}}).json() == {}
    assert client.get("/model/status").json()["status"] == "training"


def test_counts(server: LiveServer, counted: Keeper):
    answer = models.AggregationAnswer(**server.client.get("/workload_aggregation/west").json())
    assert answer.state == "healthy"
    assert [(each.deployment, each.log_count) for each in answer.items] == [("cart", 2), ("pay", 1)]
    assert server.client.get("/workload_aggregation/east").json()["state"] == "no data"
    server.client.put("/api/v1/watchlists/night", json={"items": [B]})
    answer = models.WorkloadsAnswer(**server.client.get("/api/v1/workloads?limit=1").json())
    assert (answer.total, len(answer.items), answer.items[0].watchlists) == (2, 1, [])
    assert server.client.get("/api/v1/workloads?match=pay").json()["items"][0]["watchlists"] == ["night"]


def test_lists(server: LiveServer, counted: Keeper):
    client = server.client
    listed = models.WatchlistsAnswer(**client.get("/api/v1/watchlists").json())
    assert [(each.name, each.items) for each in listed.items] == [("default", [])]
    assert client.get("/api/v1/watchlists/night").status_code == 404
    edited = models.EditedWatchlist(**client.post("/api/v1/watchlists/night/edit", json={"add": ["shop/*"]}).json())
    assert [(each.deployment, each.log_count) for each in edited.items] == [("cart", 2), ("pay", 1)]
    assert not edited.is_submitted
    refused = client.post("/api/v1/watchlists/night/edit", json={"add": ["nowhere"]})
    assert refused.status_code == 404
    assert client.post("/api/v1/watchlists/night/train", json={}).json()["decision"] == "trained"
    models.WatchlistShape(**client.get("/api/v1/watchlists/night").json())
    assert client.delete("/api/v1/watchlists/night").status_code == 204
    assert client.delete("/api/v1/watchlists/night").status_code == 404


def test_gpus_and_settings(server: LiveServer, keeper: Keeper):
    client = server.client
    assert models.GpuAnswer(**client.get("/gpu_info").json()).state == "no data"
    models.AiSettingsAnswer(**client.get("/ai/settings").json())
    put = {"replicas": 2, "object_store": {"url": "http://127.0.0.1:9/b", "access_key": "a", "secret_key": "hush"}}
    answer = client.put("/ai/settings", json=put)
    assert "hush" not in answer.text
    assert models.AiSettingsAnswer(**answer.json()).object_store_state.state == "error"
    deleted = client.delete("/ai/settings?purge_model_training_data=true")
    assert models.AiSettingsDeleted(**deleted.json()).purged_watchlists == ["default"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/model/train", {}, 400),
        ("POST", "/model/train", {"items": [{**A, "pod": "x"}]}, 400),
        ("PUT", "/model/current_status", {"status": "dreaming"}, 400),
        ("PUT", "/ai/settings", {"replicas": -1}, 400),
        ("PUT", "/api/v1/watchlists/UPPER", {"items": []}, 400),
        ("GET", "/workload_aggregation/%20", None, 400),
        ("POST", "/api/v1/watchlists/default/train", {"from_unix_ns": "2", "until_unix_ns": "1"}, 400),
        ("POST", "/api/v1/watchlists/default/edit", {}, 400),
        ("DELETE", "/model/train", None, 405),
    ],
)
def test_what_cannot_be_is_a_problem(server: LiveServer, method, path, body, status):
    answer = server.client.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


def test_what_is_put_is_json(server: LiveServer):
    answer = server.client.put("/ai/settings", content="replicas=2", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415
