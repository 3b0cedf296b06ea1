"""What the log detector says of made-up traffic: warm-up, faults, silence, and an hour in which nothing happens."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from detect_traffic import ERROR, INFO, SECOND_NS, START_NS, WARN, Bench, Line, Shop, log_batch

from watchkeeper.errors import NewerFormat, StoreError
from watchkeeper.signals.finding import Finding, FindingSeverity, FindingState


def steady(start: int, end: int, *, per_second: int = 5, service: str = "cart") -> list[Line]:
    """Give lines of one template at a fixed rate."""
    return [
        (at + number / per_second, service, INFO, f"item {at} added")
        for at in range(start, end)
        for number in range(per_second)
    ]


def found(bench: Bench, kind: str) -> Finding:
    [finding] = [finding for finding in bench.told.values() if finding.kind == kind]
    return finding


def test_warming_up_is_told_and_nothing_is_judged(bench: Bench) -> None:
    assert bench.detector.learning() == []
    bench.learn([*steady(0, 40), (41, "cart", ERROR, "disk full")])
    [state] = bench.detector.learning()
    assert (state.service, state.state, state.learned_s, state.needed_s, state.lines) == (
        "cart",
        "warming",
        41,
        60,
        201,
    )
    assert bench.told == {}
    bench.learn(steady(41, 62))
    assert bench.detector.learning()[0].state == "watching"


def test_a_service_with_few_lines_warms_up_longer(bench: Bench) -> None:
    bench.learn([(0, "cron", INFO, "run"), (90, "cron", ERROR, "failed")])
    assert bench.detector.learning()[0].state == "warming"
    assert bench.told == {}


def test_a_new_error_is_found_at_its_first_line(bench: Bench) -> None:
    bench.learn(steady(0, 90))
    fault: list[Line] = [(91, "cart", ERROR, "cannot reach redis at 10.0.0.7:6379")]
    bench.learn(steady(90, 91) + fault)
    finding = found(bench, "log.template.unseen")
    assert (finding.service, finding.entity, finding.count) == ("cart", "service=cart", 1)
    assert (finding.severity, finding.state) == (FindingSeverity.WARNING, FindingState.OPEN)
    assert finding.template == "cannot reach redis at <*>"
    assert finding.score >= 2.8
    assert finding.first_unix_ns == START_NS + 91 * SECOND_NS
    assert finding.evidence[0].text == "cannot reach redis at 10.0.0.7:6379"
    assert finding.evidence[0].trace_id
    assert finding.baseline.lines == 455
    assert "455 lines" in finding.why


def test_without_severities_the_words_tell_that_it_is_grave(bench: Bench) -> None:
    lines = [(at, service, 0, body) for at, service, _, body in steady(0, 90)]
    bench.learn([*lines, (91, "cart", 0, "connection to 10.0.0.7 refused"), (91, "cart", 0, "good morning")])
    finding = found(bench, "log.template.unseen")
    assert finding.severity is FindingSeverity.WARNING
    assert finding.title == "cart logs something it never logged before: “connection to <*> refused”"


def test_a_reworded_error_is_no_news_but_another_error_is(bench: Bench) -> None:
    known: Line = (30, "cart", ERROR, "cannot refresh the price list of supplier 17 from cache")
    bench.learn([*steady(0, 30), known, *steady(31, 90)])
    bench.learn([(91, "cart", ERROR, "cannot refresh the price list of supplier 17 from cache after 3 tries")])
    assert bench.told == {}
    bench.learn([(92, "cart", ERROR, "disk full on 10.0.0.7")])
    assert found(bench, "log.template.unseen").template == "disk full on <*>"


@pytest.mark.parametrize(("known", "new"), [(INFO, ERROR), (0, 0)])
def test_a_harmless_line_does_not_vouch_for_an_error(bench: Bench, known: int, new: int) -> None:
    before: Line = (30, "cart", known, "price list of supplier 17 refreshed from cache of the warehouse")
    bench.learn([*steady(0, 30), before, *steady(31, 90)])
    bench.learn([(91, "cart", new, "price list of supplier 17 refreshed from cache of the warehouse failed")])
    assert found(bench, "log.template.unseen").count == 1


def test_another_services_error_does_not_vouch(bench: Bench) -> None:
    bench.learn([*steady(0, 30), (30, "mail", ERROR, "cannot refresh the price list from cache"), *steady(31, 90)])
    bench.learn([(91, "cart", ERROR, "cannot refresh the price list from cache again")])
    assert found(bench, "log.template.unseen").service == "cart"


def test_what_vouches_is_known_again_after_a_restart(bench: Bench, tmp_path: Path) -> None:
    bench.learn([*steady(0, 30), (30, "cart", ERROR, "cannot refresh the price list from cache"), *steady(31, 90)])
    bench.detector.save(tmp_path)
    bench.detector.load(tmp_path)
    bench.learn([(91, "cart", ERROR, "cannot refresh the price list from cache again")])
    assert bench.told == {}


def test_more_lines_of_it_are_the_same_finding(bench: Bench) -> None:
    bench.learn(steady(0, 90))
    for at in range(90, 100):
        bench.learn([*steady(at, at + 1), (at + 0.99, "cart", ERROR, f"cannot reach redis, try {at}")])
    finding = found(bench, "log.template.unseen")
    assert finding.count == 10
    assert len([one for one in finding.evidence if one.kind == "line"]) == 5


def test_it_closes_when_it_has_been_quiet(bench: Bench) -> None:
    bench.learn([*steady(0, 90), (90, "cart", ERROR, "cannot reach redis")])
    assert found(bench, "log.template.unseen").state is FindingState.OPEN
    bench.flush(209)
    assert found(bench, "log.template.unseen").state is FindingState.OPEN
    bench.flush(211)
    assert found(bench, "log.template.unseen").state is FindingState.CLOSED


def test_a_new_greeting_is_not_worth_telling_so_soon(bench: Bench) -> None:
    bench.learn([*steady(0, 90), (90, "cart", INFO, "good morning")])
    assert bench.told == {}


def test_a_service_that_always_brings_new_lines_is_no_news() -> None:
    bench = Bench()
    words = [f"{chr(97 + number // 26)}{chr(97 + number % 26)}xx" for number in range(200)]
    for number, word in enumerate(words):
        bench.learn(
            [*steady(number * 2, number * 2 + 2), (number * 2 + 1.9, "cart", ERROR, f"cannot find {word} here")]
        )
    told = [finding for finding in bench.told.values() if finding.kind == "log.template.unseen"]
    assert len(told) <= 2


def test_many_new_lines_at_once_are_grouped(bench: Bench) -> None:
    bench.learn(steady(0, 3600))
    new: list[Line] = [(3600.5, "cart", ERROR, f"broken {chr(97 + n // 26)}{chr(97 + n % 26)}q") for n in range(60)]
    bench.learn(new)
    told = [finding for finding in bench.told.values() if finding.kind == "log.template.unseen"]
    assert 1 < len(told) <= 9
    assert sum(finding.subject == "many" for finding in told) <= 1


@pytest.mark.parametrize("seed", [1, 2])
def test_more_errors_are_found_within_30_s(seed: int) -> None:
    bench, shop = Bench(), Shop(seed)
    extra = shop.random

    def errors(at: int, rate: float) -> list[Line]:
        return [(at + 0.999, "payment", ERROR, f"declined {at}") for _ in range(extra.poisson(rate))]

    for at, lines in enumerate(shop.seconds(0, 90)):
        bench.learn(lines + errors(at, 0.5))
    assert bench.told == {}
    for at, lines in enumerate(shop.seconds(90, 120), start=90):
        bench.learn(lines + errors(at, 2.5))
    finding = found(bench, "log.error.rate")
    assert (finding.service, finding.subject, finding.template_id) == ("payment", "errors", None)
    assert finding.severity is FindingSeverity.CRITICAL
    assert finding.expected.high is not None
    assert finding.count > finding.expected.high
    assert "share" in finding.why
    series = next(one for one in finding.evidence if one.kind == "series")
    assert len(series.points) >= 6
    assert {finding.service for finding in bench.told.values()} == {"payment"}


def test_more_traffic_with_as_many_more_errors_is_not_an_error_finding(bench: Bench) -> None:
    for at in range(300):
        factor = 4 if at >= 150 else 1
        lines: list[Line] = steady(at, at + 1, per_second=8 * factor)
        bench.learn([*lines, *[(at + 0.999, "cart", ERROR, "declined")] * factor])
    assert "log.error.rate" not in bench.kinds()


def test_a_template_that_comes_far_more_often_is_found(bench: Bench) -> None:
    for at in range(150):
        retries: list[Line] = [(at + 0.9, "cart", INFO, f"retrying {at}")] * (1 if at < 120 else 30)
        bench.learn(steady(at, at + 1, per_second=10) + retries)
    finding = found(bench, "log.template.rate")
    assert finding.template == "retrying <*>"
    assert finding.seen.high == 300


def test_a_burst_of_warnings_is_found(bench: Bench) -> None:
    for at in range(150):
        lines = steady(at, at + 1, per_second=10)
        if at >= 120:
            lines += [(at + 0.95, "cart", WARN, "slow disk")] * 3
        bench.learn(lines)
    assert "log.severity.burst" in bench.kinds()


def test_a_template_that_stopped_is_found(bench: Bench) -> None:
    for at in range(400):
        lines = steady(at, at + 1)
        if at < 300:
            lines.append((at + 0.9, "cart", INFO, "heartbeat sent"))
        bench.learn(lines)
    finding = found(bench, "log.template.stopped")
    assert finding.template == "heartbeat sent"
    assert finding.evidence[-1].kind == "series"


def test_a_service_that_falls_silent_beside_others_is_found_by_the_passing_of_time(bench: Bench) -> None:
    for at in range(150):
        bench.learn(steady(at, at + 1) + steady(at, at + 1, service="payment"))
    for at in range(150, 220):
        bench.learn(steady(at, at + 1))
        bench.flush(at + 1)
    finding = found(bench, "log.service.silent")
    assert (finding.service, finding.subject) == ("payment", "lines")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_service_with_few_lines_is_not_silent_between_them(seed: int) -> None:
    bench, random = Bench(), Shop(seed).random
    for at in range(0, 3 * 3600, 10):
        lines = [(at, "cart", INFO, "served"), *[(at + 5, "job", INFO, "done")] * random.poisson(0.5)]
        bench.learn(lines)
        bench.flush(at + 10)
    assert "log.service.silent" not in bench.kinds()


def test_when_all_are_silent_it_is_not_the_services(bench: Bench) -> None:
    for at in range(150):
        bench.learn(steady(at, at + 1) + steady(at, at + 1, service="payment"))
    bench.flush(1000)
    assert bench.told == {}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_hour_without_a_fault_raises_at_most_one_finding(seed: int) -> None:
    bench, shop = Bench(), Shop(seed)
    lines: list[Line] = []
    for at, second in enumerate(shop.seconds(0, 3600)):
        lines += second
        if at % 5 == 4:
            bench.learn(lines)
            bench.flush(at + 1)
            lines = []
    assert len(bench.told) <= 1


def test_lines_out_of_order_are_counted_and_very_late_ones_told(bench: Bench) -> None:
    bench.learn(steady(0, 90))
    bench.learn(steady(75, 80))
    assert bench.detector.late_lines == 0
    bench.learn(steady(30, 31))
    assert bench.detector.late_lines == 5


def test_a_clock_far_ahead_does_not_stop_the_watch(bench: Bench) -> None:
    bench.learn(steady(0, 90))
    batch = log_batch([(91, "cart", INFO, "item 1 added")], bench.miner)
    ahead = batch.set_column(0, batch.schema.field(0), pa.array([START_NS + 10**18]))
    bench.detector.learn(ahead)
    bench.learn(steady(91, 95))
    assert bench.detector.late_lines == 0


def test_a_first_line_of_1970_does_not_pass_for_a_long_warm_up(bench: Bench) -> None:
    unset = -START_NS / SECOND_NS
    bench.learn([(unset, "cart", INFO, "boot"), *steady(0, 40)])
    bench.learn([(41, "cart", ERROR, "disk full")])
    [state] = bench.detector.learning()
    assert (state.state, state.learned_s) == ("warming", 41)
    assert bench.told == {}
    bench.learn(steady(41, 62))
    assert bench.detector.learning()[0].state == "watching"


def test_an_old_log_is_watched_beside_a_live_one(bench: Bench) -> None:
    for at in range(90):
        bench.learn(steady(at, at + 1) + steady(at - 10**8, at + 1 - 10**8, service="old"))
        bench.flush(at + 1)
    bench.learn([(90 - 10**8, "old", ERROR, "it broke then, too")])
    assert bench.detector.late_lines == 0
    assert found(bench, "log.template.unseen").service == "old"


def test_what_goes_on_for_long_becomes_normal() -> None:
    bench = Bench()
    bench.learn(steady(0, 90))
    for at in range(90, 2100, 10):
        bench.learn([*steady(at, at + 10), (at + 9.99, "cart", ERROR, f"new way {at}")])
    finding = found(bench, "log.template.unseen")
    assert finding.state is FindingState.CLOSED


def test_empty_batches_and_rows_without_template(bench: Bench) -> None:
    assert bench.learn([]) == []
    batch = log_batch(steady(0, 1), bench.miner)
    index = batch.schema.get_field_index("template_id")
    without = batch.set_column(index, batch.schema.field(index), pa.nulls(batch.num_rows, pa.int64()))
    assert bench.detector.learn(without) == []
    assert bench.detector.learning() == []


def test_services_without_a_name_are_watched(bench: Bench) -> None:
    bench.learn([*steady(0, 90, service=""), (91, "", ERROR, "broken")])
    assert found(bench, "log.template.unseen").title.startswith("a service without a name")


def test_damaged_and_newer_state_is_refused(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        bench.detector.load(tmp_path)
    bench.learn(steady(0, 90))
    bench.detector.save(tmp_path)
    text = (tmp_path / "logs.json").read_text()
    (tmp_path / "logs.json").write_text(text.replace('"schema_version":1', '"schema_version":9', 1))
    with pytest.raises(NewerFormat, match="newer"):
        bench.detector.load(tmp_path)
    (tmp_path / "logs.json").write_text(text)
    whole = (tmp_path / "logs.npz").read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 5):
        (tmp_path / "logs.npz").write_bytes(whole[:size])
        with pytest.raises(StoreError, match="cannot be read"):
            bench.detector.load(tmp_path)
