"""The two enhancements on toy models: what reaches whom, and the reasons where they do not apply."""

from __future__ import annotations

import numpy as np

from watchkeeper.bench.base import Context, Example, ModelSpec, Place, Subject
from watchkeeper.bench.enhancements import distillation, fine_tuning
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
