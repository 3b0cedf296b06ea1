"""Training jobs over HTTP and on the command line: begun, listed, followed, their logs, cancelled, refused."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.assembly import Keeper, LiveServer, wait_until
from tests.store.reads.tables import NOW
from typer.testing import CliRunner

from watchkeeper.cli.client import parse_events
from watchkeeper.cli.options import Connection
from watchkeeper.cli.train import app
from watchkeeper.cli.watch import app as watch_app
from watchkeeper.training.jobs import JobSpec
from watchkeeper.training.workloads import Workload

JOBS = "/api/v1/training/jobs"
CART = {"cluster_id": "local", "namespace": "shop", "deployment": "cart"}


@pytest.fixture(autouse=True)
def everything_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchkeeper.app.training.NEEDED", ())


def started(server: LiveServer, **body: Any) -> Any:
    answer = server.client.post(JOBS, json={"workloads": [CART], **body})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_begin_list_show_cancel(server: LiveServer) -> None:
    job = started(server, **{"from": "2h", "parameters": {"epochs": 3}})
    assert (job["status"], job["stage"], job["statistics"]["percentage_completed"]) == ("training", "fetching data", 0)
    spec = job["spec"]
    assert (spec["name"], spec["workloads"], spec["parameters"]) == ("logs/default", [CART], {"epochs": 3})
    assert int(spec["from_unix_ns"]) == NOW - 7_200 * 10**9
    assert "pid" not in job
    for asked in ({}, {"name": "logs/default"}):
        assert server.client.get(JOBS, params=asked).json()["items"] == [job]
    assert server.client.get(JOBS, params={"name": "logs/other"}).json()["items"] == []
    assert server.client.get(f"{JOBS}/{job['id']}").json() == job
    rival = server.client.post(JOBS, json={"workloads": [CART]})
    assert (rival.status_code, job["id"] in rival.json()["detail"]) == (409, True)
    cancelled = server.client.post(f"{JOBS}/{job['id']}/cancel", json={"by": "ann", "text": "not now"}).json()
    assert (cancelled["status"], cancelled["reason"]) == ("cancelled", "cancelled by ann: not now")
    assert server.client.post(f"{JOBS}/{job['id']}/cancel", json={}).status_code == 409
    assert server.client.get(f"{JOBS}/odd").status_code == 404
    for odd in (
        {"from": "yesterday-ish"},
        {"workloads": [CART], "parameters": {"batch": 0}},
        {"workloads": [{**CART, "namespace": " "}]},
        {"workloads": [{**CART, "deploy": "cart"}]},
    ):
        refused = server.client.post(JOBS, json=odd)
        assert refused.status_code in {400, 422}, refused.text
    assert len(server.client.get(JOBS).json()["items"]) == 1


def test_an_empty_watchlist_is_told(server: LiveServer) -> None:
    answer = server.client.post(JOBS, json={})
    assert (answer.status_code, "choose what to watch" in answer.json()["detail"]) == (409, True)


def test_the_log_goes_on_from_an_offset(server: LiveServer, keeper: Keeper) -> None:
    job = started(server)
    first = server.client.get(f"{JOBS}/{job['id']}/log").json()
    assert first["text"].endswith(f"job {job['id']}: logs model logs/default\n")
    assert (first["offset"], first["ended"]) == (len(first["text"]), False)
    keeper.training.jobs.folder(job["id"]).log("another line", NOW)
    second = server.client.get(f"{JOBS}/{job['id']}/log", params={"offset": first["offset"]}).json()
    assert second["text"].endswith("Z another line\n")
    assert second["text"].count("\n") == 1


def test_the_stream_ends_with_the_job(server: LiveServer, keeper: Keeper) -> None:
    job = keeper.training.jobs.start(JobSpec("remote", "logs/default"))
    names = []
    with server.client.stream("GET", f"{JOBS}/{job.id}/stream") as answer:
        for event in parse_events(answer.iter_lines()):
            if event is None:
                continue
            names.append(event.name)
            if event.name == "job" and event.data["statistics"]["percentage_completed"] == 0:
                keeper.training.jobs.report(job.id, "training", {"percentage_completed": 40, "stage": "train"})
            elif event.name == "job" and event.data["status"] == "training":
                keeper.training.jobs.report(job.id, "completed", {"model_accuracy": 0.9, "stage": "save"})
            elif event.name == "job":
                assert (event.data["status"], event.data["stage"]) == ("completed", "save")
    assert names[-1] == "end"
    assert names.count("job") == 3
    assert "log" in names


def run(server: LiveServer, *arguments: str) -> Any:
    return CliRunner().invoke(app, [*arguments, "--server", server.url], obj=Connection(server.url, ""))


def test_the_command(server: LiveServer, keeper: Keeper) -> None:
    keeper.training.watchlists.choose("default", [Workload("local", "shop", "cart")])
    begun = run(server)
    assert begun.exit_code == 0, begun.output
    assert "logs/default training" in begun.output
    assert "logs/default" in run(server, "--list").output
    assert "logs model logs/default" in run(server, "--log").output
    cancelled = run(server, "--cancel", "--json")
    assert json.loads(cancelled.output)["status"] == "cancelled"
    assert "cancelled by someone" in run(server, "--list").output


def test_a_watchlist_can_be_cleared_from_the_command_line(server: LiveServer, keeper: Keeper) -> None:
    cart = Workload("local", "shop", "cart")
    keeper.training.watchlists.choose("default", [cart])
    assert run(server).exit_code == 0
    keeper.training.watchlists.trained("default", [cart])
    shown = CliRunner().invoke(watch_app, ["remove", "*", "--server", server.url], obj=Connection(server.url, ""))
    assert "not submitted yet; watchkeeper train --reset, which deletes the model" in shown.output
    assert server.client.post(JOBS, json={}).status_code == 409
    told = run(server, "--reset")
    assert told.output == "watchlist default is empty, its model is deleted; it had learned 1 workloads\n"
    known = keeper.training.watchlists.get()
    assert (known.chosen, known.submitted, known.trained) == ((), (), ())
    assert server.client.get("/model/status").json()["status"] == "no model trained"
    assert keeper.training.jobs.list()[0].status == "cancelled"


def test_following_shows_each_stage_and_fails_with_the_job(server: LiveServer, keeper: Keeper) -> None:
    job = keeper.training.jobs.start(JobSpec("remote", "logs/default"))
    jobs, streams = keeper.training.jobs, server.gateway.streams

    def trainer() -> None:
        wait_until(lambda: streams.open)
        jobs.report(job.id, "training", {"percentage_completed": 50, "stage": "train", "current_epoch": 2})
        jobs.report(job.id, "training failed", {"percentage_completed": 60, "stage": "evaluate"}, reason="no disk")

    thread = threading.Thread(target=trainer)
    thread.start()
    followed = run(server, "--follow")
    thread.join()
    assert followed.exit_code == 1
    assert f"{job.id} logs/default training failed: no disk" in followed.output
    assert "evaluate" in followed.output


def test_a_kind_needs_no_server_but_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchkeeper.app.training.NEEDED", ("a_package_that_is_not_there",))
    told = CliRunner().invoke(app, ["--kind", "storage", "--home", str(tmp_path / "home")])
    assert "install with: pip install 'watchkeeper[learning]'" in str(told.exception)
    assert not (tmp_path / "home").exists()
