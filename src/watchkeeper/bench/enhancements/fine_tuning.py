"""Fine-tuning: learn from other systems first, then go on with the training part of the target.

Enters: a model that can go on learning. Leaves: the same model, pre-trained on the training parts of all other data
sets of its form and task. The test parts of these are never read, nor any label that their protocol hides.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, cast

from watchkeeper.bench.base import BenchError, Context, DataSpec, Enhancement, Example, Model, Place, Subject
from watchkeeper.bench.cells import absence
from watchkeeper.bench.discover import catalogue
from watchkeeper.bench.protocol import Examples


class Resuming(Model, Protocol):
    """A model that can go on learning."""

    def resume(self, examples: Iterable[Example], context: Context) -> None:
        """Go on learning."""


class FineTuned:
    """Pre-trained, then trained on the target."""

    def __init__(self, subject: Subject, place: Place) -> None:
        self._subject, self._place = subject, place
        self._model = cast(Resuming, subject.model.make())
        self.threshold: float | None = None

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn from the other systems in the order of their names, then from the target.

        Raises BenchError when no other system is here: what would be measured is the model without the enhancement.
        """
        begun = False
        for split in (split for data in others(self._subject, self._place) for split in data.splits(self._place)):
            told, facts = Examples(split), Context(context.seed, split.facts)
            (self._model.resume if begun else self._model.fit)(told, facts)
            begun = True
        if not begun:
            raise BenchError(
                "no data set of another system with this form is here to learn from first; `watchkeeper data list` "
                "tells what can be fetched"
            )
        self._model.resume(examples, context)
        own = getattr(self._model, "threshold", None)
        self.threshold = None if own is None else float(own)

    def answer(self, given: Any) -> Any:
        """Answer as the model does."""
        return self._model.answer(given)


def others(subject: Subject, place: Place) -> list[DataSpec]:
    """Give one protocol of each other system that is here: the first registered of a system other than the target's."""
    known = catalogue()
    taken, found = {system_of(subject.data)}, []
    for name in known.data:
        data = known.data.get(name)
        fits = data.task == subject.task.name and data.form == subject.data.form
        if fits and system_of(data) not in taken and not absence(data, place.data):
            found.append(data)
            taken.add(system_of(data))
    return found


def system_of(data: DataSpec) -> str:
    """Name the system that was recorded."""
    return data.system or (data.sources[0] if data.sources else data.name)


def applies(subject: Subject) -> str:
    """Give why not: a model must be able to go on learning, from other systems of the same form."""
    if not subject.model.resumes:
        return f"fine-tuning does not apply to {subject.model.name}: it cannot go on learning from what it has learned"
    return ""


ENHANCEMENTS = (
    Enhancement("fine_tuning", "learns from other systems first, then goes on with the target", applies, FineTuned),
)
