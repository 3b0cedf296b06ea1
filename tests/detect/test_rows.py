from __future__ import annotations

import numpy as np
import pytest

from watchkeeper.detect.next_template import NextTemplate
from watchkeeper.detect.rows import HalfSpaceTrees, IsolationForest, PrincipalComponents, TailProbabilities


@pytest.fixture
def rows():
    return np.random.default_rng(3).normal(size=(1_000, 4))


@pytest.mark.parametrize(
    "make",
    [lambda rows: IsolationForest(rows, seed=1), TailProbabilities, lambda rows: PrincipalComponents(rows, kept=0.5)],
)
def test_a_far_row_is_stranger_than_nearly_all(make, rows):
    model = make(rows)
    usual = model.score(rows)
    far = model.score(np.array([[7.0, -7.0, 7.0, -7.0]]))[0]
    assert far > np.quantile(usual, 0.995)


def test_half_space_trees_score_a_far_row_high_after_one_window(rows):
    trees = HalfSpaceTrees(rows.min(axis=0) - 6, rows.max(axis=0) + 6, seed=1)
    trees.score_learn(rows[:500])
    rows = rows[500:750].copy()
    rows[100] = 9.0
    assert int(np.argmax(trees.score_learn(rows))) == 100


def test_the_same_seed_gives_the_same_forest(rows):
    one, other = (IsolationForest(rows, seed=2).score(rows[:50]) for _ in range(2))
    assert one.tolist() == other.tolist()


def test_an_unusual_order_and_a_missing_end_surprise():
    model = NextTemplate()
    model.learn([[1, 2, 3, 4]] * 50)
    usual = model.score([1, 2, 3, 4])
    assert model.score([1, 3, 2, 4]) > usual + 0.5
    assert model.score([1, 2]) > usual + 0.5
    assert model.score([1, 2, 99, 4]) > usual + 0.5
