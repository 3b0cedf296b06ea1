"""Next template on sessions: an n-gram model, fit once; can go on learning from another system's sessions.

Enters: SessionBlocks and the fact `texts`. Leaves: scores. Ids of templates may be of one system each (5 is one line in
HDFS and another in BGL), so what counts as the same line in two systems is its text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.bench.forms import SessionBlock
from watchkeeper.detect.next_template import NextTemplate


class Next:
    """`detect.next_template.NextTemplate`."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn."""
        self._model = NextTemplate()
        self._numbers: dict[str, int] = {}
        self._systems = 0
        self.resume(examples, context)

    def resume(self, examples: Iterable[Example], context: Context) -> None:
        """Go on learning, from the sessions of this system or of another."""
        self._texts = context.facts.get("texts", {})
        self._often = Counter(self._texts.values())
        self._systems += 1
        for example in examples:
            self._model.learn(self._sequences(example.given))

    def answer(self, given: SessionBlock) -> Any:
        """Score each session by its greatest surprise; equal sessions are scored once."""
        known: dict[tuple[int, ...], float] = {}
        told = []
        for sequence in self._sequences(given):
            key = tuple(sequence)
            if key not in known:
                known[key] = self._model.score(sequence)
            told.append(known[key])
        return np.array(told)

    def _sequences(self, block: SessionBlock) -> Iterator[list[int]]:
        lines = self._numbered(block.templates)
        for begin, end in zip(block.offsets[:-1], block.offsets[1:], strict=True):
            yield lines[begin:end].tolist()

    def _numbered(self, templates: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Give a number for each line that is the same for the same text, and for one template of this system alone."""
        ids, which = np.unique(templates, return_inverse=True)
        numbers = [self._numbers.setdefault(self._name(each), len(self._numbers)) for each in ids.tolist()]
        return np.array(numbers, np.int64)[which]

    def _name(self, template: int) -> str:
        """Give the text of a template; what has none, or shares it with another of its system, stands for itself."""
        text = self._texts.get(template, "")
        return text if text and self._often[text] == 1 else f"{self._systems} {template} {text}"


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
