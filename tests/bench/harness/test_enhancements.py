"""The two enhancements on toy models: what reaches whom, and the reasons where they do not apply."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from watchkeeper.bench.base import BenchError, Context, Example, ModelSpec, Place, Subject
from watchkeeper.bench.enhancements import distillation, fine_tuning
from watchkeeper.bench.forms import SessionBlock
from watchkeeper.bench.models.next_template import Next
from watchkeeper.bench.models.vectors import Rows


class Noting:
    notes = ()

    def fit(self, examples, context):
        self.notes.append(("fit", [example.label for example in examples]))

    def resume(self, examples, context):
        self.notes.append(("resume", [example.label for example in examples]))

    def answer(self, given):
        return given.sum(axis=1)


def subject(known, **more):
    spec = ModelSpec("noting", ("vectors",), Noting, "notes what it sees", **more)
    return Subject(known.tasks.get("anomaly-detection"), known.data.get("anomaly-detection/toy"), spec)


def test_reasons_are_told_where_they_do_not_apply(known):
    assert "cannot go on learning" in fine_tuning.applies(subject(known))
    assert "no smaller model" in distillation.applies(subject(known))
    assert not fine_tuning.applies(subject(known, resumes=True))
    assert not distillation.applies(subject(known, students=("pca",)))


def test_fine_tuning_learns_from_others_first_then_resumes(known, monkeypatch, tmp_path):
    Noting.notes = []
    monkeypatch.setattr(fine_tuning, "others", lambda subject, place: [known.data.get("anomaly-detection/toy")])
    model = fine_tuning.FineTuned(subject(known, resumes=True), Place(tmp_path, tmp_path))
    model.fit(iter([Example(np.ones((2, 2)), "target")]), Context(0, {}))
    assert Noting.notes == [("fit", [None]), ("resume", ["target"])]


def test_fine_tuning_without_another_system_is_refused_and_keeps_a_threshold_of_the_model(known, monkeypatch, tmp_path):
    class Deciding(Noting):
        threshold = 2.5

    place, examples = Place(tmp_path, tmp_path), [Example(np.ones((2, 2)), None)]
    one = subject(known, resumes=True)
    with pytest.raises(BenchError, match="no data set of another system"):
        fine_tuning.FineTuned(one, place).fit(iter(examples), Context(0, {}))
    monkeypatch.setattr(fine_tuning, "others", lambda subject, place: [known.data.get("anomaly-detection/toy")])
    model = fine_tuning.FineTuned(one._replace(model=replace(one.model, make=Deciding)), place)
    model.fit(iter(examples), Context(0, {}))
    assert model.threshold == 2.5


def test_what_two_systems_share_is_what_their_lines_say_and_not_their_numbers():
    def block(*sessions):
        lines = np.array([each for one in sessions for each in one])
        return SessionBlock(np.cumsum([0, *map(len, sessions)]), lines, np.zeros(len(lines)))

    def learned(*systems):
        model = Next()
        for at, (texts, given) in enumerate(systems):
            learn = model.resume if at else model.fit
            learn(iter([Example(given, None)]), Context(0, {"texts": texts}))
        return model

    target = ({1: "open", 2: "read", 3: "close"}, block(*[[1, 2, 3]] * 30))
    asked = block([1, 2, 3], [3, 2, 1])
    same_numbers = ({1: "boot", 2: "load", 3: "halt"}, block(*[[3, 2, 1]] * 300))
    same_texts = ({7: "open", 8: "read", 9: "close"}, block(*[[9, 8, 7]] * 300))
    usual, odd = learned(target).answer(asked)
    assert odd > usual + 1.0
    assert np.diff(learned(same_numbers, target).answer(asked))[0] > 1.0  # what other numbers said elsewhere is nothing
    assert np.diff(learned(same_texts, target).answer(asked))[0] < 0.0  # the same lines were mostly the other way round
    unnamed = learned(({}, block(*[[3, 2, 1]] * 300)), ({}, target[1]))
    assert np.diff(unnamed.answer(asked))[0] > 1.0


def test_a_student_sees_the_answers_of_its_teacher(known, monkeypatch, tmp_path):
    seen = []
    fit = Rows.fit

    def noting(self, examples, context):
        kept = list(examples)
        seen.extend(each.label.tolist() for each in kept)
        fit(self, kept, context)

    monkeypatch.setattr(Rows, "fit", noting)
    model = distillation.Distilled(subject(known, students=("pca",)), Place(tmp_path, tmp_path))
    model.fit(iter([Example(np.array([[1.0, 2.0], [3.0, 5.0]]), None)]), Context(0, {}))
    assert seen == [[3.0, 8.0]]
    assert model.answer(np.array([[1.0, 2.0]])).shape == (1,)
