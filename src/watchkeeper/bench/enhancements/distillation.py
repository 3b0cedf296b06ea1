"""Distillation: a small student learns the answers of a large teacher.

Enters: a model that names its student. Leaves: the student, trained on the training part with the teacher's answers as
labels; no true label reaches it but through the teacher. What is learned from is mostly normal, so sessions are also
shown spoiled: with lines lost, doubled, swapped in and never seen, as the teacher answers these. The notes of the
record tell bytes and seconds of both, and how alike they order sessions that neither was trained on.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.base import Context, Enhancement, Example, Model, ModelSpec, Place, Subject
from watchkeeper.bench.discover import catalogue
from watchkeeper.bench.forms import SessionBlock
from watchkeeper.bench.machine import model_bytes
from watchkeeper.bench.trainings import clock_s

SPOILED_TIMES = 2
"""Spoiled copies of each session to learn from; one more is kept to hold the student to its teacher."""
LOST_SHARE, DOUBLED_SHARE, SWAPPED_SHARE, UNSEEN_CHANCE = 0.15, 0.1, 0.1, 0.3
UNSEEN = np.iinfo(np.int64).min
"""An id that no template has."""


class _Asked(NamedTuple):
    """What a model answered to examples, and the seconds it took."""

    answers: list[Any]
    seconds: float


class Distilled:
    """The student; the teacher is let go once it has taught. The teacher's threshold, if it has its own, holds."""

    def __init__(self, subject: Subject, place: Place) -> None:
        self._teacher: Model | None = subject.model.make()
        self._student = _student(subject.model).make()
        self._notes: dict[str, float] = {}
        self.threshold: float | None = None

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Train the teacher, then the student on what the teacher answers."""
        if self._teacher is None:
            raise RuntimeError("the student has learned already")
        kept = list(examples)
        begun_s = clock_s()
        self._teacher.fit(iter(kept), context)
        fit_s = clock_s() - begun_s
        given = [each.given for each in kept]
        times = SPOILED_TIMES if isinstance(given[0], SessionBlock) else 0
        shown = given + [spoiled(each, context.seed + at) for at in range(1, times + 1) for each in given]
        held = [spoiled(each, context.seed + times + 1) for each in given]
        answers = _ask(self._teacher, shown).answers
        begun_s = time.perf_counter()
        self._student.fit(iter([Example(*each) for each in zip(shown, answers, strict=True)]), context)
        student_fit_s = time.perf_counter() - begun_s
        asked, answered = _ask(self._teacher, held), _ask(self._student, held)
        own = getattr(self._teacher, "threshold", None)
        self.threshold = None if own is None else float(own)
        self._notes = {
            "teacher_bytes": float(model_bytes(self._teacher)),
            "student_bytes": float(model_bytes(self._student)),
            "teacher_fit_s": round(fit_s, 3),
            "student_fit_s": round(student_fit_s, 3),
            "teacher_answer_s": round(asked.seconds, 4),
            "student_answer_s": round(answered.seconds, 4),
            "rank_agreement": round(agreement(np.concatenate(asked.answers), np.concatenate(answered.answers)), 4),
        }
        self._teacher = None

    def answer(self, given: Any) -> Any:
        """Answer as the student does."""
        return self._student.answer(given)

    def notes(self) -> dict[str, float]:
        """Give bytes and seconds of teacher and student over the same sessions, and their agreement."""
        return dict(self._notes)


def spoiled(given: Any, seed: int) -> Any:
    """Give sessions with lines lost, doubled, swapped in from others or never seen; other forms as they are."""
    if not isinstance(given, SessionBlock) or not np.diff(given.offsets).all():
        return given
    random = np.random.default_rng(seed)
    lines = len(given.templates)
    templates = given.templates.copy()
    known = np.unique(templates)
    swapped = random.random(lines) < SWAPPED_SHARE * random.random(len(given))[given.sessions]
    templates[swapped] = random.choice(known, int(swapped.sum()))
    lost = random.random(lines) < LOST_SHARE * random.random(len(given))[given.sessions]
    doubled = random.random(lines) < DOUBLED_SHARE * random.random(len(given))[given.sessions]
    times = np.where(lost, 0, 1 + doubled)
    kept = np.repeat(np.arange(lines), times)
    sizes = np.bincount(given.sessions, weights=times, minlength=len(given)).astype(np.int64)
    offsets = np.r_[0, np.cumsum(sizes)].astype(np.int64)
    marked = np.flatnonzero(random.random(len(given)) < UNSEEN_CHANCE)
    places = offsets[marked] + (random.random(len(marked)) * sizes[marked]).astype(np.int64)
    templates = np.insert(templates[kept], places, UNSEEN)
    times_s = np.insert(given.times_s[kept], places, given.times_s[given.offsets[:-1]][marked])
    more = np.zeros(len(given), np.int64)
    more[marked] = 1
    return SessionBlock(offsets + np.r_[0, np.cumsum(more)], templates, times_s)


def agreement(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """Give Spearman's rank correlation, -1..1; 0 when one of them is the same everywhere."""
    ranks = []
    for each in (first, second):
        values, which = np.unique(each, return_inverse=True)
        counts = np.bincount(which, minlength=len(values))
        ranks.append((np.cumsum(counts) - counts / 2)[which])
    if min(np.ptp(each) for each in ranks) == 0:
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def applies(subject: Subject) -> str:
    """Give why not: a model must name a student, and the student's packages must be there."""
    if not subject.model.students:
        return (
            f"distillation does not apply to {subject.model.name}: it names no smaller model that could learn from it"
        )
    student = _student(subject.model)
    missing = [each for each in student.needs if importlib.util.find_spec(each) is None]
    return f"the student {student.name} needs {', '.join(missing)}, which is not installed" if missing else ""


def _student(model: ModelSpec) -> ModelSpec:
    return catalogue().models.get(model.students[0])


def _ask(model: Model, given: list[Any]) -> _Asked:
    begun_s = time.perf_counter()
    answers = [np.asarray(model.answer(each), np.float64) for each in given]
    return _Asked(answers, time.perf_counter() - begun_s)


ENHANCEMENTS = (
    Enhancement(
        "distillation", "a small student learns the answers of its teacher", applies, Distilled, random=True
    ),  # what it is shown is spoiled at random
)
