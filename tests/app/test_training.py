"""A log model from stored lines to an active version: the real store, the real worker's process, killed on the way."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.store.telemetry import settings

from watchkeeper.app.findings import FindingStore
from watchkeeper.app.training import Training, require_learning
from watchkeeper.errors import Conflict, MissingExtra, QueryError, SettingError
from watchkeeper.learn.log_model import LogModel
from watchkeeper.models.versions import ModelVersions
from watchkeeper.signals.schema import LOGS, Signal
from watchkeeper.store.store import Store
from watchkeeper.training.job import Stage, Status
from watchkeeper.training.jobs import Job
from watchkeeper.training.workloads import Workload

NOW = 1_763_726_400 * 10**9
HOUR_NS = 3_600 * 10**9
CART, OTHER = Workload("local", "default", "cart"), Workload("local", "default", "other")
SHORT = {"epochs": 110, "steps_min": 0, "steps_max": 110, "tests": 1}
VERBS = ("opened", "closed", "moved", "sent", "read", "kept", "sold", "found")
THINGS = ("basket", "order", "parcel", "voucher")


def batch_of(lines: list[str], service: str) -> pa.RecordBatch:
    rows = len(lines)
    step = HOUR_NS // (rows + 1)
    known: dict[str, list[Any]] = {
        "time_unix_ns": [NOW - HOUR_NS + (at + 1) * step for at in range(rows)],
        "received_unix_ns": [NOW] * rows,
        "body": lines,
        "service": [service] * rows,
        "resource_attributes": [json.dumps({"service.name": service})] * rows,
    }
    arrays = [
        pa.array(known[field.name]).cast(field.type) if field.name in known else pa.nulls(rows, field.type)
        for field in LOGS
    ]
    return pa.record_batch(arrays, schema=LOGS)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    # Kept for long: the lines are of a day long ago.
    with Store.open(tmp_path, settings(tmp_path, logs_days_max=36_500), lambda _: batch_of([], "")) as opened:
        lines = [
            f"{VERBS[at % 8]} {THINGS[at // 8 % 4]} {at} of customer {at * 7} in {at % 90}ms" for at in range(3_000)
        ]
        lines[100] = "payment failed for customer 9"
        opened.append(Signal.LOGS, "json", "test", NOW, b"cart", batch_of(lines, "cart")).result(10)
        yield opened


@pytest.fixture
def start(store: Store, tmp_path: Path) -> Iterator[Callable[..., Training]]:
    started: list[Training] = []

    def start_one(**chosen: Any) -> Training:
        models = ModelVersions(store.metadata, tmp_path / "models")
        findings = FindingStore(store.metadata)
        training = Training(store, models, findings, settings(tmp_path, **chosen), now_unix_ns=lambda: NOW)
        started.append(training)
        training.start()
        return training

    yield start_one
    for training in started:
        training.stop()


def until(reached: Callable[[], object], *, seconds: float = 500.0) -> None:
    by_s = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < by_s, "it never came to that"
        time.sleep(0.02)


def ended(training: Training, job: Job) -> Job:
    until(lambda: not training.jobs.get(job.id).running)
    return training.jobs.get(job.id)


@pytest.mark.timeout(600)
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch, of the extra learning, is not installed")
def test_from_stored_lines_to_an_active_version(start: Callable[..., Training]) -> None:
    training = start()
    first = training.begin(workloads=[CART], parameters=SHORT)
    checkpoint = training.jobs.folder(first.id).checkpoint / "checkpoint.npz"
    until(lambda: checkpoint.exists() or not training.jobs.get(first.id).running)
    os.kill(training.jobs.get(first.id).pid, signal.SIGKILL)
    done = ended(training, first)
    assert (done.status, done.stage, done.resumptions, done.version) == (Status.COMPLETED, Stage.SAVE, 1, 1), done
    assert "the lines were counted before" in done.log_tail
    assert "goes on after step 10" in done.log_tail
    assert done.result["trained_on"]["left_out"]["failing"] == 1
    assert done.result["trained_on"]["lines"] == 2_999
    assert done.statistics.model_accuracy == done.result["quality"]["model_accuracy"] > 0.3
    active = training.models.active("logs/default")
    assert active is not None
    assert (active.number, active.card.job_id, done.result["promoted"]) == (1, first.id, True)
    model = LogModel.load(active.folder)
    assert not model.judge(["closed parcel 17 of customer 4 in 3ms"]).verdicts[0].strange

    training.stop()
    asking = start(training_promote="ask")
    second = ended(asking, asking.begin(workloads=[CART, OTHER], parameters={**SHORT, "steps_max": 10}))
    assert (second.status, second.version) == (Status.COMPLETED, 2), second.log_tail
    assert second.result["trained_on"]["without_lines"] == [OTHER.as_dict()]
    assert "nothing to learn of local/default/other" in second.log_tail
    assert second.result["previous"]["number"] == 1
    assert 0.0 <= second.result["previous"]["held_out_accuracy"] <= 1.0
    assert [(each.number, each.state) for each in asking.models.list()] == [(2, "candidate"), (1, "active")]
    assert second.result["promoted"] is False
    families = {family.name: family for family in asking.families()}
    assert ({"status": "completed"}, 2.0) in families["watchkeeper_training_jobs"].samples
    assert families["watchkeeper_training_peak_memory_bytes"].samples[0][1] > 100 << 20


def test_no_data_is_told_as_such(start: Callable[..., Training]) -> None:
    training = start()
    failed = ended(training, training.begin(workloads=[OTHER]))
    assert failed.status is Status.FAILED
    assert failed.reason.startswith("no data: local/default/other from 2025-11-21T11:00:00Z to 2025-11-21T12:00:00Z")
    assert "3,000 stored lines were looked at" in failed.reason
    assert "3,000 of workloads that are not watched" in failed.reason
    assert training.models.list() == []


def test_what_is_refused_before_anything_is_fetched(
    start: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    training = start()
    with pytest.raises(Conflict, match="watch add"):
        training.begin()
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))
    with pytest.raises(MissingExtra, match=r"needs torch.*pip install 'watchkeeper\[learning\]'"):
        require_learning()
    with pytest.raises(MissingExtra):
        training.begin(workloads=[CART])
    assert training.jobs.list() == []
    assert training.watchlists.get().submitted == ()
    with pytest.raises(SettingError, match="none of auto, ask"):
        start(training_promote="odd")


def test_a_refusal_leaves_the_list_as_it_was_and_an_emptied_list_is_not_trained(
    start: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchkeeper.app.training.NEEDED", ())
    training = start()
    training.jobs.stop()  # so that the job waits
    running = training.begin(workloads=[CART])
    with pytest.raises(Conflict, match=running.id):
        training.begin(workloads=[CART, OTHER])
    assert training.watchlists.get().submitted == (CART,)
    training.jobs.cancel(running.id)
    training.watchlists.choose("default", [])
    with pytest.raises(Conflict, match="train --reset"):
        training.begin()
    assert not training.jobs.list()[0].running
    assert training.watchlists.get().chosen == ()


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"epoch": 3}, "no parameter of training 'epoch'; there are: batch, "),
        ({"epochs": "three"}, "epochs = 'three' is no whole number above 0"),
        ({"batch": 0}, "batch = 0 is no whole number above 0"),
        ({"epochs": True}, "epochs = True"),
        ({"steps_max": 1.5}, "steps_max = 1.5 is no whole number"),
        ({"rate": -0.1}, "rate = -0.1 is no number above 0 to 1"),
        ({"rate": float("nan")}, "rate = nan"),
        ({"seed": -1}, "seed = -1 is no whole number from 0"),
    ],
)
def test_odd_parameters_are_refused(start: Callable[..., Training], parameters: dict[str, Any], told: str) -> None:
    training = start()
    with pytest.raises(QueryError, match=told):
        training.begin(workloads=[CART], parameters=parameters)
    assert training.jobs.list() == []


def test_a_range_that_is_none_is_refused(start: Callable[..., Training]) -> None:
    training = start()
    with pytest.raises(QueryError):
        training.begin(workloads=[CART], from_unix_ns=2, until_unix_ns=1)
