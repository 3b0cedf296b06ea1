"""Calibrated ranks: what they make of scores on any scale, and what several of them say together."""

from __future__ import annotations

import numpy as np

from watchkeeper.detect.fusion import SCORE_MAX, CalibratedRank, fused


def normal(count=500):
    return np.random.default_rng(0).exponential(size=count)


def test_a_rank_is_the_chance_of_so_high_a_score():
    rank = CalibratedRank(normal(20_000))
    fresh = np.random.default_rng(1).exponential(size=5_000)
    assert abs((rank.score(fresh) > 1.0).mean() - 0.1) < 0.02
    assert abs((rank.score(fresh) > 2.0).mean() - 0.01) < 0.006


def test_ranks_do_not_depend_on_the_scale_nor_on_the_order():
    asked = np.array([0.1, 1.0, 4.0, 9.0])
    scaled = CalibratedRank(normal()[::-1] * 1e6 + 5).score(asked * 1e6 + 5)
    np.testing.assert_allclose(scaled, CalibratedRank(normal()).score(asked), rtol=1e-6)


def test_beyond_what_was_seen_a_rank_goes_on_growing_to_its_bound():
    told = CalibratedRank(normal()).score(np.array([0.0, 2.0, 8.0, 12.0, 1e9]))
    assert (np.diff(told) > 0).all()
    assert told[-1] == SCORE_MAX


def test_what_was_not_measured_does_not_count():
    rank = CalibratedRank(np.array([1.0, np.nan, 2.0, 3.0]))
    assert rank.score(np.array([np.nan]))[0] == 0.0
    assert CalibratedRank(np.full(3, np.nan)).score(np.array([5.0]))[0] == 0.0
    assert fused([np.array([1.0, 0.0]), np.array([2.0, 0.5])]).tolist() == [3.0, 0.5]
