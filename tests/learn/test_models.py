"""What the models of the room learn on small made-up data, and that a loaded one scores as the one that was saved."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from watchkeeper.learn.autoencoder import Autoencoder
from watchkeeper.learn.boosting import BoostedTrees
from watchkeeper.learn.forecast import WINDOW, SeriesForecast
from watchkeeper.learn.line_tokens import TOKENS_MAX, UNKNOWN, Vocabulary, tokens
from watchkeeper.learn.masked_lines import MaskedLines
from watchkeeper.learn.next_event import NextEvent
from watchkeeper.learn.students import DenseStudent, LinearStudent
from watchkeeper.learn.training import Training

torch_needed = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
trees_needed = pytest.mark.skipif(importlib.util.find_spec("lightgbm") is None, reason="lightgbm is not installed")


def plane(count, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(count, 2)) @ np.array([[1.0, 0.5, -1.0, 2.0], [0.0, 1.0, 1.0, -1.0]])


@torch_needed
def test_an_autoencoder_knows_the_plane_it_learned():
    model = Autoencoder.learn(plane(200), width=8, training=Training(epochs=60, batch=32, rate=5e-3))
    away = np.array([3.0, 0.0, 0.0, 3.0])
    usual, odd = model.score(plane(50, seed=1)), model.score(plane(50, seed=1) + away)
    assert np.median(odd) > 5 * np.median(usual)
    np.testing.assert_allclose(Autoencoder.from_onnx(model.onnx()).score(plane(9)), model.score(plane(9)), rtol=1e-6)


@torch_needed
def test_an_autoencoder_that_goes_on_learns_the_new_rows():
    model = Autoencoder.learn(plane(100), width=8, training=Training(epochs=5, batch=16))
    moved = plane(100) + np.array([2.0, 0.0, 0.0, 2.0])
    later = model.resume(moved, training=Training(epochs=30, batch=16))
    assert later.score(moved).mean() < 0.5 * model.score(moved).mean()


@torch_needed
def test_the_next_event_surprises_where_the_order_is_broken():
    usual = [np.array([7, 8, 9, 8, 9, 5])] * 30 + [np.array([7, 8, 9, 5])] * 30
    model = NextEvent.learn(usual, training=Training(epochs=60, batch=16, rate=1e-2, steps_max=120))
    asked = [
        usual[0],
        usual[-1],
        np.array([8, 7, 9, 5]),
        np.array([7, 8, 9]),
        np.array([7, 8, 44, 5]),
        np.zeros(0, int),
    ]
    scores = model.score(asked)
    assert scores[:2].max() < scores[2:5].min()
    assert scores[4] == 6.0
    np.testing.assert_allclose(NextEvent.from_onnx(model.onnx()).score(asked), scores, rtol=1e-5)


LINES = [f"{verb} block <*> to {place}" for verb in ("Served", "Received", "Deleted") for place in ("disk", "node 7")]


@torch_needed
def test_masked_tokens_are_told_within_lines_like_those_learned():
    model = MaskedLines.learn(LINES, np.full(6, 9.0), training=Training(epochs=60, batch=8, rate=1e-3, steps_max=60))
    judged = model.judge([*LINES, "kernel panic at 0x7f", "block Served disk <*> to"])
    assert judged.surprise[:6].max() < judged.surprise[6]
    assert judged.missed[:6].max() == 0.0
    assert judged.missed[6] > 0.9
    assert judged.surprise[7] > judged.surprise[:6].mean()
    again = MaskedLines.from_onnx(model.onnx()).judge(LINES)
    np.testing.assert_allclose(again.surprise, model.judge(LINES).surprise, rtol=1e-5)


@torch_needed
def test_masked_tokens_go_on_with_further_words():
    short = Training(epochs=40, batch=8, rate=1e-3, steps_max=40)
    model = MaskedLines.learn(LINES, np.ones(6), training=short)
    other = ["kernel panic on core <*>", "kernel halted on core <*>"]
    later = model.resume(other, np.ones(2), training=short)
    assert later.judge(other).surprise.max() < model.judge(other).surprise.min()
    assert later.vocabulary.words[: len(model.vocabulary.words)] == model.vocabulary.words


@torch_needed
@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_a_forecast_misses_a_jump(kind):
    steps = np.arange(400)
    values = np.stack([np.sin(steps / 5), np.cos(steps / 5)], axis=1)
    model = SeriesForecast.learn(values[:300], kind=kind, training=Training(epochs=6, batch=32, rate=5e-3))
    jumped = values[300:].copy()
    jumped[60] += 3.0
    scores = np.concatenate([model.score(jumped[:50]), model.score(jumped[50:])])
    assert scores.argmax() == 60
    loaded = SeriesForecast.from_onnx(model.onnx())
    np.testing.assert_allclose(loaded.score(jumped)[WINDOW:], scores[WINDOW:], rtol=1e-3)


@trees_needed
def test_boosted_trees_learn_labels_and_come_back_from_their_text():
    rows = np.random.default_rng(0).normal(size=(300, 3))
    labels = (rows[:, 0] * rows[:, 1] > 0).astype(float)
    model = BoostedTrees.learn(rows, labels, trees=40)
    assert ((model.score(rows) > 0.5) == labels).mean() > 0.9
    assert np.array_equal(BoostedTrees(model.state).score(rows), model.score(rows))
    assert BoostedTrees.learn(rows, labels, trees=40).state == model.state


@torch_needed
def test_a_dense_student_follows_its_teacher():
    rows = np.random.default_rng(0).normal(size=(400, 3))
    scores = np.maximum(rows[:, 0], 0) * 5 + 2
    student = DenseStudent.learn(rows, scores, training=Training(epochs=60, batch=32, rate=1e-2))
    assert np.corrcoef(student.score(rows), scores)[0, 1] > 0.98
    np.testing.assert_allclose(DenseStudent.from_onnx(student.onnx()).score(rows), student.score(rows), rtol=1e-6)


def test_a_linear_student_comes_back_from_its_arrays():
    rows = np.random.default_rng(0).normal(size=(50, 3))
    student = LinearStudent.learn(rows, rows @ [1.0, 2.0, 3.0])
    assert np.array_equal(LinearStudent.from_arrays(student.arrays()).score(rows), student.score(rows))
    with pytest.raises(ValueError, match="newer version"):
        LinearStudent.from_arrays({**student.arrays(), "schema_version": np.array(9)})


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ("\x1b[31mGET https://a.b/c?d=1 took 12.5ms", ["get", "<url>", "took", "<duration>"]),
        ("2024-01-02T03:04:05Z main.go:17 from 10.0.0.1:80", ["<date>", "<code>", "from", "<ip>"]),
        ("mail me@example.org {} at /var/log/x.log", ["mail", "<mail>", "<empty>", "at", "<path>"]),
        (
            "blk_12 of node7: <*> and -5",
            ["<word_with_digit>", "of", "<word_with_digit>", ":", "<any>", "and", "<number>"],
        ),
    ],
)
def test_what_varies_is_masked(line, right):
    assert tokens(line) == right


def test_a_vocabulary_keeps_the_most_frequent_words_and_codes_the_rest_as_unknown():
    vocabulary = Vocabulary.of([["b", "a"], ["b"], ["c"]], size=5)
    assert vocabulary.words == ["b", "a"]
    assert vocabulary.encode([["a", "c"]])[0, :3].tolist() == [4, UNKNOWN, 0]
    assert len(tokens("word " * 200)) == TOKENS_MAX
