"""No enhancement: the model as it is."""

from __future__ import annotations

from watchkeeper.bench.base import Enhancement, Model, Place, Subject


def _wrap(subject: Subject, place: Place) -> Model:
    return subject.model.make()


ENHANCEMENTS = (Enhancement("none", "the model as it is", lambda subject: "", _wrap),)
