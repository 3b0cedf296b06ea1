"""What people confirmed as anomalous is not learned as normal: logs, metrics, traces, beside what nobody confirmed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from detect_traffic import ERROR, INFO, Bench, Line

sys.path.insert(0, str(Path(__file__).parent / "metrics"))

import metric_traffic

from watchkeeper.detect.protection import Confirmed, Protects
from watchkeeper.detect.traces.detector import TraceDetector
from watchkeeper.detect.traces.findings import OpenTraceFindings
from watchkeeper.detect.traces.judgement import Judgement, Kind
from watchkeeper.signals.finding import Finding, FindingState

LEARN_S = 2_400.0
FAULT = {("payment", "request.duration"): 4.0, ("payment", "cpu.utilization"): 2.2}


def confirmed(finding: Finding) -> Confirmed:
    return Confirmed(finding.kind, finding.service, finding.entity, finding.subject, finding.score, finding.template_id)


def steady(start: int, end: int) -> list[Line]:
    return [(at + number / 5, "cart", INFO, f"item {at} added") for at in range(start, end) for number in range(5)]


def only(bench: Bench) -> Finding:
    [finding] = [each for each in bench.told.values() if each.kind == "log.template.unseen"]
    return finding


def went_on(*, protect: bool) -> Bench:
    bench = Bench()
    bench.learn([*steady(0, 90), (89.9, "cart", ERROR, "cannot reach redis")])
    if protect:
        bench.detector.protect([confirmed(only(bench))])
    for at in range(90, 2_100, 30):
        bench.learn([*steady(at, at + 30), (at + 29.99, "cart", ERROR, "cannot reach redis")])
    return bench


def test_a_confirmed_log_finding_does_not_become_normal_however_long_it_goes_on() -> None:
    assert only(went_on(protect=False)).state is FindingState.CLOSED
    kept = only(went_on(protect=True))
    assert (kept.state, kept.count) == (FindingState.OPEN, 68)


def test_a_confirmed_form_is_told_again_whenever_it_comes(tmp_path: Path) -> None:
    for protect in (False, True):
        bench = Bench()
        bench.learn([*steady(0, 90), (89.9, "cart", ERROR, "cannot reach redis")])
        first = only(bench)
        if protect:
            bench.detector.protect([confirmed(first)])
        bench.learn(steady(90, 400))
        assert bench.told[first.id].state is FindingState.CLOSED
        if protect:
            bench.detector.save(tmp_path)
            bench.detector.load(tmp_path)
        bench.learn([*steady(400, 402), (401.9, "cart", ERROR, "cannot reach redis")])
        again = [each for each in bench.told.values() if each.id != first.id]
        assert len(again) == protect
        if protect:
            assert again[0].title.startswith("cart logs again what people confirmed as an anomaly")
            assert again[0].score == pytest.approx(first.score, abs=1e-3)
            bench.learn([*steady(402, 404), (403.9, "cart", ERROR, "cannot reach redis")])
            assert bench.told[again[0].id].count == 2
            bench.detector.protect([])
            bench.learn(steady(404, 700))
            bench.learn([*steady(700, 702), (701.9, "cart", ERROR, "cannot reach redis")])
            assert len(bench.told) == 2


def level_of(detector: metric_traffic.MetricDetector, metric: str) -> float:
    """Give what the detector takes as the level of a metric of the service payment."""
    channels = detector.channels
    [row] = [
        row
        for row in channels.live().tolist()
        if channels.member(row).metric == metric and detector.names.names[int(detector.bank.service[row])] == "payment"
    ][:1]
    return float(detector.bank.state.fields[0, row])


def test_confirmed_metrics_are_judged_and_not_learned_while_it_goes_on() -> None:
    levels = {}
    for protect in (False, True):
        shop = metric_traffic.Shop(1)
        detector = metric_traffic.detector()
        metric_traffic.learn(detector, shop.between(0, LEARN_S))
        told = metric_traffic.learn(detector, shop.between(LEARN_S, LEARN_S + 120, FAULT))
        [finding] = [each for each in metric_traffic.last(told).values() if each.kind == "metric.level"]
        if protect:
            detector.protect([confirmed(finding)])
        before = level_of(detector, "cpu.utilization")
        told = metric_traffic.learn(detector, shop.between(LEARN_S + 120, LEARN_S + 3_000, FAULT))
        levels[protect] = level_of(detector, "cpu.utilization") / before
        is_open = metric_traffic.last(told)[finding.id].state is FindingState.OPEN
        if protect:
            assert is_open
            detector.protect([])
    assert levels[False] > 1.3
    assert levels[True] == pytest.approx(1.0, abs=0.1)


def test_a_confirmed_trace_finding_does_not_settle() -> None:
    for protect in (False, True):
        kept = OpenTraceFindings(10.0, 120.0)
        if protect:
            kept.protected = frozenset({(str(Kind.ERRORS), "cart", "GET /")})
        for at in range(0, 2_400, 10):
            one = Judgement(
                Kind.ERRORS, "cart", "GET /", 5.0, at * 10**9, (at + 10) * 10**9, 0.5, 0.0, 0.0, 0.1, "1", 9, 9
            )
            kept.judge(one)
            kept.sweep((at + 10) * 10**9)
        assert bool(kept.settled()) is not protect


def test_every_detector_keeps_confirmed_anomalies_out() -> None:
    for detector in (Bench().detector, metric_traffic.detector(), TraceDetector()):
        assert isinstance(detector, Protects)
        detector.protect([Confirmed("x", "s", "e", "t", 1.0)])


def test_held_rows_judge_as_the_others_do() -> None:
    one, two = metric_traffic.detector(), metric_traffic.detector()
    moments = metric_traffic.Shop(2).between(0, 900)
    for detector in (one, two):
        metric_traffic.learn(detector, moments)
    rows = two.channels.live()
    two.bank.held = rows[:3]
    times = np.full(len(rows), 10**18)
    values = one.bank.state.fields[9, rows] * 1.01
    np.testing.assert_array_equal(
        one.bank.update(rows, values, times).surprise, two.bank.update(rows, values, times).surprise
    )
    level = (one.bank.state.fields[0, rows], two.bank.state.fields[0, rows])
    np.testing.assert_array_equal(level[0][3:], level[1][3:])
    assert (level[0][:3] != level[1][:3]).any()
