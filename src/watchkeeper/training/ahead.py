"""The work that a log model's job has ahead: counted from its lines, and timed on this machine a moment before.

Enters: the lines counted so far. Leaves: plans and paces for the Reporter, from which the time left is told. Timed anew
as training begins, and now and then while lines are read, for what else runs on the machine comes and goes. The units
are stored rows, steps of training, and for the last two stages seconds as timed. Trains nothing that is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from watchkeeper.learn.framework import extra
from watchkeeper.learn.line_counts import HELD_SHARE, LineCounts
from watchkeeper.learn.line_tokens import WordsOf, words
from watchkeeper.learn.log_model import JUDGED_HELD_MAX, SETTLING_PASSES, tokens_settled
from watchkeeper.learn.training import Training
from watchkeeper.learn.trial import LINES_MAX, Costs, costs
from watchkeeper.training.job import Stage
from watchkeeper.training.reporter import Reporter

FIRST_S = 4.0
"""Reading that is over before this is not worth a trial of its own."""
AGAIN_S = 30.0
AGAIN_TIMES = 20.0
"""A trial comes again after so many seconds, and after so many times what it took: it costs a twentieth at most."""


class Ahead:
    """See the module. models: how many are asked of the held-out lines, the previous one among them."""

    def __init__(
        self,
        reporter: Reporter,
        training: Training,
        *,
        models: int,
        evaluated_max: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reporter, self._training = reporter, training
        self._models, self._evaluated_max, self._clock = models, evaluated_max, clock
        self._due_s = clock() + FIRST_S
        self._costs: Costs | None = None
        self._asked = 0
        self._mean_tokens = self._saving_s = self._importing_s = 0.0

    def look(self, counts: LineCounts) -> None:
        """While lines are read: count again what is ahead of them, and time it when it is due."""
        if self._clock() >= self._due_s and len(counts):
            self._time(counts.lines())
        if self._costs is None:
            return
        learned = (1.0 - HELD_SHARE) * len(counts)
        epochs, batches = self._training.planned(round(learned))
        self._reporter.plan(Stage.TRAIN, epochs * batches)
        settled = SETTLING_PASSES * min(HELD_SHARE * len(counts), JUDGED_HELD_MAX)
        asked = settled + self._models * min(len(counts), self._evaluated_max)
        self._plan(asked * self._mean_tokens, len(counts))

    def settle(self, learned: LineCounts, evaluated: list[str], seed: int) -> None:
        """All lines are counted: count the work exactly, and time it."""
        self._time(learned.lines())
        parts, _ = learned.split()
        epochs, batches = self._training.planned(len(parts))
        self._reporter.plan(Stage.TRAIN, epochs * batches)
        tokens = tokens_settled(learned, seed) + self._models * sum(len(words(form)) for form in evaluated)
        self._plan(tokens, len(learned))

    def asked(self, tokens: int) -> None:
        """Note tokens that were asked of while lines were judged."""
        assert self._costs is not None
        self._asked += tokens
        self._reporter.reach(self._costs.rounding_s + self._asked * self._costs.token_s)

    def saved(self) -> None:
        """Note that the model is saved; to publish it is left, which the server does."""
        self._reporter.reach(self._saving_s)

    def _time(self, forms: list[str]) -> None:
        begun_s = self._clock()
        if self._costs is None:
            for module in ("onnx", "onnxruntime"):
                extra(module)
            self._importing_s = self._clock() - begun_s
        self._costs = costs(forms, self._training)
        sample = WordsOf(forms[:LINES_MAX])
        self._mean_tokens = sum(map(len, sample)) / len(sample)
        took_s = self._clock() - begun_s
        self._due_s = self._clock() + max(AGAIN_S, AGAIN_TIMES * took_s)
        self._reporter.expect(Stage.TRAIN, self._costs.step_s)
        self._reporter.expect(Stage.EVALUATE, 1.0)
        self._reporter.expect(Stage.SAVE, 1.0)
        self._reporter.skip()

    def _plan(self, tokens: float, lines: int) -> None:
        told = self._costs
        assert told is not None
        self._reporter.plan(Stage.EVALUATE, told.rounding_s + tokens * told.token_s)
        loading_s = told.loading_s + lines * told.line_loading_s
        self._saving_s = told.saving_s + lines * told.line_saving_s + loading_s
        # The server then loads it twice, to verify and to use it; for a first model it has to import the runtime, too.
        importing_s = self._importing_s if self._models == 1 else 0.0
        self._reporter.plan(Stage.SAVE, self._saving_s + 2 * loading_s + importing_s)
