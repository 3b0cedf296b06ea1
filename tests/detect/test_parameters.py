"""Values never seen at a place of a template: what is told, what is not, and what it may cost."""

from __future__ import annotations

from pathlib import Path

import pytest
from detect_traffic import ERROR, INFO, SECOND_NS, START_NS, Bench, Line

from watchkeeper.detect import parameters
from watchkeeper.detect.logs import LogDetector
from watchkeeper.errors import StoreError
from watchkeeper.signals.finding import Finding, FindingSeverity, FindingState

LEARNED_S = 900


def requests(start: int, end: int, statuses: str = "200 200 200 404", *, severity: int = INFO) -> list[Line]:
    """Give four requests a second, whose statuses take turns."""
    codes = statuses.split()
    return [
        (at + number / 4, "cart", severity, f"GET /item/{at * 4 + number} gave status={codes[number % len(codes)]}")
        for at in range(start, end)
        for number in range(4)
    ]


def told(bench: Bench) -> list[Finding]:
    return [finding for finding in bench.told.values() if finding.kind == "log.parameter.unseen"]


def replay(bench: Bench, lines: list[Line]) -> None:
    """Let the bench learn the lines in batches of five seconds."""
    for start in range(0, len(lines), 20):
        bench.learn(lines[start : start + 20])


@pytest.fixture
def learned(bench: Bench) -> Bench:
    replay(bench, requests(0, LEARNED_S))
    return bench


def test_a_status_never_seen_is_one_finding(learned: Bench) -> None:
    assert learned.told == {}
    replay(learned, requests(LEARNED_S, LEARNED_S + 60, "200 503"))
    [finding] = told(learned)
    assert (finding.service, finding.state, finding.severity) == ("cart", FindingState.OPEN, FindingSeverity.INFO)
    assert finding.title == "cart logs “503” where it never stood before: info “GET <*> gave status=<*>”"
    assert finding.subject == f"{finding.template_id}:1"
    assert finding.expected.text == "“200” or “404”"
    assert finding.first_unix_ns >= START_NS + LEARNED_S * SECOND_NS
    assert "gave status=503" in finding.evidence[0].text
    assert finding.baseline.lines > 300
    assert finding.count >= 3


def test_it_matters_more_on_an_error_line(learned: Bench) -> None:
    replay(learned, requests(LEARNED_S, LEARNED_S + 60, "503", severity=ERROR))
    [finding] = told(learned)
    assert finding.severity is FindingSeverity.WARNING


def test_one_odd_line_or_one_window_of_them_is_not_told(learned: Bench) -> None:
    replay(learned, requests(LEARNED_S, LEARNED_S + 5, "503") + requests(LEARNED_S + 10, LEARNED_S + 200))
    assert told(learned) == []


def test_a_value_seen_too_rarely_becomes_usual_without_a_word(learned: Bench) -> None:
    for at in range(LEARNED_S, LEARNED_S + 400, 100):
        replay(learned, requests(at, at + 1, "503") + requests(at + 1, at + 100))
    assert told(learned) == []


def test_before_enough_is_learned_nothing_is_told(bench: Bench) -> None:
    replay(bench, requests(0, 300) + requests(300, 400, "503"))
    assert told(bench) == []


def test_a_measure_that_drifts_is_not_told(bench: Bench) -> None:
    replay(bench, requests(0, LEARNED_S, "3 4") + requests(LEARNED_S, LEARNED_S + 60, "5 6"))
    assert told(bench) == []


def test_a_date_is_not_told_when_the_day_is_over(bench: Bench) -> None:
    replay(bench, requests(0, LEARNED_S, "2026-11-21") + requests(LEARNED_S, LEARNED_S + 60, "2026-11-22"))
    assert told(bench) == []


def test_it_closes_when_the_value_is_gone_and_a_settled_one_is_usual(learned: Bench) -> None:
    replay(learned, requests(LEARNED_S, LEARNED_S + 60, "503") + requests(LEARNED_S + 60, LEARNED_S + 300))
    [finding] = told(learned)
    assert finding.state is FindingState.CLOSED
    end = LEARNED_S + 2400
    replay(learned, requests(LEARNED_S + 300, end) + requests(end, end + 60, "503"))
    assert len(told(learned)) == 1


def test_a_place_with_many_values_costs_no_more(bench: Bench) -> None:
    seen: list[str] = []

    def counting(line: str) -> list[str]:
        seen.append(line)
        return bench.miner.parameters(line)

    bench.detector = LogDetector(bench.text, warmup_s=60.0, parameters=counting)
    replay(bench, [(at / 4, "cart", INFO, f"took basket {at}") for at in range(2000)])
    assert len(seen) < 20


def test_the_sample_is_bounded(bench: Bench) -> None:
    seen: list[str] = []

    def counting(line: str) -> list[str]:
        seen.append(line)
        return bench.miner.parameters(line)

    bench.detector = LogDetector(bench.text, warmup_s=60.0, parameters=counting)
    bench.learn([(at / 1000, "cart", INFO, "served with status=200") for at in range(9000)])
    assert len(seen) <= parameters.SAMPLES_PER_WINDOW


def test_templates_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parameters, "TEMPLATES_MAX", 3)
    lines = [(float(at), "cart", INFO, f"{chr(97 + at)}bcd with status=200") for at in range(20)]
    replay(bench, lines)
    watch = bench.detector._parameters
    assert watch is not None
    assert len(watch.as_list()) == 3


def test_what_is_known_survives_a_restart(learned: Bench, tmp_path: Path) -> None:
    learned.detector.save(tmp_path)
    restarted = Bench()
    restarted.miner = learned.miner
    restarted.detector = LogDetector(learned.text, warmup_s=60.0, parameters=learned.miner.parameters)
    restarted.detector.load(tmp_path)
    replay(restarted, requests(LEARNED_S, LEARNED_S + 60, "200 503"))
    assert len(told(restarted)) == 1


def test_a_state_without_values_is_taken_and_a_damaged_one_refused(learned: Bench, tmp_path: Path) -> None:
    learned.detector.save(tmp_path)
    state = tmp_path / "logs.json"
    text = state.read_text()
    start = text.index(',"parameters":')
    state.write_text(text[:start] + "}")
    learned.detector.load(tmp_path)
    state.write_text(text[:start] + ',"parameters":[{"service":1}]}')
    with pytest.raises(StoreError, match="cannot be read"):
        learned.detector.load(tmp_path)


def test_without_a_way_to_read_parameters_nothing_is_watched(bench: Bench) -> None:
    bench.detector = LogDetector(bench.text, warmup_s=60.0)
    replay(bench, requests(0, LEARNED_S) + requests(LEARNED_S, LEARNED_S + 60, "503"))
    assert told(bench) == []
