"""Learning categories: the forest, the linear models, choice and calibration on held-out folds, state, confirmation."""

import dataclasses

import numpy as np
import pytest

from watchkeeper.diagnose.base import Category, Ranking
from watchkeeper.diagnose.category.folds import stratified_folds
from watchkeeper.diagnose.category.forest import grow
from watchkeeper.diagnose.category.learned import LABELS_MIN, LearnedClassifier
from watchkeeper.diagnose.category.learner import TEXTS, fit_sharpness, learn, load_learned, macro_f1, sharpened
from watchkeeper.diagnose.category.linear import complement_bayes, softmax_regression
from watchkeeper.diagnose.category.rules import EvidenceClassifier
from watchkeeper.diagnose.category.text import TextClassifier, at_symptom_time
from watchkeeper.diagnose.window import IncidentWindow
from watchkeeper.errors import NewerFormat, StoreError
from watchkeeper.signals.finding import Band, Baseline, Finding, FindingSeverity

S = 1_000_000_000


def rings(count=240, seed=1):
    """Two classes that no straight line parts, among features that say nothing."""
    random = np.random.default_rng(seed)
    rows = random.uniform(-1, 1, (count, 6))
    return rows, (np.abs(rows[:, 0]) > 0.5).astype(np.int64)


def test_the_forest_learns_what_no_line_can_and_names_the_feature():
    rows, labels = rings()
    forest = grow(rows[:160], labels[:160], 2, trees=60)
    told = forest.probabilities(rows[160:])
    assert np.allclose(told.sum(axis=1), 1.0)
    assert (told.argmax(axis=1) == labels[160:]).mean() > 0.85
    straight = softmax_regression(rows[:160], labels[:160], 2, penalty=1e-3).probabilities(rows[160:])
    assert (straight.argmax(axis=1) == labels[160:]).mean() < 0.75
    moved = np.mean([np.abs(forest.contributions(row)) for row in rows[160:180]], axis=0)
    assert moved[:, 0].argmax() == 0


def test_the_forests_contributions_add_up_to_its_answer():
    rows, labels = rings()
    forest = grow(rows, labels, 2, trees=20)
    base = forest.value[forest.roots].mean(axis=0)
    total = base + forest.contributions(rows[3]).sum(axis=0)
    assert total == pytest.approx(forest.probabilities(rows[3:4])[0])


@pytest.mark.parametrize("rows", [0, 1, 7, 90])
def test_a_row_falls_through_each_tree_whatever_is_asked_with_it(rows, monkeypatch):
    random = np.random.default_rng(3)
    forest = grow(random.poisson(1.0, (80, 12)).astype(float), random.integers(0, 3, 80), 3, trees=25)
    asked = random.poisson(1.0, (rows, 12)).astype(float)
    told = np.zeros((rows, 3))
    for place, row in enumerate(asked):
        for root in forest.roots:
            at = root
            while forest.feature[at] >= 0:
                low = row[forest.feature[at]] <= forest.threshold[at]
                at = forest.left[at] if low else forest.right[at]
            told[place] += forest.value[at]
    assert np.array_equal(forest.probabilities(asked), told / 25)
    monkeypatch.setattr("watchkeeper.diagnose.category.forest.CELLS_AT_ONCE", 25 * 3 * 4)
    assert np.array_equal(forest.probabilities(asked), told / 25)  # four rows at a time


def test_the_forest_is_the_same_for_the_same_seed_and_tells_constant_rows_their_share():
    rows, labels = rings(60)
    first, second = grow(rows, labels, 2, trees=5, seed=3), grow(rows, labels, 2, trees=5, seed=3)
    assert np.array_equal(first.threshold, second.threshold)
    assert not np.array_equal(first.threshold, grow(rows, labels, 2, trees=5, seed=4).threshold)
    alike = grow(np.ones((4, 2)), np.array([0, 0, 0, 1]), 2, trees=3)
    # Classes weigh the same, however many rows each has.
    assert alike.probabilities(np.ones((1, 2)))[0] == pytest.approx([0.5, 0.5])


def test_linear_models_part_classes_by_their_words():
    rows = np.array([[3.0, 0, 1], [2, 0, 1], [0, 3, 1], [0, 2, 1]])
    labels = np.array([0, 0, 1, 1])
    for model in (softmax_regression(rows, labels, 2, penalty=1e-2), complement_bayes(rows, labels, 2, smoothing=1.0)):
        assert model.probabilities(rows).argmax(axis=1).tolist() == [0, 0, 1, 1]
        assert model.contributions(rows[0])[:, 0].argmax() == 0


