"""Whole traces as vectors: structures never seen, slow traces, state; bands whatever the unit."""

from __future__ import annotations

import numpy as np
import pytest

from watchkeeper.detect.traces.bands import SCORE_MAX, bands_of, upper_scores
from watchkeeper.detect.traces.calls import own_time_s, pairs_of
from watchkeeper.detect.traces.history import Figures, Histories, Key, Watched
from watchkeeper.detect.traces.shares import learned_share, lower_score, share_score
from watchkeeper.detect.traces.sketch import RELATIVE_ERROR, SketchBank
from watchkeeper.detect.traces.spans import Spans
from watchkeeper.detect.traces.vectors import FALSE_ALARMS, TraceVectorProfile


def normal(traces: int, seed: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    """Traces of two structures: a page with a cart call, and one with a search call, 0 where a path is not there."""
    random = np.random.default_rng(seed)
    paths = np.exp(random.normal([3.0, 2.0, 1.0, 2.5], 0.3, (traces, 4)))
    paths[:, 0] += paths[:, 1:].sum(axis=1)
    cart = random.random(traces) < 0.5
    paths[cart, 3] = 0
    paths[~cart, 1:3] = 0
    return np.asarray(paths)


def test_normal_traces_stay_below_the_threshold_and_others_do_not() -> None:
    profile = TraceVectorProfile.learn(normal(2_000))
    assert (profile.score(normal(2_000, 1)) > profile.threshold).mean() < 5 * FALSE_ALARMS
    slow = normal(50, 2)
    slow[:, 0] *= 8
    assert (profile.score(slow) > profile.threshold).all()
    strange = normal(50, 3)
    strange[:, 1] = 0
    strange[:, 2:] = 1.0
    assert (profile.score(strange) == SCORE_MAX).all()


def test_the_unit_does_not_matter() -> None:
    scores = [TraceVectorProfile.learn(normal(300) * unit).score(normal(100, 1) * unit) for unit in (1.0, 2.0**20)]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-9)


def test_a_score_is_explained() -> None:
    profile = TraceVectorProfile.learn(normal(500))
    trace = normal(20, 4)
    trace = trace[trace[:, 3] > 0][0]
    trace[3] *= 50
    told = profile.explain(trace)
    assert not told.unseen
    assert told.worst[0][0] == 3
    trace[1] = 1.0
    told = profile.explain(trace)
    assert told.unseen
    assert told.added == (1,)


@pytest.mark.parametrize("traces", [1, 10, 500])
def test_state_is_taken_up_again(traces: int) -> None:
    profile = TraceVectorProfile.learn(normal(traces))
    again = TraceVectorProfile.from_arrays(profile.arrays())
    np.testing.assert_array_equal(again.score(normal(100, 5)), profile.score(normal(100, 5)))
    assert again.threshold == profile.threshold
    with pytest.raises(ValueError, match="newer"):
        TraceVectorProfile.from_arrays({**profile.arrays(), "schema_version": np.array(99)})


def test_traces_without_any_path() -> None:
    profile = TraceVectorProfile.learn(np.zeros((3, 2)))
    assert profile.score(np.array([[0.0, 0.0], [1.0, 0.0]])).tolist() == [0.0, SCORE_MAX]


def test_bands_of_nothing_and_of_gaps() -> None:
    logs = np.array([[1.0, np.nan], [2.0, np.nan], [np.nan, np.nan]])
    bands = bands_of(logs)
    assert bands.middle[0] == 1.5
    assert bands.values.tolist() == [2.0, 0.0]
    assert upper_scores(np.array([[99.0, 99.0]]), bands)[0, 1] == 0.0


def test_the_sketch_is_right_to_its_error_and_fades() -> None:
    random = np.random.default_rng(1)
    seconds = np.exp(random.normal(-4, 1, 50_000))
    bank = SketchBank()
    bank.add(np.full(len(seconds), 40), seconds)
    for share in (0.01, 0.5, 0.95, 0.999):
        exact = float(np.quantile(seconds, share))
        assert bank.quantile(40, share) == pytest.approx(exact, rel=1.5 * RELATIVE_ERROR)
    assert np.isnan(bank.quantile(3, 0.5))
    assert np.isnan(bank.quantile(9_999, 0.5))
    bank.fade(360)
    assert bank.counts.sum() == pytest.approx(25_000, rel=1e-3)
    again = SketchBank()
    again.restore(bank.arrays())
    assert again.quantile(40, 0.5) == bank.quantile(40, 0.5)
    with pytest.raises(ValueError, match="buckets"):
        again.restore({"sketches": np.zeros((2, 3))})


def test_shares() -> None:
    assert share_score(5, 10, 0.01, 100.0) > share_score(5, 10, 0.01, 5.0) > share_score(5, 10, 0.3, 5.0)
    share, size = learned_share(np.zeros((1, 50)), np.full((1, 50), 20.0))
    assert share[0] < 0.001
    assert size[0] == 400
    restless = np.tile([0.0, 10.0], 25)[None, :]
    assert learned_share(restless, np.full((1, 50), 20.0))[1][0] < 10
    one_fault = np.concatenate([np.zeros(49), [12.0]])[None, :]
    assert learned_share(one_fault, np.full((1, 50), 20.0))[1][0] > 100
    assert lower_score(0, 100.0, 0.05) > lower_score(40, 100.0, 0.05) > 0


def test_own_time_counts_overlapping_children_once() -> None:
    second = 10**9
    none = np.zeros(4, np.int64)
    spans = Spans(
        none,
        none + 2,
        np.array([0, 1, 2, 6]) * second,
        np.array([10, 4, 5, 8]) * second,
        np.array([1, 2, 3, 4], np.uint64),
        np.array([0, 1, 1, 1], np.uint64),
        np.zeros((4, 2), np.uint64),
        none == 1,
    )
    assert own_time_s(spans, pairs_of(spans)).tolist() == [4.0, 3.0, 3.0, 2.0]


def test_histories_are_bounded_and_keep_the_newest() -> None:
    kept = Histories(rows_max=40)
    for number in range(200):
        row = kept.row(Key(Watched.OPERATION, "s", str(number)))
        kept.append(row, number, Figures(3, 1, 0.0, 0.0, 0.0))
        assert len(kept.rows) <= 40
    newest = kept.rows[Key(Watched.OPERATION, "s", "199")]
    assert kept.past(newest)[0].tolist() == [199]
    assert kept.trials(newest) == 3
    for number in range(300):
        kept.append(newest, 200 + number, Figures(1, 0))
    assert kept.length(newest) == 120
    assert kept.past(newest)[0][-1] == 499
