"""What learning a log model will cost on this machine, as it is now: a small piece of each part of the work, timed.

Enters: some of the lines, and how they are to be trained. Leaves: seconds for each unit of work. What is learned on
the way is thrown away. The pieces are of evenly spaced lengths and the vocabulary is that of the lines, for both decide
what a step costs. Pure but for a temporary folder.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from watchkeeper.learn.line_counts import LineCounts
from watchkeeper.learn.line_tokens import Vocabulary, words
from watchkeeper.learn.log_model import LogModel
from watchkeeper.learn.masked_lines import MaskedLines
from watchkeeper.learn.network import Network
from watchkeeper.learn.quantised import Quantised
from watchkeeper.learn.training import Progress, Training

LINES_MAX = 2_000
"""Of how many lines the vocabulary is taken."""
BATCHES = 4
Item = TypeVar("Item")
JUDGED = 48


class Costs(NamedTuple):
    """Seconds of wall clock. step: of training. token: asked of, mean of exact and rounded weights. rounding: once.

    saving, loading: the model without the lines that it knows, and each of those.
    """

    step_s: float
    token_s: float
    rounding_s: float
    saving_s: float
    loading_s: float
    line_saving_s: float
    line_loading_s: float


def costs(forms: Sequence[str], training: Training) -> Costs:
    """Time the work on masked lines, one at least. Cost: about 2 x BATCHES steps, a second; raises MissingExtra."""
    chosen = _spaced(sorted(forms), LINES_MAX)
    tokens = sorted((words(form) for form in chosen), key=len)
    vocabulary = Vocabulary.of(tokens)
    step_s, lines = _step_s(_spaced(tokens, BATCHES * training.batch), vocabulary, training)
    assert isinstance(lines.network, Network)
    begun_s = time.monotonic()
    rounded = MaskedLines(Quantised.of(lines.network))
    rounding_s = time.monotonic() - begun_s
    token_s = [_token_s(each, _spaced(tokens, JUDGED)) for each in (lines, rounded)]
    one, known = LineCounts(), LineCounts()
    one.add_forms(chosen[:1], [1])
    known.add_forms(chosen, [1] * len(chosen))
    with tempfile.TemporaryDirectory() as folder:
        at_s = [time.monotonic()]
        LogModel(lines, one).save(Path(folder))
        at_s.append(time.monotonic())
        LogModel.load(Path(folder)).measured(chosen[:1])
        at_s.append(time.monotonic())
        known.save(Path(folder))
        at_s.append(time.monotonic())
        LineCounts.load(Path(folder))
        at_s.append(time.monotonic())
    model_saving_s, model_loading_s, lines_saving_s, lines_loading_s = np.diff(at_s).tolist()
    return Costs(
        step_s,
        float(np.mean(token_s)),
        rounding_s,
        model_saving_s,
        model_loading_s,
        lines_saving_s / len(chosen),
        lines_loading_s / len(chosen),
    )


def _step_s(tokens: Sequence[Sequence[str]], vocabulary: Vocabulary, training: Training) -> tuple[float, MaskedLines]:
    """Train two epochs, the first to warm up."""
    ends_s: list[float] = []

    def told(_: Progress) -> None:
        ends_s.append(time.monotonic())

    twice = replace(training, epochs=2, steps_min=0, steps_max=2 * BATCHES)
    lines = MaskedLines.learn_words(tokens, np.ones(len(tokens)), training=twice, told=told, vocabulary=vocabulary)
    _, batches = twice.planned(len(tokens))
    first_s = ends_s[-1] if len(ends_s) == 1 else ends_s[-2]
    return max(1e-6, (ends_s[-1] - first_s) / batches), lines


def _token_s(lines: MaskedLines, tokens: Sequence[Sequence[str]]) -> float:
    lines.guess(tokens[:1])
    begun_s = time.monotonic()
    lines.guess(tokens)
    return (time.monotonic() - begun_s) / max(1, sum(map(len, tokens)))


def _spaced(items: Sequence[Item], most: int) -> list[Item]:
    """Give at most so many of the items, evenly spaced."""
    if len(items) <= most:
        return list(items)
    return [items[at] for at in np.linspace(0, len(items) - 1, most).astype(int).tolist()]
