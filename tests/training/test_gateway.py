"""The operations of the training gateway: decisions acted on, statuses that never lie, restarts, remote trainers."""

from __future__ import annotations

import time

import pytest
from tests.store.reads.tables import Tables
from tests.training.assembly import A, Assembly, B, C, items
from tests.training.test_counts import logs, said

from watchkeeper.errors import Conflict, MissingExtra, NotFound, QueryError
from watchkeeper.host.gpu import Gpu, GpuSnapshot
from watchkeeper.host.nvml import TIMEOUT
from watchkeeper.signals.schema import Signal
from watchkeeper.training.ai_settings import AiSettings
from watchkeeper.training.gateway import model_name
from watchkeeper.training.jobs import JobSpec
from watchkeeper.training.requests import read


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def made(home):
    assembly = Assembly(home)
    yield assembly
    assembly.close()


def test_from_nothing_to_a_model_and_back(made):
    status = made.gateway.model_status()
    assert (status["status"], status["stage"], status["job_id"]) == ("no model trained", None, "")
    answer = made.train(A, B)
    assert answer["decision"] == "trained"
    assert answer["added"] == items(A, B)["items"]
    status = made.gateway.model_status()
    assert (status["status"], status["stage"]) == ("training", "fetching data")
    assert status["job_id"] == answer["job_id"]
    status = made.finish()
    assert (status["status"], status["stage"]) == ("completed", "save")
    assert status["statistics"]["percentage_completed"] == 100
    assert status["statistics"]["remaining_time_s"] == 0
    assert status["model_version"] == 1
    assert made.gateway.training_parameters()["items"] == items(A, B)["items"]
    assert made.weights()[0].is_dir()

    reset = made.train()
    assert (reset["decision"], reset["job_id"], reset["removed"]) == ("reset", "", items(A, B)["items"])
    status = made.gateway.model_status()
    assert (status["status"], status["model_version"]) == ("no model trained", None)
    assert made.weights() == []
    assert made.forgotten == ["default"]
    assert made.gateway.training_parameters()["items"] == []
    assert made.train(A)["decision"] == "trained", "nothing is known of it any more"


def test_removals_update_and_the_status_is_that_of_the_training_before(made):
    made.train(A, B)
    job = made.gateway.model_status()["job_id"]
    made.finish()
    answer = made.train(A)
    assert (answer["decision"], answer["job_id"], answer["removed"]) == ("updated", "", items(B)["items"])
    status = made.gateway.model_status()
    assert (status["status"], status["stage"], status["job_id"]) == ("completed", "save", job)
    assert len(made.work.begun) == 1
    assert made.train(A, B)["decision"] == "updated", "B was trained, though not submitted last"


def test_what_is_submitted_twice_is_trained_once(made):
    first, again = made.train(A), made.train(A)
    assert first["job_id"] == again["job_id"]
    assert len(made.work.begun) == 1


def test_a_newer_list_takes_the_place_of_a_training(made):
    made.work.asked = {"gates": True}
    old = made.train(A)["job_id"]
    made.until(lambda: made.jobs.get(old).pid)
    new = made.train(A, B)["job_id"]
    assert old != new
    assert made.jobs.get(old).status == "cancelled"
    made.work.asked = {}
    assert made.finish()["job_id"] == new
    assert made.watchlists.get().trained == (A, B)


def test_a_reset_ends_a_training_that_runs(made):
    made.work.asked = {"gates": True}
    job = made.train(A)["job_id"]
    made.until(lambda: made.jobs.get(job).pid)
    assert made.train()["decision"] == "reset"
    assert made.jobs.get(job).status == "cancelled"
    assert made.gateway.model_status()["status"] == "no model trained"


def test_removals_during_a_training_end_it_and_keep_the_model(made):
    made.train(A, B)
    made.finish()
    job = made.train(A, B, C)["job_id"]
    assert made.train(A, B)["decision"] == "updated"
    assert made.jobs.get(job).status == "cancelled"
    status = made.finish()
    assert (status["status"], status["model_version"]) == ("completed", 1)


@pytest.mark.parametrize("end", ["fault", "cancel"])
def test_a_training_that_does_not_end_well_changes_nothing_that_was_trained(made, end):
    made.train(A)
    made.finish()
    made.work.asked = {"fault": "the data is odd"} if end == "fault" else {"gates": True}
    job = made.train(A, B)["job_id"]
    if end == "cancel":
        made.until(lambda: made.jobs.get(job).pid)
        made.jobs.cancel(job)
    status = made.finish()
    assert status["status"] == ("training failed" if end == "fault" else "cancelled")
    assert status["reason"]
    assert status["model_version"] == 1, "the one before still scores"
    assert made.watchlists.get().trained == (A,)
    made.work.asked = {}
    assert made.train(A, B)["decision"] == "trained", "it is decided against what was trained"
    assert made.finish()["model_version"] == 2


