"""Models that learn, through the protocol of the harness: the same seed gives the same answers, and what they see."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from watchkeeper.bench.base import BenchError, Context, Example, Item, Place, Split, Subject
from watchkeeper.bench.discover import catalogue
from watchkeeper.bench.enhancements.distillation import UNSEEN, Distilled, agreement, spoiled
from watchkeeper.bench.forms import FORMS, ModalityBlock, SessionBlock
from watchkeeper.bench.models.networks import Masked, unlike
from watchkeeper.bench.protocol import run_split
from watchkeeper.learn.autoencoder import Autoencoder
from watchkeeper.learn.masked_lines import MaskedLines
from watchkeeper.learn.next_event import NextEvent
from watchkeeper.learn.training import Training

torch_needed = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
trees_needed = pytest.mark.skipif(importlib.util.find_spec("lightgbm") is None, reason="lightgbm is not installed")
TEXTS = {1: "opened file <*>", 2: "read file <*>", 3: "wrote file <*>", 4: "closed file <*>", 5: "kernel panic"}


def sessions(kinds):
    """Give usual sessions for 0, those with an unknown line for 1, and those out of order for 2."""
    shapes = {0: [1, 2, 3, 4], 1: [1, 2, 5, 4], 2: [4, 3, 2, 1]}
    rows = [shapes[kind] for kind in kinds]
    offsets = np.r_[0, np.cumsum([len(row) for row in rows])]
    return SessionBlock(offsets, np.concatenate([np.array(row) for row in rows]), np.arange(float(offsets[-1])))


def split(train=(0,) * 40, test=(0, 0, 1, 2), *, labelled=False):
    given, asked = sessions(train), sessions(test)
    facts = {"clean": True, "budget": 0.02, "texts": TEXTS, "train_until_s": 1e9, "until_s": 1e9}
    return Split(
        "made up",
        (Item("train", given, np.array(train) > 0),),
        (Item("test", asked, np.array(test) > 0),),
        (Item("held", sessions((0,) * 10), np.zeros(10, bool)),),
        labelled=labelled,
        facts=facts,
    )


def answers(make, told=None, seed=0):
    return run_split(make, told or split(), FORMS.get("sessions"), seed)[0].answers[0]


@torch_needed
@pytest.mark.parametrize("name", ["next_event_lstm", "autoencoder"])
def test_the_same_seed_gives_the_same_answers(name, monkeypatch):
    brief = Training(epochs=3, batch=8)
    monkeypatch.setitem(_defaults(name), "training", brief)
    spec = catalogue().models.get(name)
    assert spec.random
    first = answers(spec.make)
    assert np.array_equal(first, answers(spec.make))
    assert first[2] > first[0]


def _defaults(name):
    return (NextEvent if name == "next_event_lstm" else Autoencoder).learn.__func__.__kwdefaults__


@torch_needed
def test_a_line_of_no_known_text_is_stranger_than_any(monkeypatch):
    monkeypatch.setitem(MaskedLines.learn.__func__.__kwdefaults__, "training", Training(epochs=3, batch=4))
    model = Masked("missed")
    told = split()
    model.fit([Example(told.train[0].given, None)], Context(0, told.facts))
    odd = SessionBlock(np.array([0, 1, 2]), np.array([1, 99]), np.zeros(2))
    scores = model.answer(odd)
    assert scores[1] > 1.0 >= scores[0]


@trees_needed
def test_boosted_trees_learn_what_labels_show_and_no_more():
    spec = catalogue().models.get("boosted_trees")
    scores = answers(spec.make, split((0, 1) * 30, labelled=True))
    assert scores[2] > 0.5 > scores[0]
    with pytest.raises(BenchError, match="hides"):
        answers(spec.make, split((0, 1) * 30))
    with pytest.raises(BenchError, match="alike"):
        answers(spec.make, split(labelled=True))


def test_equal_sessions_are_told_once():
    distinct, which = unlike(sessions((0, 1, 0, 2)))
    assert which.tolist() == [0, 1, 0, 2]
    assert distinct[1].tolist() == [1, 2, 5, 4]


def test_spoiled_sessions_are_as_many_and_drawn_by_the_seed():
    given = sessions((0,) * 200)
    one, same, other = spoiled(given, 1), spoiled(given, 1), spoiled(given, 2)
    assert len(one) == 200
    assert one.offsets[-1] == len(one.templates) == len(one.times_s)
    assert np.array_equal(one.templates, same.templates)
    assert not np.array_equal(one.templates, other.templates)
    marked = np.bincount(one.sessions, weights=one.templates == UNSEEN, minlength=200)
    assert 0.2 < (marked == 1).mean() < 0.4
    assert marked.max() == 1
    assert set(np.unique(given.templates)) == {1, 2, 3, 4}


def test_agreement_is_of_ranks():
    scores = np.array([1.0, 2.0, 2.0, 9.0])
    assert agreement(scores, np.exp(scores)) == pytest.approx(1.0)
    assert agreement(scores, -scores) == pytest.approx(-1.0)
    assert agreement(scores, np.ones(4)) == 0.0


@trees_needed
def test_a_distilled_model_tells_bytes_and_seconds_of_both(tmp_path):
    known = catalogue()
    data = known.data.get("anomaly-detection/hdfs_labelled")
    subject = Subject(known.tasks.get("anomaly-detection"), data, known.models.get("boosted_trees"))
    outcome, _, model = run_split(
        lambda: Distilled(subject, Place(tmp_path, tmp_path)),
        split((0, 1) * 60, labelled=True),
        FORMS.get("sessions"),
        0,
    )
    notes = model.notes()
    assert notes["student_bytes"] < notes["teacher_bytes"]
    assert {"teacher_fit_s", "student_fit_s", "teacher_answer_s", "student_answer_s"} <= set(notes)
    assert notes["rank_agreement"] > 0.8
    assert outcome.threshold == 0.5
    assert outcome.answers[0][2] > 0.5 > outcome.answers[0][0]


def test_modalities_are_joined_and_one_without_measurements_does_not_count():
    random = np.random.default_rng(0)

    def block(count, shift):
        rows = [random.normal(size=(count, 4)) + shift for _ in range(3)]
        rows[2][:] = np.nan
        return ModalityBlock(*rows)

    spec = catalogue().models.get("fused_ranks")
    told = Split(
        "made up",
        (Item("train", block(60, 0.0), np.zeros(60, bool)),),
        (Item("test", block(20, 0.0), np.zeros(20, bool)), Item("odd", block(20, 2.0), np.ones(20, bool))),
        facts={"budget": 0.05},
    )
    outcome, _, _ = run_split(spec.make, told, FORMS.get("modalities"), 0)
    usual, odd = outcome.answers
    assert odd.min() > np.median(usual)
    assert np.median(odd) > usual.max()
