"""The metric detector on made-up metrics: what it tells, what it keeps quiet about, and what must not matter."""

from __future__ import annotations

import json
from pathlib import Path

import metric_traffic as traffic
import numpy as np
import pyarrow as pa
import pytest

from watchkeeper.detect.joint import JointScorer
from watchkeeper.errors import NewerFormat, StoreError
from watchkeeper.signals.finding import Finding, FindingSeverity, FindingState

LEARN_S = 2400.0
FAULT = {("payment", "request.duration"): 4.0, ("payment", "cpu.utilization"): 2.2}


def _with_fault(*, seed: int = 1) -> list[list[traffic.Point]]:
    shop = traffic.Shop(seed)
    return (
        shop.between(0, LEARN_S)
        + shop.between(LEARN_S, LEARN_S + 300, FAULT)
        + shop.between(LEARN_S + 300, LEARN_S + 600)
    )


def _plain(findings: dict[str, Finding]) -> list[dict[str, object]]:
    return [json.loads(json.dumps(one.as_dict())) for _, one in sorted(findings.items())]


def test_a_fault_is_one_finding_that_names_its_strongest_metric_and_closes() -> None:
    told = traffic.learn(traffic.detector(), _with_fault())
    (finding,) = traffic.last(told).values()
    assert finding.kind == "metric.level"
    assert finding.signal == "metrics"
    assert finding.service == "payment"
    assert finding.state is FindingState.CLOSED
    assert finding.severity is FindingSeverity.CRITICAL
    assert finding.attributes["metrics"] == ["request.duration", "cpu.utilization"]
    assert finding.attributes["aspect"] == "latency"
    assert finding.expected.high is not None
    assert 0.05 < finding.expected.high < 0.08
    assert finding.seen.high == pytest.approx(0.2, rel=0.3)
    begun_s = (finding.first_unix_ns - traffic.START_NS) / 1e9
    assert begun_s == LEARN_S
    assert finding.detected_unix_ns - finding.first_unix_ns <= 60 * traffic.SECOND_NS
    assert [item.kind for item in finding.evidence] == ["series", "series"]
    assert len(finding.evidence[0].points) > 20
    assert "was normal over" in finding.why


def test_two_healthy_hours_of_noise_are_quiet() -> None:
    told = traffic.learn(traffic.detector(), traffic.Shop(7).between(0, 3 * LEARN_S))
    assert told == []


def test_many_metrics_of_an_entity_off_at_once_are_one_finding() -> None:
    shop = traffic.Shop(3)
    own = traffic.detector()
    assert traffic.learn(own, shop.between(0, LEARN_S)) == []
    little = {("cart", name): 1 + 10.0 * noise / level for name, (_, level, noise) in traffic.SHAPES.items()}
    told = traffic.last(traffic.learn(own, shop.between(LEARN_S, LEARN_S + 300, little)))
    still_open = [one for one in told.values() if one.state is FindingState.OPEN]
    assert [one.service for one in still_open] == ["cart"]
    assert {one.kind for one in told.values()} <= {"metric.joint", "metric.level"}
    assert len(still_open[0].attributes["metrics"]) > 1


def test_batches_may_be_cut_anywhere() -> None:
    moments = _with_fault()
    rows = [point for points in moments for point in points]
    whole = traffic.last(traffic.detector().learn(traffic.metric_batch(rows)))
    own = traffic.detector()
    parts = traffic.last(traffic.learn(own, [rows[at : at + 1_001] for at in range(0, len(rows), 1_001)]))
    by_moment = traffic.last(traffic.learn(traffic.detector(), moments))
    assert len(whole) == 1
    assert _plain(whole) == _plain(parts) == _plain(by_moment)


def test_the_order_of_series_does_not_matter() -> None:
    moments = _with_fault()
    turned = [points[::-1] for points in moments]
    one = traffic.last(traffic.learn(traffic.detector(), moments))
    other = traffic.last(traffic.learn(traffic.detector(), turned))
    assert _plain(one) == _plain(other)


def test_another_unit_changes_no_score() -> None:
    moments = _with_fault()
    scaled = [[{**point, "value_double": point["value_double"] * 2.0**20} for point in points] for points in moments]
    own, other = traffic.detector(), traffic.detector()
    one, two = traffic.last(traffic.learn(own, moments)), traffic.last(traffic.learn(other, scaled))
    assert [(f.id, f.score, f.count) for f in one.values()] == [(f.id, f.score, f.count) for f in two.values()]


