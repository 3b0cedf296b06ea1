"""The log model: strange forms are flagged within the budget, verdicts are cached, models outlive a kill."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from tests.learn.log_lines import STRANGE, counted, lines, torch_needed, trained

from watchkeeper.learn import framework, training
from watchkeeper.learn.calibration import auc, calibrated, strangers_of
from watchkeeper.learn.checkpoints import Checkpoints, State
from watchkeeper.learn.explanation import KnownLines
from watchkeeper.learn.line_counts import LineCounts
from watchkeeper.learn.log_model import LogModel
from watchkeeper.learn.masked_lines import TOP

pytestmark = torch_needed


@pytest.fixture(scope="module")
def model():
    return trained()


def test_learned_lines_are_known_and_a_strange_one_is_flagged(model):
    assert not model.flagged(lines()).any()
    assert model.asked == 0
    flagged = model.flagged([lines()[0], STRANGE, "opened session 9 for 10.9.9.9 in 3s"])
    assert flagged.tolist() == [False, True, False]
    assert model.asked == 1


def test_a_verdict_is_cached_by_form(model):
    before = model.asked
    model.judge(["restarted the lot of 12", "restarted the lot of 13"])
    model.judge(["restarted the lot of 14"])
    assert model.asked == before + 1
    assert model.explain("restarted the lot of 15").source == "cache"


def test_the_cache_is_bounded(model):
    small = LogModel(model.lines, model.counts, model.calibration, cached_max=2)
    words = ("alpha", "beta", "gamma")
    small.judge([f"{word} unheard of" for word in words])
    assert len(small._cache) == 2
    small.judge(["alpha unheard of"])
    assert small.asked == 4


def test_the_score_is_the_share_of_words_foretold(model):
    usual, strange = model.score([lines()[0], STRANGE])
    assert usual == 1.0
    assert 0.0 <= strange < 0.5


def test_an_explanation_tells_each_token_and_the_nearest_lines(model):
    told = model.explain("opened session 12 quite in 3ms")
    assert told.masked == "opened session <number> quite in <duration>"
    assert [each.token for each in told.tokens] == ["opened", "session", "<number>", "quite", "in", "<duration>"]
    stranger = told.tokens[3]
    assert not stranger.hit
    assert stranger.rank > TOP
    assert told.strangers[0] == "quite"
    assert told.score == pytest.approx(5 / 6, abs=1e-4)
    assert told.neighbours[0].line == "opened session <number> for <ip> in <duration>"
    assert told.neighbours[0].times == 10
    assert told.neighbours[0].likeness > told.neighbours[1].likeness > 0
    assert json.loads(json.dumps(told.as_dict()))["tokens"][3]["token"] == "quite"
    known = model.explain(lines()[3])
    assert (known.source, known.known_count, known.strange) == ("known", 10, False)


def test_a_model_comes_back_from_its_files(model, tmp_path):
    model.save(tmp_path)
    again = LogModel.load(tmp_path)
    asked = [*lines()[:5], STRANGE, "paused the ledger of 7"]
    np.testing.assert_allclose(again.score(asked), model.score(asked))
    assert again.flagged(asked).tolist() == model.flagged(asked).tolist()
    assert again.calibration == model.calibration
    assert again.quality == model.quality
    assert again.parameters["steps_planned"] == 50


def test_a_newer_or_damaged_model_is_refused(model, tmp_path):
    model.save(tmp_path)
    about = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**about, "schema_version": 9}))
    with pytest.raises(ValueError, match="newer version"):
        LogModel.load(tmp_path)
    model.save(tmp_path)
    (tmp_path / "lines.npz").write_bytes(b"PK")
    with pytest.raises((ValueError, OSError)):
        LogModel.load(tmp_path)


def test_quality_is_measured_for_both_widths_of_weights_on_lines_held_out(model):
    told = model.quality
    assert told["held_lines"] == len(counted().split()[1])
    assert told["bytes_int8"] < 0.5 * told["bytes_exact"]
    assert told["accuracy"] == told["accuracy_int8" if model.quantised else "accuracy_exact"] > 0.5
    assert told["separation"] > 0.8


def test_nothing_to_learn_from_is_told():
    with pytest.raises(ValueError, match="no line"):
        LogModel.learn(LineCounts())


def test_calibrating_on_lines_that_are_usual_lets_them_pass(model):
    again = LogModel(model.lines, model.counts)
    usual = [f"{verb} the {thing}" for verb in ("opened", "closed") for thing in ("session", "channel", "buffer")]
    told = again.calibrate(usual, 0.05)
    assert (told.held, told.bound) == (6, pytest.approx(1 / 7, abs=1e-6))
    assert not again.flagged(usual).any()
    assert again.flagged([STRANGE]).all()


def test_the_budget_is_kept_on_lines_like_those_held_out():
    random = np.random.default_rng(3)
    strangers = {"share": np.zeros(50)}
    flagged = []
    for _ in range(2_000):
        drawn = random.random(300)
        flagged.append((drawn[200:] < calibrated({"share": drawn[:200]}, strangers, 0.05).threshold).mean())
    assert 0.045 < np.mean(flagged) < 0.053


def test_the_measure_that_tells_strangers_apart_is_taken():
    normal = {"share": np.ones(30), "chance": np.linspace(0.5, 0.9, 30)}
    strange = {"share": np.ones(30), "chance": np.linspace(0.1, 0.4, 30)}
    assert calibrated(normal, strange, 0.1).measure == "chance"
    assert calibrated(normal, normal, 0.1).measure == "share"
    assert auc(normal["chance"], strange["chance"]) == 1.0


def test_strangers_differ_from_the_lines_they_are_made_of():
    made = strangers_of([["a", "b", "c", "d"]] * 20, ["x", "y"])
    assert {sum(word in {"x", "y"} for word in line) for line in made} == {1}
    assert made == strangers_of([["a", "b", "c", "d"]] * 20, ["x", "y"])


def test_the_nearest_line_shares_the_rare_words():
    known = KnownLines(["the <number> of cart", "the <number> of stock", "the end"], np.array([1, 5, 2]))
    assert [near.line for near in known.nearest("the <number> of stock ran out", 2)] == [
        "the <number> of stock",
        "the <number> of cart",
    ]
    assert KnownLines([], np.zeros(0, np.int64)).nearest("a") == ()


TRAINS = """
import os, signal, sys
from pathlib import Path
from tests.learn.log_lines import trained

