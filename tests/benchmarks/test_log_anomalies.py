"""The benchmark of log anomalies: its scores, and that the BGL windows stay above what issue 3 asks."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.log_anomalies import bgl_windows, f1, pr_auc

from watchkeeper.datasets.catalogue import DATA_SETS
from watchkeeper.datasets.fetch import is_present
from watchkeeper.settings import Settings


def test_f1_of_all_some_and_none() -> None:
    true = np.array([True, True, False, False])
    assert f1(true, true) == 1.0
    assert f1(np.ones(4, bool), true) == pytest.approx(2 / 3, abs=1e-4)
    assert f1(np.zeros(4, bool), true) == 0.0


def test_pr_auc_takes_ties_together() -> None:
    true = np.array([True, False, True, False])
    assert pr_auc(np.array([3.0, 1.0, 2.0, 0.0]), true) == 1.0
    assert pr_auc(np.zeros(4), true) == 0.5


@pytest.mark.data
def test_bgl_windows_are_told_better_than_by_looking_up_what_is_unseen() -> None:
    folder = Settings().path("data")
    for name in ("bgl_windows_distillog", "ait_sequences"):
        if not is_present(DATA_SETS.get(name), folder):
            pytest.skip(f"{name} is not in the data folder")
    found = bgl_windows(folder)
    for split, wanted in (("half_normal_only", 0.60), ("four_fifths_normal_only", 0.80), ("half_unlabelled", 0.60)):
        scores = found[split]["f1"]
        assert scores["newcomer_watch"] > wanted
        assert scores["newcomer_watch"] > max(scores[name] for name in ("always", "unseen_template", "never"))
