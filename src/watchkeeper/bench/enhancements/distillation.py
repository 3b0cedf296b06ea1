"""Distillation: a small student learns the answers of a large teacher.

Enters: a model that names its student. Leaves: the student, trained on the training part with the teacher's answers as
labels; no true label reaches it but through the teacher.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from watchkeeper.bench.base import Context, Enhancement, Example, Model, Place, Subject
from watchkeeper.bench.discover import catalogue


class Distilled:
    """The student; the teacher is let go once it has taught."""

    def __init__(self, subject: Subject, place: Place) -> None:
        self._teacher: Model | None = subject.model.make()
        self._student = catalogue().models.get(subject.model.students[0]).make()

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Train the teacher, then the student on what the teacher answers."""
        if self._teacher is None:
            raise RuntimeError("the student has learned already")
        kept = list(examples)
        self._teacher.fit(iter(kept), context)
        taught = [Example(each.given, self._teacher.answer(each.given)) for each in kept]
        self._student.fit(iter(taught), context)
        self._teacher = None

    def answer(self, given: Any) -> Any:
        """Answer as the student does."""
        return self._student.answer(given)


def applies(subject: Subject) -> str:
    """Give why not: a model must name a student."""
    if not subject.model.students:
        return (
            f"distillation does not apply to {subject.model.name}: it names no smaller model that could learn from it"
        )
    return ""


ENHANCEMENTS = (Enhancement("distillation", "a small student learns the answers of its teacher", applies, Distilled),)