def test_state_survives_a_restart_exactly(tmp_path: Path) -> None:
    moments = _with_fault()
    cut = int((LEARN_S + 100) / traffic.STEP_S)
    own = traffic.detector()
    traffic.learn(own, moments[:cut])
    own.save(tmp_path)
    other = traffic.detector()
    other.load(tmp_path)
    assert other.learning() == own.learning()
    assert _plain(traffic.last(traffic.learn(own, moments[cut:]))) == _plain(
        traffic.last(traffic.learn(other, moments[cut:]))
    )
    assert np.array_equal(
        own.bank.state.fields[:, : own.bank.used], other.bank.state.fields[:, : other.bank.used], equal_nan=True
    )


@pytest.mark.parametrize("damage", ["cut", "newer", "gone", "other"])
def test_state_that_is_damaged_or_newer_is_refused(tmp_path: Path, damage: str) -> None:
    own = traffic.detector()
    traffic.learn(own, traffic.Shop().between(0, 600))
    own.save(tmp_path)
    if damage == "cut":
        (tmp_path / "metrics.npz").write_bytes((tmp_path / "metrics.npz").read_bytes()[:500])
    elif damage == "gone":
        (tmp_path / "metrics.npz").unlink()
    else:
        document = json.loads((tmp_path / "metrics.json").read_text())
        document["schema_version" if damage == "newer" else "stamp"] += 1
        (tmp_path / "metrics.json").write_text(json.dumps(document))
    with pytest.raises(NewerFormat if damage == "newer" else StoreError):
        traffic.detector().load(tmp_path)


def test_scoring_changes_nothing_and_learning_takes_no_hold_of_the_batch() -> None:
    own, shop = traffic.detector(), traffic.Shop()
    traffic.learn(own, shop.between(0, LEARN_S))
    batch = traffic.metric_batch(shop.at(LEARN_S, FAULT))
    before, content = own.bank.state.fields.copy(), batch.to_pylist()
    scores = own.score(batch)
    assert np.array_equal(own.bank.state.fields, before)
    assert np.array_equal(own.score(batch), scores)
    names = batch.column("name").to_pylist()
    hot = {(names[row], batch.column("service")[row].as_py()) for row in np.argsort(-scores)[:2]}
    assert hot == {("request.duration", "payment"), ("cpu.utilization", "payment")}
    own.learn(batch)
    assert batch.to_pylist() == content


def test_memory_is_bounded_by_the_most_series_and_it_is_told() -> None:
    own = traffic.detector(series_max=50)
    for at in range(40):
        names = [f"metric.{at * 20 + number}" for number in range(20)]
        own.learn(traffic.metric_batch([traffic.point(at * 10.0, f"service-{at}", name, 1.0) for name in names]))
    assert len(own.sources) == 50
    assert own.evicted_series == 40 * 20 - 50
    assert own.bank.used <= 128
    assert len(own.entities.names) <= 8
    assert len(own.learning()) == 3
    many = [traffic.point(1000.0, "one", f"other.{number}", 1.0) for number in range(80)]
    own.learn(traffic.metric_batch(many))
    assert len(own.sources) == 50
    assert own.sources.refused_points == 30


def test_a_series_that_no_longer_comes_is_told_and_a_silent_entity_is_not() -> None:
    shop = traffic.Shop(4)
    own = traffic.detector()
    traffic.learn(own, shop.between(0, 1200))
    without = [
        [point for point in points if (point["service"], point["name"]) != ("cart", "queue.size")]
        for points in shop.between(1200, 2400)
    ]
    gone = [[point for point in points if point["service"] != "catalogue"] for points in without]
    told = traffic.last(traffic.learn(own, gone))
    (finding,) = told.values()
    assert (finding.kind, finding.service, finding.attributes["metric"]) == ("metric.missing", "cart", "queue.size")
    assert "120 times" in finding.why
    back = traffic.last(traffic.learn(own, shop.between(2400, 2700)))
    assert back[finding.id].state is FindingState.CLOSED


