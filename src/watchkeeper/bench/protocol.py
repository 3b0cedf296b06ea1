"""Fairness in code: the one place where a model meets data.

Enters: a maker of models and a Split. Leaves: an Outcome. A model gets examples through an iterator that can be gone
through once and shows labels only where the protocol lets it, then one `given` after another; the next is shown once
the last is answered. Truth never leaves this file. The threshold is of the validation part, at the split's budget.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from watchkeeper.bench.base import BenchError, Context, Example, Form, Item, Model, Outcome, Split
from watchkeeper.bench.progress import tell_answered
from watchkeeper.bench.trainings import clock_s

BUDGET = 0.01
"""The share of false alarms on the validation part that thresholds let through, unless a split tells another."""


class Peeked(BenchError):
    """A model reached for what the protocol keeps from it."""


class Spent(NamedTuple):
    """Seconds of learning and of answering, and what was answered."""

    fit_s: float
    answer_s: float
    asked: int


class Examples:
    """The examples of a split, once through."""

    def __init__(self, split: Split) -> None:
        self._items: Sequence[Item] = split.train
        self._labelled = split.labelled
        self._begun = False
        self._over = False

    def __iter__(self) -> Iterator[Example]:
        if self._begun:
            raise Peeked("examples can be gone through once; keep what is needed of them")
        self._begun = True
        return self._each()

    def _each(self) -> Iterator[Example]:
        if self._over:
            raise Peeked("the examples are over: fit has returned")
        for item in self._items:
            if self._over:
                raise Peeked("the examples are over: fit has returned")
            yield Example(frozen(item.given), frozen(item.truth) if self._labelled else None)

    def close(self) -> None:
        """End the iterator: whoever kept it gets nothing more."""
        self._over = True
        self._items = ()


class _Answered:
    """Counts answers and tells how far the asking is."""

    def __init__(self, of: int) -> None:
        self.of, self._done, self._begun_s = of, 0, time.monotonic()

    def told(self, answer: Any) -> Any:
        self._done += 1
        tell_answered(self._done, self.of, self._begun_s)
        return answer


def run_split(make: Callable[[], Model], split: Split, form: Form, seed: int) -> tuple[Outcome, Spent, Model]:
    """Let a model learn and answer; raises BenchError for an answer that is none."""
    model = make()
    examples = Examples(split)
    begun_s = clock_s()
    model.fit(examples, Context(seed, MappingProxyType(frozen(dict(split.facts)))))
    examples.close()
    fit_s = clock_s() - begun_s
    begun_s = time.perf_counter()
    answered = _Answered(len(split.test) + len(split.validation))
    validation = tuple(answered.told(ask(model, item, form)) for item in split.validation)
    threshold = threshold_of(model, split, validation)
    answers = tuple(answered.told(ask(model, item, form)) for item in split.test)
    spent = Spent(fit_s, time.perf_counter() - begun_s, answered.of)
    own = getattr(model, "threshold", None) is not None
    return Outcome(split, validation, answers, threshold, own), spent, model


def ask(model: Model, item: Item, form: Form) -> Any:
    """Show what is given and take the answer."""
    given = frozen(item.given)
    answer = model.answer(given)
    try:
        return form.check(answer, given)
    except (TypeError, ValueError) as error:
        raise BenchError(f"the answer to {item.id} is no answer to the form {form.name}: {error}") from error


def threshold_of(model: Model, split: Split, validation: Sequence[Any]) -> float | None:
    """Give the model's own threshold, else the quantile of the validation scores that the budget leaves above it.

    None when the answers are no scores. Flagged is what is above the threshold.
    """
    own = getattr(model, "threshold", None)
    if own is not None:
        return float(own)
    arrays = [each for each in validation if isinstance(each, np.ndarray)]
    if not arrays:
        return None
    return float(np.quantile(np.concatenate(arrays), 1 - float(split.facts.get("budget", BUDGET))))


def frozen(value: Any) -> Any:
    """Make the arrays within read-only, at any depth, so that no model changes what the next one is given."""
    if isinstance(value, np.ndarray):
        value.flags.writeable = False
    elif isinstance(value, tuple | list):
        for each in value:
            frozen(each)
    elif isinstance(value, dict):
        for each in value.values():
            frozen(each)
    elif dataclasses.is_dataclass(value):
        for each in dataclasses.fields(value):
            frozen(getattr(value, each.name))
    return value