def test_a_training_that_cannot_be_begun_is_told_and_tried_at_the_next_start(made):
    made.work.refusal = MissingExtra("training needs torch")
    with pytest.raises(MissingExtra):
        made.train(A)
    status = made.gateway.model_status()
    assert (status["status"], status["reason"]) == ("training failed", "training needs torch")
    made.work.refusal = None
    made.gateway.resume()
    assert made.finish()["status"] == "completed"


@pytest.mark.parametrize("trained", [(), (A,), (A, B), (B,)])
@pytest.mark.parametrize("submitted", [(), (A,), (A, B)])
def test_a_restart_decides_again_on_what_was_not_acted_on(home, submitted, trained):
    """The program ended between the write of a submission and whatever was to follow."""
    before = Assembly(home)
    before.settings.put(read(AiSettings, {"trainer": "remote"}))
    if trained:
        before.train(*trained)
        before.gateway.put_model_status({"status": "completed"}, who="trainer")
    before.watchlists.submit("default", submitted)
    before.close()
    after = Assembly(home)
    after.gateway.resume()
    status = after.gateway.model_status()
    if not submitted:
        assert status["status"] == "no model trained"
    elif {*submitted} <= {*trained}:
        assert status["status"] == "completed"
    else:
        assert status["status"] == "training"
        after.gateway.put_model_status({"status": "completed"}, who="trainer")
        assert after.watchlists.get().trained == submitted
    after.close()


def test_a_restart_in_mid_reset_deletes_what_is_left(home):
    before = Assembly(home)
    before.train(A)
    before.finish()
    before.watchlists.submit("default", ())
    before.close()
    after = Assembly(home)
    assert after.weights() != []
    after.gateway.resume()
    assert after.weights() == []
    assert after.gateway.model_status()["status"] == "no model trained"
    after.close()


def test_a_restart_goes_on_with_the_training_that_ran(home):
    before = Assembly(home)
    job = before.train(A)["job_id"]
    before.close()
    after = Assembly(home)
    after.jobs.take_up()
    after.gateway.resume()
    status = after.finish()
    assert (status["status"], status["job_id"]) == ("completed", job)
    assert after.watchlists.get().trained == (A,)
    after.close()


def test_a_clock_that_is_set_back_hides_no_training(made):
    made.watchlists._now_unix_ns = lambda: time.time_ns() + 3_600 * 10**9
    made.train(A)
    made.finish()
    made.watchlists._now_unix_ns = time.time_ns
    made.train(A, B)
    assert made.finish()["status"] == "completed"
    assert made.watchlists.get().trained == (A, B)
    assert made.train(B)["decision"] == "updated"


def test_a_kill_before_the_list_knew_its_job_does_no_harm(home):
    """The job was written, and the server ended before the list's note of it."""
    before = Assembly(home)
    before.work.asked = {"gates": True}
    job = before.train(A)["job_id"]
    before.watchlists.started("default", "")
    before.close()
    after = Assembly(home)
    after.jobs.take_up()
    after.gateway.resume()
    status = after.gateway.model_status()
    assert (status["status"], status["job_id"], status["reason"]) == ("training", job, "")
    after.watchlists.started("default", "")
    assert after.train()["decision"] == "reset"
    assert after.jobs.get(job).status == "cancelled"
    after.close()


def test_a_remote_trainer_reports(made):
    made.gateway.put_settings({"trainer": "remote", "gpu_runtime_class": "nvidia", "replicas": 2})
    job = made.train(A)["job_id"]
    told = {"current_epoch": 1, "percentage_completed": 40.0, "remaining_time_s": 12.0, "stage": "train"}
    assert made.gateway.put_model_status({"status": "training", "statistics": told}, who="trainer") == {}
    status = made.gateway.model_status()
    assert (status["status"], status["stage"], status["job_id"]) == ("training", "train", job)
    assert status["statistics"]["remaining_time_s"] == 12
    assert made.jobs.get(job).spec.parameters == {"gpu_runtime_class": "nvidia", "replicas": 2}
    made.gateway.put_model_status(
        {"status": "completed", "statistics": {"model_accuracy": 0.8, "stage": "save"}}, who="trainer"
    )
    status = made.gateway.model_status()
    assert (status["status"], status["stage"], status["statistics"]["model_accuracy"]) == ("completed", "save", 0.8)
    assert made.watchlists.get().trained == (A,)
    assert made.train(A)["decision"] == "updated"


