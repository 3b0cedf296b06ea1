"""Trained log models at work: what they find, how it is told, what becomes of it when models change or are missing."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from tests.learn.log_lines import STRANGE, lines, saved, torch_needed
from tests.receive.running import logs_request

from watchkeeper.app.learned_lines import WAITING_MAX, LearnedLines
from watchkeeper.app.unlikely import KIND, OpenLines
from watchkeeper.app.watchkeeper import Watchkeeper
from watchkeeper.learn.log_model import LogModel
from watchkeeper.models.card import Card
from watchkeeper.models.versions import ModelVersions
from watchkeeper.patterns.miner import TemplateMiner
from watchkeeper.receive.peer import Peer
from watchkeeper.settings import Settings
from watchkeeper.signals.finding import Finding, FindingSeverity, FindingState
from watchkeeper.signals.schema import LOGS, Signal
from watchkeeper.store.metadata import Metadata
from watchkeeper.training.kinds import Kind
from watchkeeper.training.watchlist import Watchlists
from watchkeeper.training.workloads import Workload, WorkloadPattern

pytestmark = torch_needed

NAME = "logs/default"
CART, STOCK = Workload("local", "shop", "cart"), Workload("local", "shop", "stock")
SECOND_NS = 10**9
NOON_NS = 1_763_726_400 * SECOND_NS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("model"))


class Life:
    """Models, watchlists and what is published, around the lines at work."""

    def __init__(self, home: Path, kinds=()):
        self.metadata = Metadata(home / "metadata.sqlite")
        self.models = ModelVersions(self.metadata, home / "models")
        self.watchlists = Watchlists(self.metadata)
        self.miner = TemplateMiner()
        self.told: list[Finding] = []
        self.event_ns = NOON_NS
        self.at_work = LearnedLines(
            self.models,
            self.watchlists,
            self.told.extend,
            kinds={kind.name: kind for kind in kinds},
            template_text=lambda template: getattr(self.miner.get(template), "text", ""),
            event_time_unix_ns=lambda: self.event_ns,
            close_s=60.0,
        )

    def watch(self, *workloads):
        self.watchlists.submit("default", workloads)
        self.watchlists.trained("default", workloads)

    def publish(self, folder, name=NAME, **trained_on):
        card = Card("logs", trained_on={"lines": 250, "from_unix_ns": 1, "until_unix_ns": 2, **trained_on})
        made = self.models.publish(name, lambda place: copied(folder, place), card, verify=LogModel.load)
        self.models.promote(name, made.number, who="ada", why="test")

    def see(self, *bodies, workload=CART, severity=9):
        resource = {"k8s.namespace.name": workload.namespace, "service.name": workload.deployment}
        times = pa.array([self.event_ns + at for at in range(len(bodies))])
        columns = {
            "time_unix_ns": times,
            "body": list(bodies),
            "service": [workload.deployment] * len(bodies),
            "resource_attributes": [json.dumps(resource)] * len(bodies),
            "severity_number": [severity] * len(bodies),
            "template_id": self.miner.match(pa.array(list(bodies)), times),
        }
        arrays = [
            pa.array(columns[each.name]).cast(each.type) if each.name in columns else pa.nulls(len(bodies), each.type)
            for each in LOGS
        ]
        self.at_work.observe(Signal.LOGS, pa.record_batch(arrays, schema=LOGS))
        assert self.at_work.wait_idle(30)


def copied(source, place):
    for file in source.iterdir():
        (place / file.name).write_bytes(file.read_bytes())


@pytest.fixture
def life(tmp_path):
    made = Life(tmp_path)
    yield made
    made.at_work.stop()
    made.metadata.close()


@pytest.fixture
def running(life, folder):
    life.watch(CART)
    life.publish(folder)
    life.at_work.start()
    assert life.at_work.wait_idle(30)
    return life


def test_an_unlikely_line_of_a_watched_workload_is_told_with_its_reasons(running):
    running.see(*lines()[:20], STRANGE, severity=17)
    [found] = running.told
    assert (found.kind, found.service, found.entity, found.state) == (KIND, "cart", "service=cart", FindingState.OPEN)
    assert found.severity is FindingSeverity.WARNING
    assert found.template_id is not None
    assert found.template == "kernel panic in <*>: unable to mount <*> device"
    assert found.evidence[0].text == STRANGE
    told = found.attributes
    assert told["model"] == NAME
    assert told["model_version"] == 1
    assert told[{"share": "score", "chance": "chance"}[told["measure"]]] < told["threshold"]
    assert "kernel" in told["strangers"] or "panic" in told["strangers"]
    assert told["nearest"]
    assert f"{told['threshold']:.4g}" in found.why
    assert (found.baseline.lines, found.baseline.to_unix_ns) == (250, 2)


def test_further_lines_of_its_template_count_and_silence_closes_it(running):
    running.see(STRANGE)
    running.event_ns += 30 * SECOND_NS
    running.see(STRANGE, STRANGE)
    assert len({each.id for each in running.told}) == 1
    assert running.told[-1].count == 3
    running.event_ns += 61 * SECOND_NS
    running.at_work._close()
    assert running.told[-1].state is FindingState.CLOSED
    running.see(STRANGE)
    assert running.told[-1].state is FindingState.OPEN
    assert len({each.id for each in running.told}) == 2


def test_the_model_is_asked_once_a_form(running):
    _, model = running.at_work.model(NAME)
    running.see(STRANGE, STRANGE.replace("7ms", "8ms"))
    for _ in range(3):
        running.see(*lines())
    assert model.asked == 1


def test_other_workloads_are_not_scored(running):
    running.see(STRANGE, workload=STOCK)
    assert running.told == []
    running.watch(CART, STOCK)
    running.at_work._refreshed_s = float("-inf")
    running.at_work._take_up(set())
    running.see(STRANGE, workload=STOCK)
    assert [each.service for each in running.told] == ["stock"]


def test_a_version_scores_only_workloads_that_it_has_learned_lines_of(running, folder):
    both = [each.as_dict() for each in (CART, STOCK)]
    running.publish(folder, workloads=both[:1])
    running.watch(CART, STOCK)  # a newer version knows both, and waits to be promoted
    assert running.at_work.wait_idle(30)
    running.at_work._take_up({NAME})
    assert (running.at_work.name_for(CART), running.at_work.name_for(STOCK)) == (NAME, "")
    running.see(STRANGE, workload=STOCK)
    assert running.told == []
    running.publish(folder, workloads=both, without_lines=both[1:])
    assert running.at_work.wait_idle(30)
    assert running.at_work.name_for(STOCK) == "", "it was in the list, and nothing was there to learn of it"
    running.publish(folder, workloads=both, without_lines=[])
    assert running.at_work.wait_idle(30)
    assert running.at_work.name_for(STOCK) == NAME
    running.models.rollback(NAME, who="ada", why="test")
    assert running.at_work.wait_idle(30)
    assert running.at_work.name_for(STOCK) == ""


def test_a_promotion_and_a_reset_are_taken_up_without_a_restart(running, tmp_path):
    other = tmp_path / "other"
    model = LogModel.load(running.models.active(NAME).folder)
    model.counts.add([STRANGE])
    model.save(other)
    running.publish(other)
    assert running.at_work.wait_idle(30)
    running.see(STRANGE)
    assert running.told == []
    running.models.rollback(NAME, who="ada", why="test")
    assert running.at_work.wait_idle(30)
    running.see(STRANGE)
    assert [each.attributes["model_version"] for each in running.told] == [1]
    running.models.delete(NAME, who="ada", why="reset")
    assert running.at_work.wait_idle(30)
    assert running.at_work.names() == []
    running.see("an entirely new catastrophe occurs")
    assert len(running.told) == 1


def test_a_pretrained_kind_scores_the_workloads_it_names_and_a_watchlists_model_comes_first(tmp_path, folder):
    kind = Kind("own", "own lines", workloads=(WorkloadPattern(namespace="shop"),))
    life = Life(tmp_path, [kind])
    try:
        life.publish(folder, kind.model)
        life.at_work.start()
        assert life.at_work.wait_idle(30)
        life.see(STRANGE, workload=STOCK)
        assert life.told[0].attributes["model"] == "kind/own"
        life.watch(STOCK)
        life.publish(folder)
        assert life.at_work.wait_idle(30)
        assert life.at_work.name_for(STOCK) == NAME
        assert life.at_work.name_for(CART) == "kind/own"
        life.at_work.set_kinds(off=["own"], thresholds={})
        assert life.at_work.wait_idle(30)
        assert (life.at_work.name_for(STOCK), life.at_work.name_for(CART)) == (NAME, "")
        life.at_work.set_kinds(off=[], thresholds={})
        assert life.at_work.name_for(CART) == "kind/own"
    finally:
        life.at_work.stop()
        life.metadata.close()


def test_a_threshold_of_the_gateways_settings_takes_the_place_of_a_kinds_calibrated_one(tmp_path, folder):
    kinds_file = tmp_path / "kinds.toml"
    kinds_file.write_text('[kinds.own]\nworkloads = ["*/default/cart"]\n')
    chosen = {"home": str(tmp_path / "home"), "disk_free_bytes_min": 0, "log_kinds_file": str(kinds_file)}
    keeper = Watchkeeper(Settings(chosen=chosen, environment={}))
    keeper.start()
    try:
        life = Life.__new__(Life)
        life.models = keeper.models
        life.publish(folder, "kind/own")
        at_work = keeper.learned_lines

        def threshold(**own):
            keeper.training_gateway.put_settings({"pretrained_models": {"own": own}})
            assert at_work.wait_idle(30)
            _, model = at_work.model("kind/own")
            return model.calibration.measure, model.threshold, model.judge([STRANGE]).verdicts[0].strange

        calibrated = threshold()
        assert calibrated[2]
        assert threshold(threshold=0.0) == ("share", 0.0, False)
        assert threshold(threshold=0.95) == ("share", 0.95, True)
        for second in range(0, 60, 5):
            send(keeper, lines()[second % 50], second)
        send(keeper, STRANGE, 61, severity=21)
        assert keeper.wait_idle(30)
        assert at_work.wait_idle(30)
        [found] = keeper.findings.list(kind=KIND)[0]
        assert (found.attributes["measure"], found.attributes["threshold"]) == ("share", 0.95)
        assert "0.95 is the least that is not told: it was set by hand" in found.why
        keeper.training_gateway.delete_settings(None, who="ada")
        assert at_work.wait_idle(30)
        assert threshold() == calibrated
    finally:
        keeper.stop()


def test_many_strange_lines_at_once_become_one_finding(running):
    letters = "abcdefghijklmnop"
    running.see(*(f"the {letter * 3}ix reactor is {letter * 4} molten" for letter in letters))
    subjects = {each.subject for each in running.told}
    assert len(subjects) == 9
    assert "many" in subjects
    assert next(each for each in reversed(running.told) if each.subject == "many").count == len(letters) - 8


def test_a_failure_is_told_and_forgotten_with_the_next_success(running, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("odd")

    _, model = running.at_work.model(NAME)
    monkeypatch.setattr(model, "judge", fail)
    running.see(STRANGE)
    assert running.at_work.problems() == ["lines could not be scored by their model: ZeroDivisionError: odd"]
    monkeypatch.undo()
    running.see(STRANGE)
    assert len(running.told) == 1
    assert running.at_work.problems() == []


def test_what_waits_is_bounded(running, monkeypatch):
    monkeypatch.setattr("watchkeeper.app.learned_lines.WAITING_MAX", 0)
    running.see(STRANGE)
    assert running.at_work.lines_passed_over == 1
    assert running.told == []
    assert WAITING_MAX == 10_000


def test_without_onnx_runtime_the_status_says_so_and_the_model_is_not_set_aside(life, folder, monkeypatch):
    life.watch(CART)
    life.publish(folder)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name.startswith("onnx") else object())
    life.at_work.start()
    assert life.at_work.wait_idle(30)
    [problem] = life.at_work.problems()
    assert "pip install 'watchkeeper[learning]'" in problem
    assert life.models.active(NAME).damaged == ""
    life.see(STRANGE)
    assert life.told == []


def test_findings_left_open_by_an_earlier_run_go_on_and_close(running):
    running.see(STRANGE)
    later = OpenLines(60.0)
    later.take_up(running.told)
    found = running.told[0]
    touched = later.touch(found.service, found.template_id, 2, found.last_unix_ns + 1, STRANGE)
    assert touched.finding.count == found.count + 2
    [closed] = later.sweep(found.last_unix_ns + 61 * SECOND_NS)
    assert (closed.id, closed.state) == (found.id, FindingState.CLOSED)
    assert later.sweep(found.last_unix_ns + 61 * SECOND_NS) == []


def test_what_goes_on_for_long_is_closed_and_stays_unsaid(running):
    running.see(STRANGE)
    for _ in range(40):
        running.event_ns += 50 * SECOND_NS
        running.see(STRANGE)
    running.at_work._close()
    before = len(running.told)
    assert running.told[-1].state is FindingState.CLOSED
    running.event_ns += 50 * SECOND_NS
    running.see(STRANGE)
    assert len(running.told) == before


def test_without_a_model_there_is_no_thread_and_no_runtime(life):
    before = threading.active_count()
    life.at_work.start()
    life.see(STRANGE)
    assert threading.active_count() == before
    script = "import sys, watchkeeper.app.watchkeeper as w; print({m.split('.')[0] for m in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert not {"onnx", "onnxruntime", "torch"} & set(
        json.loads(loaded.replace("{", "[").replace("}", "]").replace("'", '"'))
    )


def test_it_shares_an_incident_with_the_pattern_never_seen(tmp_path, folder):
    keeper = Watchkeeper(
        Settings(chosen={"home": str(tmp_path), "disk_free_bytes_min": 0, "detect_warmup_s": 30}, environment={})
    )
    keeper.start()
    try:
        life = Life.__new__(Life)
        life.models, life.watchlists = keeper.models, keeper.training.watchlists
        workload = Workload("local", "default", "cart")
        life.watch(workload)
        life.publish(folder)
        assert keeper.learned_lines.wait_idle(30)
        for second in range(0, 300, 5):
            send(keeper, lines()[second % 50], second)
        send(keeper, STRANGE, 301, severity=21)
        assert keeper.wait_idle(30)
        assert keeper.learned_lines.wait_idle(30)
        found, _ = keeper.findings.list(state="open")
        assert {each.kind for each in found} >= {KIND, "log.template.unseen"}
        incidents, _ = keeper.incidents.store.list()
        assert len(incidents) == 1
        assert {each.id for each in found if each.kind in {KIND, "log.template.unseen"}} <= set(
            incidents[0].finding_ids
        )
    finally:
        keeper.stop()


def send(keeper, body, second, severity=9):
    request = logs_request(1, time_unix_ns=NOON_NS + second * SECOND_NS)
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    record.body.string_value, record.severity_number = body, severity
    keeper.receiver.export(Signal.LOGS, "protobuf", request.SerializeToString(), peer=Peer("http", "127.0.0.1")).result(
        20
    )
