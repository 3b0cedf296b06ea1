import json

import pytest

from benchmarks import check, ratios

UP, DOWN = "pipeline.ratio_to_drain3", "pipeline.cpu_ratio_to_drain3"


def outcomes(before, now):
    return {each.path: each for each in ratios.compare(before, now, ["pipeline"])}


@pytest.mark.parametrize(
    ("path", "before", "now", "outcome", "fails"),
    [
        (UP, 10.0, 7.9, "worse", True),
        (UP, 10.0, 8.0, "ok", False),
        (UP, 10.0, 13.0, "better", False),
        (DOWN, 1.0, 1.21, "worse", True),
        (DOWN, 1.0, 1.19, "ok", False),
        (DOWN, 1.0, 0.5, "better", False),
        (UP, 10.0, None, "missing", True),
        (UP, None, 3.0, "new", False),
        (UP, None, None, "no figure", False),
    ],
)
def test_a_ratio_is_judged_by_its_direction(path, before, now, outcome, fails):
    verdict = outcomes(
        {} if before is None else {path: before},
        {} if now is None else {path: now},
    )[path]
    assert (verdict.outcome, verdict.fails) == (outcome, fails)


def test_change_is_positive_when_better():
    assert outcomes({DOWN: 2.0}, {DOWN: 1.0})[DOWN].change == pytest.approx(0.5)
    assert outcomes({UP: 2.0}, {UP: 1.0})[UP].change == pytest.approx(-0.5)


def test_a_baseline_path_that_nobody_measures_is_told():
    verdict = outcomes({"pipeline.of_old": 1.0}, {})["pipeline.of_old"]
    assert verdict.outcome == "unknown"
    assert not verdict.fails


def test_only_the_chosen_benchmarks_are_judged():
    assert all(path.startswith("pipeline.") for path in outcomes({"decoders.logs.ratio": 9.0}, {}))


def test_ratios_are_found_by_path_and_what_is_no_number_is_not():
    figures = {"decoders": {"logs": {"ratio": 12.5}, "spans": {"ratio": None}}, "pipeline": {"ratio_to_drain3": 3}}
    assert ratios.found(figures) == {"decoders.logs.ratio": 12.5, UP: 3.0}


def document(tmp_path, value, failed=None):
    file = tmp_path / "run.json"
    file.write_text(json.dumps({"figures": {"pipeline": {"ratio_to_drain3": value}}, "failed": failed or {}}))
    return file


def run_check(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["check", *map(str, arguments)])
    return check.main()


def test_the_command_fails_on_a_regression_and_names_it(tmp_path, monkeypatch, capsys):
    baseline = tmp_path / "baseline.json"
    assert run_check(monkeypatch, "--write", "--from", document(tmp_path, 4.0), "--baseline", baseline) == 0
    assert run_check(monkeypatch, "--from", document(tmp_path, 3.9), "--baseline", baseline) == 0
    capsys.readouterr()
    assert run_check(monkeypatch, "--from", document(tmp_path, 3.0), "--baseline", baseline) == 1
    assert f"FAILED: {UP} is -25% against the baseline" in capsys.readouterr().out


def test_the_command_fails_when_a_benchmark_failed(tmp_path, monkeypatch, capsys):
    failed = document(tmp_path, 4.0, {"pipeline": "exit status 1"})
    assert run_check(monkeypatch, "--from", failed, "--baseline", tmp_path / "none.json") == 1
    assert "the benchmark pipeline did not end: exit status 1" in capsys.readouterr().out


def test_writing_keeps_ratios_that_this_run_did_not_measure(tmp_path):
    baseline = tmp_path / "baseline.json"
    check.write(baseline, {UP: 4.0, "decoders.logs.ratio": 10.0}, {})
    check.write(baseline, {UP: 5.0}, {})
    assert check.read(baseline) == {"decoders.logs.ratio": 10.0, UP: 5.0}


def test_the_baseline_of_the_repository_names_known_ratios_only():
    assert set(check.read(check.BASELINE)) <= set(ratios.RATIOS)