def test_a_series_that_stands_still_is_told() -> None:
    shop, own = traffic.Shop(5), traffic.detector()
    traffic.learn(own, shop.between(0, LEARN_S))
    stuck = [
        [
            {**point, "value_double": 55.0} if (point["service"], point["name"]) == ("cart", "temperature") else point
            for point in points
        ]
        for points in shop.between(LEARN_S, LEARN_S + 900)
    ]
    told = traffic.last(traffic.learn(own, stuck))
    (finding,) = told.values()
    assert (finding.kind, finding.attributes["metric"]) == ("metric.flat", "temperature")
    assert finding.state is FindingState.OPEN


def test_a_filling_disk_is_foretold_once_with_its_limit() -> None:
    own = traffic.detector()
    random = np.random.default_rng(6)
    told: list[Finding] = []
    for step in range(320):
        used = 0.4 + 0.0012 * step + random.normal(0, 0.003)
        flat = 0.7 + random.normal(0, 0.01)
        saw = 0.3 + 0.5 * (step % 60) / 60
        points = [
            traffic.point(step * 60.0, "db", "system.filesystem.utilization", value, unit="1", attributes=where)
            for value, where in ((used, '{"mountpoint":"/a"}'), (flat, '{"mountpoint":"/b"}'), (saw, '{"c":1}'))
        ]
        told += own.learn(traffic.metric_batch(points))
    (finding,) = [one for one in traffic.last(told).values() if one.kind == "metric.forecast"]
    assert finding.attributes["series"] == '{"mountpoint":"/a"}'
    assert finding.attributes["limit"] == 1.0
    earliest_s, expected_s, _ = finding.attributes["time_to_limit_s"]
    assert earliest_s <= expected_s
    assert finding.state is FindingState.OPEN
    assert finding.evidence[0].points


def test_a_usage_is_held_against_the_limit_beside_it() -> None:
    own = traffic.detector()
    told: list[Finding] = []
    for step in range(300):
        more = {"unit": "By", "attributes": '{"type":"heap"}'}
        told += own.learn(
            traffic.metric_batch(
                [
                    traffic.point(step * 60.0, "app", "jvm.memory.used", 1e9 + 2e6 * step, **more),
                    traffic.point(step * 60.0, "app", "jvm.memory.limit", 2e9, **more),
                ]
            )
        )
    foretold = [one for one in traffic.last(told).values() if one.kind == "metric.forecast"]
    assert [one.attributes["limit"] for one in foretold] == [2e9]


def test_flush_lets_silence_close_a_finding_and_learning_tells_how_far_it_is() -> None:
    own, shop = traffic.detector(), traffic.Shop()
    assert own.flush(traffic.START_NS) == []
    traffic.learn(own, shop.between(0, 300))
    assert {(one.state, one.learned_s) for one in own.learning()} == {("warming", 290.0)}
    traffic.learn(own, shop.between(300, LEARN_S))
    opened = traffic.last(traffic.learn(own, shop.between(LEARN_S, LEARN_S + 200, FAULT)))
    assert {one.state for one in opened.values()} == {FindingState.OPEN}
    closed = own.flush(traffic.START_NS + int((LEARN_S + 600) * 1e9))
    assert [one.state for one in closed] == [FindingState.CLOSED]
    assert {one.id for one in closed} == set(opened)
    assert {one.state for one in own.learning()} == {"watching"}


def test_an_empty_batch_and_one_of_unknown_kinds_say_nothing() -> None:
    own = traffic.detector()
    empty = traffic.metric_batch([])
    assert own.learn(empty) == []
    assert own.score(empty).shape == (0,)
    odd = traffic.metric_batch([traffic.point(0.0, "a", "b", 1.0, kind="novelty")])
    assert isinstance(odd, pa.RecordBatch)
    assert own.learn(odd) == []


class _Largest:
    """A scorer of its own kind: the largest value, and how many vectors it has seen."""

    def __init__(self, metrics: int, step_s: float) -> None:
        self.metrics, self.step_s, self.seen = metrics, step_s, 0

    def score_learn(self, block: np.ndarray) -> np.ndarray:
        assert block.shape[1] == self.metrics
        self.seen += len(block)
        return np.abs(block).max(axis=1)

    def contributions(self) -> np.ndarray:
        return np.ones((1, self.metrics))

    def new_segment(self) -> None:
        self.seen = 0

    def save(self, path: Path) -> None:
        np.savez(path, about=np.array([self.metrics, self.step_s, self.seen]))

    @classmethod
    def load(cls, path: Path) -> _Largest:
        with np.load(path) as archive:
            metrics, step_s, seen = archive["about"].tolist()
        own = cls(int(metrics), step_s)
        own.seen = int(seen)
        return own


