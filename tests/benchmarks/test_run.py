import json

import pytest

from benchmarks import __main__ as command
from benchmarks import run


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Make a folder of benchmarks that the runner starts instead of the real ones."""
    (tmp_path / "benchmarks").mkdir()
    monkeypatch.chdir(tmp_path)

    def write(name, text):
        (tmp_path / "benchmarks" / f"{name}.py").write_text(text)

    return write


GOOD = "import json, sys; print('  half done', file=sys.stderr); print('noise'); print(json.dumps({'ratio': 3.5}))"


def test_figures_are_shown_as_a_table_and_kept_as_json(stand_in, monkeypatch, capsys, tmp_path):
    stand_in("decoders", GOOD)
    monkeypatch.setattr("sys.argv", ["benchmarks", "decoders", "--json", str(tmp_path / "out" / "all.json")])
    assert command.main() == 0
    told = capsys.readouterr().out
    assert "[1/1] decoders" in told
    assert "half done" in told
    assert "ratio [x]" in told
    assert '"ratio"' not in told
    kept = json.loads((tmp_path / "out" / "all.json").read_text())
    assert kept["figures"] == {"decoders": {"ratio": 3.5}}
    assert {"date", "machine", "commit", "failed", "seconds"} <= set(kept)


def test_a_failing_benchmark_is_told_and_the_others_run_on(stand_in, capsys):
    stand_in("store", "raise RuntimeError('the disk is on fire')")
    stand_in("decoders", GOOD)
    ran = run.run(["store", "decoders"])
    assert ran.failed == {"store": "RuntimeError: the disk is on fire"}
    assert list(ran.figures) == ["decoders"]
    told = capsys.readouterr().out
    assert "FAILED: store: RuntimeError: the disk is on fire" in told
    assert "Traceback" in told


def test_an_error_of_ours_is_told_without_a_traceback(stand_in, capsys):
    stand_in("patterns", "from watchkeeper.errors import DataSetError\nraise DataSetError('fetch loghub_2k first')")
    assert run.run(["patterns"]).failed == {"patterns": "DataSetError: fetch loghub_2k first"}
    assert "Traceback" not in capsys.readouterr().out


def test_output_that_is_no_json_is_a_failure(stand_in):
    stand_in("idle", "print('done')")
    assert "no JSON" in run.run(["idle"]).failed["idle"]


def test_what_was_skipped_is_repeated_at_the_end(stand_in, capsys):
    stand_in("idle", 'print(\'{"x": 1, "skipped": {"drain3": "no network"}}\')')
    run.run(["idle"])
    assert capsys.readouterr().out.rstrip().endswith("skipped: idle: drain3: no network")


def test_an_unknown_name_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["benchmarks", "nothing"])
    with pytest.raises(SystemExit):
        command.main()
    assert "there are: idle, edge, decoders" in capsys.readouterr().err