def told(progress):
    if progress.step >= 27:
        os.kill(os.getpid(), signal.SIGKILL)

trained(checkpoint=Path(sys.argv[1]), checkpoint_every=10, told=told)
"""


def test_a_training_that_was_killed_goes_on_and_gives_the_same_model(model, tmp_path):
    ended = subprocess.run([sys.executable, "-c", TRAINS, str(tmp_path)], check=False)
    assert ended.returncode == -9
    steps = []
    resumed = trained(checkpoint=tmp_path, checkpoint_every=10, told=lambda progress: steps.append(progress.step))
    assert steps[0] == 20
    assert 20 < steps[1] <= 30
    assert resumed.quality == model.quality
    assert resumed.calibration == model.calibration
    asked = [*lines()[:5], STRANGE]
    np.testing.assert_allclose(resumed.score(asked), model.score(asked))
    again = []
    once_more = trained(checkpoint=tmp_path, checkpoint_every=10, told=lambda progress: again.append(progress.step))
    assert again == [50], "the checkpoint stays until the model is kept, and a training that was over is told as such"
    np.testing.assert_allclose(once_more.score(asked), model.score(asked))


def test_a_checkpoint_of_other_lines_or_a_damaged_one_is_not_taken_up(tmp_path):
    first = Checkpoints(tmp_path, "one")
    first.save(State({"a": np.arange(3)}, {"step": 3.0, "best": -float("inf")}))
    kept = first.load()
    assert kept is not None
    assert kept.numbers == {"step": 3.0, "best": -float("inf")}
    assert Checkpoints(tmp_path, "other").load() is None
    (tmp_path / "checkpoint.npz").write_bytes(b"PK\x03\x04 cut short")
    assert first.load() is None
    (tmp_path / "checkpoint.npz").unlink()
    assert first.load() is None


def test_the_time_left_is_right_within_a_quarter_from_the_half_on(monkeypatch):
    torch = framework.torch()
    module = torch.nn.Linear(2, 1)
    random, now_s = np.random.default_rng(5), [100.0]
    monkeypatch.setattr(training.time, "perf_counter", lambda: now_s[0])

    def loss_of(chosen):
        now_s[0] += random.lognormal(0.0, 0.5)
        return module(torch.ones(len(chosen), 2)).sum()

    told = []
    training.train(module, 100, loss_of, training.Training(epochs=20, batch=10), told=told.append)
    late = [each for each in told if 0.5 <= each.step / each.steps <= 0.95]
    assert len(late) > 50
    for each in late:
        left_s = told[-1].elapsed_s - each.elapsed_s
        assert abs(each.remaining_s - left_s) < 0.25 * left_s + 2.0


def test_a_single_form_is_learned_and_nothing_is_flagged_without_lines_held_out():
    counts = LineCounts()
    counts.add(["served 7 requests"] * 5)
    told = LogModel.learn(counts, training=training.Training(epochs=2, batch=4, steps_max=2))
    assert told.calibration.held == 0
    assert not told.flagged([STRANGE, "served 9 requests", ""]).any()
    assert told.explain(STRANGE).neighbours == ()
