"""Next template on sessions: an n-gram model, fit once; can go on learning from another system's sessions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.bench.forms import SessionBlock
from watchkeeper.detect.next_template import NextTemplate


class Next:
    """`detect.next_template.NextTemplate`."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn."""
        self._model = NextTemplate()
        self.resume(examples, context)

    def resume(self, examples: Iterable[Example], context: Context) -> None:
        """Go on learning."""
        for example in examples:
            self._model.learn(_sequences(example.given))

    def answer(self, given: SessionBlock) -> Any:
        """Score each session by its greatest surprise; equal sessions are scored once."""
        known: dict[tuple[int, ...], float] = {}
        told = []
        for sequence in _sequences(given):
            key = tuple(sequence)
            if key not in known:
                known[key] = self._model.score(sequence)
            told.append(known[key])
        return np.array(told)


def _sequences(block: SessionBlock) -> Iterator[list[int]]:
    for begin, end in zip(block.offsets[:-1], block.offsets[1:], strict=True):
        yield block.templates[begin:end].tolist()


MODELS = (
    ModelSpec(
        "next_template",
        ("sessions",),
        Next,
        "surprise of a line after the last three, n-gram",
        resumes=True,
        parameters={"order": 3},
    ),
)