def test_folds_hold_groups_together_and_spread_classes():
    labels = ["a"] * 30 + ["b"] * 10
    folds = stratified_folds(labels, 5)
    assert [sum(folds[30:] == fold) for fold in range(5)] == [2] * 5
    groups = [at // 4 for at in range(40)]
    together = stratified_folds(labels, 5, groups=groups)
    assert all(len(set(together[at : at + 4])) == 1 for at in range(0, 40, 4))


def test_probabilities_are_sharpened_when_held_out_answers_were_too_timid():
    truth = np.array([0, 1] * 50)
    timid = np.where(np.eye(2)[truth] == 1, 0.6, 0.4)
    assert fit_sharpness(timid, truth) > 4
    wrong = truth.copy()
    wrong[:50] = 1 - wrong[:50]
    assert fit_sharpness(np.where(np.eye(2)[truth] == 1, 0.95, 0.05), wrong) < 0.5
    assert sharpened(np.array([[0.5, 0.5]]), 3.0)[0] == pytest.approx([0.5, 0.5])
    assert macro_f1(np.array([0, 0, 1]), np.array([0, 1, 1]), 3) == pytest.approx(2 / 3)


def examples(count=40):
    return [
        ({"event:ok": 5.0, ("event:full" if at % 2 else "event:lost"): 1.0 + at % 3}, "disk" if at % 2 else "net")
        for at in range(count)
    ]


def test_what_was_learned_is_told_with_reasons_and_survives_the_disk(tmp_path):
    data = examples()
    learned = learn([each for each, _ in data], [label for _, label in data], trees=30)
    assert learned.predict([{"event:full": 2.0}, {"event:lost": 2.0, "event:never seen": 9.0}]) == ["disk", "net"]
    assert learned.score == 1.0
    assert learned.explain({"event:full": 2.0}, "disk")[0][0] in {"event:full", "event:lost"}
    learned.save(tmp_path / "model.npz")
    again = load_learned(tmp_path / "model.npz")
    assert np.array_equal(again.probabilities([{"event:full": 1.0}]), learned.probabilities([{"event:full": 1.0}]))


def test_state_that_is_damaged_or_newer_is_refused_with_a_reason(tmp_path, monkeypatch):
    data = examples(12)
    learned = learn([each for each, _ in data], [label for _, label in data], trees=20)
    file = tmp_path / "model.npz"
    monkeypatch.setattr("watchkeeper.diagnose.category.learner.LEARNER_SCHEMA_VERSION", 99)
    learned.save(file)
    monkeypatch.undo()
    with pytest.raises(NewerFormat, match="99"):
        load_learned(file)
    content = file.read_bytes()
    for end in range(0, len(content), max(len(content) // 40, 1)):
        file.write_bytes(content[:end])
        with pytest.raises(StoreError):
            load_learned(file)


def test_nothing_can_be_learned_from_nothing():
    with pytest.raises(ValueError, match="labels"):
        learn([], [])
    alone = learn([{"a": 1.0}], ["x"], trees=5)
    assert alone.predict([{"b": 1.0}]) == ["x"]


def window(template):
    about = ("f1", "log.template.unseen", "logs", "cart", "service=cart", "t", "New line", "")
    band, times = Band(""), (600 * S, 700 * S)
    grade = (FindingSeverity.WARNING, 5.0, 3)
    finding = Finding(*about, *grade, *times, band, band, Baseline(0, 0), template=template)
    return IncidentWindow(0, 600 * S, 900 * S, nodes=("service:cart",), findings=(finding,))


def test_confirmed_incidents_teach_what_the_rules_do_not_know(tmp_path):
    strange, other = window("flurb gauge left the zone"), window("grommet shard mislaid")
    classifier = LearnedClassifier()
    assert classifier.classify(strange, Ranking(())).abstains
    for at in range(20):
        classifier.confirm(strange if at % 2 else other, Category.HOST if at % 2 else Category.DATA)
        told = classifier.classify(strange, Ranking(()))
        if at + 1 < LABELS_MIN:
            assert told == EvidenceClassifier().classify(strange, Ranking(()))
    assert told.category is Category.HOST
    assert "confirmed incidents" in told.why[0]
    assert sum(told.probabilities.values()) == pytest.approx(1.0)
    assert classifier.classify(other, Ranking(())).category is Category.DATA
    assert classifier.classify(dataclasses.replace(strange, findings=()), Ranking(())).abstains
    classifier.save(tmp_path)
    again = LearnedClassifier()
    again.load(tmp_path)
    assert again.classify(strange, Ranking(())).probabilities == pytest.approx(told.probabilities)
    (tmp_path / "examples.json").write_text("{")
    with pytest.raises(StoreError, match="remove it"):
        again.load(tmp_path)


def test_texts_are_learned_without_what_is_only_known_later():
    text = at_symptom_time("RCA - Storage (Tracking ID A-1)", "Reads failed. It was a bug and is now mitigated.")
    assert "RCA" not in text
    assert "Tracking" not in text
    assert "mitigated" not in text
    texts = [f"storm cut power of site {at}" if at % 2 else f"login page shows error {at}" for at in range(24)]
    classifier = TextClassifier(TEXTS[:1])
    with pytest.raises(ValueError, match="fit"):
        classifier.probabilities("power")
    classifier.fit(texts, ["hardware" if at % 2 else "application" for at in range(24)])
    told = classifier.probabilities("a storm again, no power")
    assert told["hardware"] > 0.5
    assert {"power", "storm"} & {word for each in classifier.why("storm power", "hardware") for word in each.split()}