def test_another_joint_scorer_sees_each_minute_of_an_entity_once_and_is_kept(tmp_path: Path) -> None:
    own = traffic.detector(joint=_Largest)
    traffic.learn(own, traffic.Shop().between(0, 1200))
    own.save(tmp_path)
    other = traffic.detector(joint=_Largest)
    other.load(tmp_path)
    warming_min = 400 // 60 + 1
    for joints in (own.joints, other.joints):
        scorers = [one.scorer for one in joints._known.values()]
        assert [(one.metrics, one.step_s, one.seen) for one in scorers] == [(5, 60.0, 20 - warming_min)] * 3


def test_no_more_joint_scorers_than_there_is_memory_for() -> None:
    own = traffic.detector(joint=JointScorer, joint_bytes_max=80_000)
    traffic.learn(own, traffic.Shop().between(0, 450))
    assert (len(own.joints), own.joint_refused) == (2, 1)


def _tied(begin: int, end: int, random: np.random.Generator, *, broken: bool = False) -> list[list[traffic.Point]]:
    """Five metrics every five minutes that follow one load, or where one goes its own way within its range."""
    moments = []
    for step in range(begin, end):
        load = np.sin(step / 17.0) + 0.4 * np.sin(step / 5.0)
        loads = [-load if broken and place == 2 else load for place in range(5)]
        moments.append(
            [
                traffic.point(300.0 * step, "web", f"m{place}", 10 + place * one + random.normal(0, 0.02))
                for place, one in enumerate(loads, 1)
            ]
        )
    return moments


def test_metrics_that_no_longer_go_together_are_one_finding_that_names_the_one() -> None:
    own, random = traffic.detector(joint=JointScorer), np.random.default_rng(3)
    steps = 4 * 288
    traffic.learn(own, _tied(0, steps, random))
    told = traffic.last(traffic.learn(own, _tied(steps, steps + 12, random, broken=True)))
    (finding,) = [one for one in told.values() if one.kind == "metric.joint"]
    assert finding.attributes["metrics"][0] == "m3"
    assert finding.evidence[0].text.startswith("m3")
    assert finding.evidence[0].points
    assert "its metrics do not go together as usual, m3 most" in finding.title


def _fleet(begin: int, end: int, random: np.random.Generator, awake: dict[str, float]) -> list[list[traffic.Point]]:
    """Utilisation of 24 services every minute; four are idle but for what `awake` says."""
    moments = []
    for step in range(begin, end):
        levels = {f"s{one:02d}": 0.4 + 0.01 * one if one >= 4 else 0.001 for one in range(24)} | awake
        moments.append(
            [
                traffic.point(60.0 * step, name, "cpu.utilization", level * (1 + 0.05 * random.normal()), unit="1")
                for name, level in levels.items()
            ]
        )
    return moments


@pytest.mark.parametrize(("level", "told"), [(0.4, False), (3.0, True)])
def test_an_idle_series_that_wakes_up_to_what_its_peers_do_is_not_told(level: float, told: bool) -> None:
    own, random = traffic.detector(), np.random.default_rng(8)
    traffic.learn(own, _fleet(0, 240, random, {}))
    found = traffic.last(traffic.learn(own, _fleet(240, 252, random, {"s01": level})))
    assert [one.service for one in found.values()] == (["s01"] if told else [])


def test_what_was_always_zero_is_told_from_when_it_moved():
    own = traffic.detector(warmup_s=60.0)

    def moment(at: int) -> list[traffic.Point]:
        flag = traffic.point(at, "node", "throttled", float(at >= 900))
        return [flag, traffic.point(at, "node", "temperature", 50.0 + at % 20)]

    told = traffic.last(traffic.learn(own, [moment(at) for at in range(0, 1_400, 10)])).values()
    began = [finding.first_unix_ns - traffic.START_NS for finding in told if finding.subject.startswith("throttled")]
    assert began == [900 * traffic.SECOND_NS]
