"""The log model in the harness: a new form is a score, a known one is none, and failure words are left out or not."""

from __future__ import annotations

import numpy as np
from tests.learn.log_lines import torch_needed

from watchkeeper.bench.base import Context, Example
from watchkeeper.bench.forms import SessionBlock
from watchkeeper.bench.models.log_model import NO_TEXT, Learned
from watchkeeper.learn.training import Training

BRIEF = Training(epochs=4, batch=16, steps_max=4, tests=1)
TEXTS = {at: f"{verb} file <*>" for at, verb in enumerate(("opened", "read", "wrote", "closed", "moved", "shared"))}
TEXTS |= {10: "failed to open file <*>", 11: "kernel panic on cpu <*>"}


@torch_needed
def test_known_forms_score_nothing_and_failure_words_are_learned_only_where_asked():
    usual = np.array([*range(6), 10] * 5)
    given = SessionBlock(np.array([0, len(usual)]), usual, np.zeros(len(usual)))
    asked = SessionBlock(np.array([0, 2, 4, 6, 8]), np.array([0, 5, 1, 10, 2, 11, 3, 99]), np.zeros(8))
    for leaves_out in (True, False):
        model = Learned(BRIEF, leaves_out_failures=leaves_out)
        model.fit([Example(given, None)], Context(0, {"texts": TEXTS}))
        usual_one, failing, strange, unheard = model.answer(asked).tolist()
        assert usual_one == 0.0
        assert (failing > 0.0) == leaves_out
        assert 0.0 < strange <= NO_TEXT == unheard
        assert model.notes()["forms"] == 6.0 + (not leaves_out)
        assert model.threshold is not None
        assert 0.0 <= model.threshold <= 1.0