def test_a_report_out_of_the_blue_is_told_and_trains_nothing(made):
    made.gateway.put_model_status({"status": "completed", "stage": "fetching data"}, who="trainer")
    status = made.gateway.model_status()
    assert (status["status"], status["stage"]) == ("completed", "save"), "completed goes with no other stage"
    assert made.train(A)["decision"] == "trained"
    made.finish()
    with pytest.raises(Conflict, match="not so"):
        made.gateway.put_model_status({"status": "no model trained"}, who="trainer")


def test_no_report_displaces_a_training_that_runs_here(made):
    made.train(A)
    with pytest.raises(Conflict, match="runs here"):
        made.gateway.put_model_status({"status": "completed"}, who="trainer")
    assert made.gateway.model_status()["status"] == "training"


def test_a_job_begun_elsewhere_is_the_lists(made):
    made.train(A)
    made.finish()
    job = made.jobs.start(JobSpec("logs", model_name("default"), "default", (A,)))
    assert made.gateway.model_status()["job_id"] == job.id
    assert made.finish()["model_version"] == 2


@pytest.mark.parametrize(
    ("operation", "request_", "said"),
    [
        ("train_model", None, "items: Field required"),
        ("train_model", [], "send a JSON object"),
        ("train_model", {"items": [{"cluster_id": "a"}]}, "items.0.namespace"),
        ("train_model", {"items": [{"cluster_id": "a", "namespace": " ", "deployment": "x"}]}, "items.0.namespace"),
        ("train_model", {"items": [], "item": 1}, "Extra inputs"),
        ("train_model", {"items": "abc"}, "valid list"),
        ("put_model_status", {"status": "done"}, "status: Input should be"),
        ("put_model_status", {"status": "training", "statistics": {"percentage_completed": 101}}, "less than or equal"),
        ("put_model_status", {"status": "training", "statistics": {"stage": "dreaming"}}, "stage"),
        ("workload_aggregation", {}, "cluster_id"),
        ("workload_aggregation", {"cluster_id": 7}, "valid string"),
        ("model_status", {"x": 1}, "Extra inputs"),
        ("put_ai_settings", {"replicas": 0}, "replicas"),
        ("put_ai_settings", {"object_store": {"url": "ftp://x"}}, "object store's url"),
        ("put_ai_settings", {"pretrained_models": {"workload": {"threshold": 2}}}, "threshold"),
        ("delete_ai_settings", {"purge_model_training_data": "yes"}, "valid boolean"),
    ],
)
def test_requests_that_cannot_be_are_told_where_they_fail(made, operation, request_, said):
    with pytest.raises(QueryError, match=said):
        made.gateway.operations()[operation](request_, "test")


def test_counts_of_a_cluster(made):
    assert made.gateway.workload_aggregation({"cluster_id": "local"})["state"] == "counting"
    made.counter.seed(Tables())
    assert made.gateway.workload_aggregation({"cluster_id": "local"})["state"] == "no data"
    batch = logs(1, [(said("a"), time.time_ns())] * 3 + [(said("b"), time.time_ns())])
    made.counter.observe(Signal.LOGS, batch)
    answer = made.gateway.workload_aggregation({"cluster_id": "local"})
    assert answer["state"] == "healthy"
    assert [(each["deployment"], each["log_count"]) for each in answer["items"]] == [("a", 3), ("b", 1)]
    assert made.gateway.workload_aggregation({"cluster_id": "other"})["state"] == "no data"


def test_settings_keep_their_secret_and_tell_how_the_object_store_is(made, tmp_path):
    assert made.gateway.get_settings()["object_store_state"]["state"] == "not configured"
    volume = tmp_path / "volume"
    made.gateway.put_settings({"replicas": 3, "object_store": {"url": f"file://{volume}"}})
    told = made.gateway.get_settings()
    assert (told["replicas"], told["is_set"], told["object_store_state"]["state"]) == (3, True, "error")
    volume.mkdir()
    assert made.gateway.get_settings()["object_store_state"]["state"] == "no data"
    (volume / "model").write_text("1")
    assert made.gateway.get_settings()["object_store_state"]["state"] == "healthy"

    s3 = {"url": "http://127.0.0.1:9/bucket", "access_key": "me", "secret_key": "hush"}
    told = made.gateway.put_settings({"object_store": s3})
    assert "hush" not in str(told)
    assert told["object_store"]["secret_key_is_set"] is True
    assert told["object_store_state"]["state"] == "error"
    kept = {name: value for name, value in s3.items() if name != "secret_key"}
    assert made.gateway.put_settings({"object_store": kept})["object_store"]["secret_key_is_set"] is True
    with pytest.raises(QueryError, match="its own secret_key"):
        made.gateway.put_settings({"object_store": {**kept, "url": "http://evil.test/bucket"}})
    deleted = made.gateway.delete_settings(None, who="test")
    assert (deleted["is_set"], deleted["object_store"], deleted["purged_watchlists"]) == (False, None, [])


