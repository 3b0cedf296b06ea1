"""The work ahead of a job: counted to the token, timed on this machine, and told before it begins."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from watchkeeper.learn.line_counts import LineCounts
from watchkeeper.learn.log_model import LogModel, tokens_settled
from watchkeeper.learn.training import Training
from watchkeeper.learn.trial import costs
from watchkeeper.training.ahead import Ahead
from watchkeeper.training.job import Stage
from watchkeeper.training.job_folder import JobFolder
from watchkeeper.training.reporter import Reporter

pytestmark = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")

SHORT = Training(epochs=2, batch=8, steps_max=8)
VERBS = ("opened", "closed", "flushed", "resumed", "paused")
THINGS = ("session", "channel stream", "buffer of a ledger")


def counted() -> LineCounts:
    counts = LineCounts()
    counts.add_forms([f"{verb} {thing}" for verb in VERBS for thing in THINGS], range(1, 16))
    return counts


def test_as_many_tokens_are_asked_of_as_were_counted_before() -> None:
    counts = counted()
    asked: list[int] = []
    model = LogModel.learn(counts, training=SHORT, passed=asked.append)
    assert sum(asked) == tokens_settled(counts) > 0
    asked.clear()
    shares, flagged = model.measured(["opened session", "melted core"], passed=asked.append)
    assert sum(asked) == 4
    assert shares.shape == flagged.shape == (2,)
    assert not flagged[0]


@pytest.mark.parametrize("lines", [1, 15])
def test_a_trial_times_every_part(lines: int) -> None:
    told = costs(counted().lines()[:lines], SHORT)
    assert all(0 < each < 60 for each in told[:5])


def test_the_time_left_is_told_before_training_begins(tmp_path: Path) -> None:
    with Reporter(JobFolder(tmp_path)) as reporter:
        ahead = Ahead(reporter, SHORT, models=1, evaluated_max=5)
        reporter.plan(Stage.FETCHING, 15)
        ahead.look(counted())  # not due yet
        reporter.finish()
        assert reporter.remaining_s() is None
        ahead.settle(counted(), counted().lines()[:5], 0)
        reporter.begin(Stage.TRAIN)
        assert (reporter.remaining_s() or 0) > 0


def test_what_is_ahead_is_timed_again_while_lines_are_read(tmp_path: Path) -> None:
    now_s = [0.0]
    with Reporter(JobFolder(tmp_path)) as reporter:
        ahead = Ahead(reporter, SHORT, models=1, evaluated_max=5, clock=lambda: now_s[0])
        ahead.look(counted())
        assert reporter.remaining_s() is None
        now_s[0] = 5.0
        ahead.look(counted())
        reporter.begin(Stage.TRAIN)
        assert (reporter.remaining_s() or 0) > 0