def test_settings_go_and_what_was_trained_with_them(made):
    made.train(A)
    made.finish()
    made.lists.choose("night", items(B))
    told = made.gateway.delete_settings({"purge_model_training_data": True}, who="test")
    assert told["purged_watchlists"] == ["default", "night"]
    assert made.gateway.model_status()["status"] == "no model trained"
    assert made.weights() == []
    assert made.gateway.training_parameters()["items"] == []


def test_gpus(home):
    def two():
        return GpuSnapshot(0, gpus=(Gpu(0, name="NVIDIA T4"), Gpu(1, name="NVIDIA T4", error_code=15, error="lost")))

    none = Assembly(home)
    assert none.gateway.gpu_info() == {"state": "no data", "problem": "", "items": []}
    none.close()
    some = Assembly(home, gpus=two)
    [item] = some.gateway.gpu_info()["items"]
    assert (item["name"], item["capacity"], item["allocatable"]) == ("nvidia.com/gpu", 2, 1)
    assert item["models"] == ["NVIDIA T4"]
    some.close()
    silent = Assembly(home, gpus=lambda: GpuSnapshot(TIMEOUT, "the driver did not answer within 10 s"))
    told = silent.gateway.gpu_info()
    assert (told["state"], told["items"]) == ("error", [])
    assert "did not answer" in told["problem"]
    silent.close()


def test_several_lists_are_decided_on_each_for_itself(made):
    made.lists.choose("night", items(A))
    assert made.lists.get("night")["status"]["status"] == "no model trained"
    answer = made.lists.train("night", {}, who="test")
    assert answer["decision"] == "trained"
    made.finish()
    assert made.lists.get("night")["trained"] == items(A)["items"]
    assert made.gateway.model_status()["status"] == "no model trained"
    made.lists.remove("night", who="test")
    with pytest.raises(NotFound):
        made.lists.get("night")
    assert made.models.list(model_name("night")) == []


def test_lists_are_edited_by_wildcards(made):
    made.counter.seed(Tables())
    now = time.time_ns()
    rows = [(said(name, **{"service.namespace": "shop"}), now) for name in ("cart-a", "cart-b", "pay")]
    made.counter.observe(Signal.LOGS, logs(1, rows))
    edited = made.lists.edit("default", {"add": ["shop/cart-*"]})
    assert [each["deployment"] for each in edited["added"]] == ["cart-a", "cart-b"]
    assert [each["log_count"] for each in edited["items"]] == [1, 1]
    assert edited["is_submitted"] is False
    with pytest.raises(NotFound, match="no workload that sent logs"):
        made.lists.edit("default", {"add": ["nowhere/*"]})
    assert [each["deployment"] for each in made.lists.edit("default", {"add": ["west/x/y"]})["added"]] == ["y"]
    with pytest.raises(NotFound, match="no workload of the watchlist"):
        made.lists.edit("default", {"remove": ["pay"]})
    edited = made.lists.edit("default", {"add": ["pay"], "remove": ["*-b", "y"]})
    assert [each["deployment"] for each in edited["items"]] == ["cart-a", "pay"]
    shown = made.lists.workloads(match="cart-*", limit=1)
    assert (shown["total"], len(shown["items"])) == (2, 1)
    with pytest.raises(QueryError, match="nothing to add"):
        made.lists.edit("default", {})


def test_statistics_never_go_back_and_the_accuracy_is_there(made):
    made.train(A)
    seen = []

    def done():
        status = made.gateway.model_status()
        seen.append((status["status"], status["stage"], status["statistics"]["percentage_completed"]))
        return status["status"] != "training"

    made.until(done)
    percentages = [each[2] for each in seen]
    assert percentages == sorted(percentages)
    order = ["fetching data", "train", "evaluate", "save"]
    stages = [order.index(each[1]) for each in seen]
    assert stages == sorted(stages)
    assert all(stage == "save" for status, stage, _ in seen if status == "completed")
