"""The joint scorer of one entity's metrics."""

import numpy as np
import pytest

from watchkeeper.bench.scores.vus import vus
from watchkeeper.datasets.catalogue import DATA_SETS
from watchkeeper.datasets.fetch import is_present
from watchkeeper.datasets.read import open_member
from watchkeeper.detect.joint import JointScorer
from watchkeeper.errors import NewerFormat, StoreError
from watchkeeper.settings import Settings

METRICS = 6
STEP_S = 300.0
INCIDENT = slice(3300, 3330)


def machine(steps=4000, seed=0):
    """A day's wave that all metrics share, noise of their own, one metric that rarely moves, and one incident."""
    random = np.random.default_rng(seed)
    wave = np.sin(2 * np.pi * np.arange(steps) / 288)
    rows = wave[:, None] * np.linspace(1, 2, METRICS) + random.normal(0, 0.1, (steps, METRICS)) + 5
    rows[:, 5] = np.where(random.random(steps) < 0.003, 1.0, 0.0)
    rows[INCIDENT, 1:3] += 2.0
    return rows


@pytest.fixture(scope="module")
def scored():
    return JointScorer(METRICS, STEP_S).score_learn(machine())


def test_the_incident_scores_highest_and_from_its_first_step(scored):
    normal = np.delete(scored[1000:], np.arange(INCIDENT.start - 1000, INCIDENT.stop - 1000 + 60))
    assert scored[INCIDENT].max() > normal.max()
    assert scored[INCIDENT].min() > np.quantile(normal, 0.99)
    assert scored.min() == 0.0


def test_the_future_changes_no_score(scored):
    rows = machine()
    rows[3000:] = np.random.default_rng(9).normal(100, 50, (1000, METRICS))
    changed = JointScorer(METRICS, STEP_S).score_learn(rows)
    assert np.array_equal(changed[:3000], scored[:3000])
    assert not np.array_equal(changed[3000:], scored[3000:])


def test_parts_score_as_the_whole(scored):
    scorer, rows, random = JointScorer(METRICS, STEP_S), machine(), np.random.default_rng(4)
    cuts = np.cumsum(random.integers(0, 90, 120))
    parts = [scorer.score_learn(part) for part in np.split(rows, cuts[cuts < len(rows)])]
    assert np.concatenate(parts) == pytest.approx(scored, rel=1e-6, abs=1e-6)


def test_other_units_change_no_score(scored):
    rows = machine()
    exact = JointScorer(METRICS, STEP_S).score_learn(rows * np.exp2([20, -20, 3, 0, -7, 11]))
    assert exact == pytest.approx(scored, rel=1e-9, abs=1e-9)
    odd = JointScorer(METRICS, STEP_S).score_learn(rows * np.array([3e6, 1e-5, 7, 1, 0.3, 11]))
    assert odd == pytest.approx(scored, rel=1e-4, abs=1e-4)


def test_the_order_of_metrics_is_of_no_matter(scored):
    order = [3, 1, 5, 0, 2, 4]
    assert JointScorer(METRICS, STEP_S).score_learn(machine()[:, order]) == pytest.approx(scored, rel=1e-6, abs=1e-6)


def test_a_metric_that_never_moved_scores_when_it_moves():
    rows = machine(2000)
    rows[:, 0] = 4.0
    rows[1900, 0] = 4.5
    scorer = JointScorer(METRICS, STEP_S)
    scorer.score_learn(rows)
    assert scorer.contributions()[1900].argmax() == 0
    assert not scorer.contributions()[:1900, 0].any()


def test_the_input_is_left_as_it_is():
    rows = machine(200)
    kept = rows.copy()
    JointScorer(METRICS, STEP_S).score_learn(rows)
    assert np.array_equal(rows, kept)


def test_lasting_evidence_outweighs_a_lone_step():
    rows = machine(2600)
    rows[2000, 0] += 1.5
    rows[2400:2403, 0] += 1.5
    found = JointScorer(METRICS, STEP_S).score_learn(rows)
    assert found[2402] > 1.2 * found[2000]
    assert found[2000] > 2 * found[2002]


def test_contributions_name_the_metrics_of_the_incident():
    scorer, rows = JointScorer(METRICS, STEP_S), machine()
    scorer.score_learn(rows[: INCIDENT.start])
    score = scorer.score_learn(rows[INCIDENT.start : INCIDENT.start + 4])
    shares = scorer.contributions()
    assert shares.shape == (4, METRICS)
    assert set(np.argsort(-shares[0])[:2].tolist()) == {1, 2}
    assert shares.sum(axis=1) == pytest.approx(score)
    assert shares.min() >= 0


def test_missing_points_score_nothing_and_do_no_harm(scored):
    rows, random = machine(), np.random.default_rng(5)
    rows[random.random(rows.shape) < 0.05] = np.nan
    rows[:, 4] = np.nan
    rows[2000:2050] = np.nan
    scorer = JointScorer(METRICS, STEP_S)
    found = scorer.score_learn(rows)
    assert np.isfinite(found).all()
    shares = scorer.contributions()
    assert not (np.diff(shares, axis=0)[np.isnan(rows[1:])] > 0).any()
    assert not shares[:, 4].any()
    assert found[INCIDENT].max() > np.quantile(found[1000:3000], 0.99)


def test_a_saved_scorer_goes_on_where_it_stood(scored, tmp_path):
    scorer, rows = JointScorer(METRICS, STEP_S), machine()
    scorer.score_learn(rows[:1777])
    scorer.save(tmp_path / "one.npz")
    loaded = JointScorer.load(tmp_path / "one.npz")
    assert loaded.score_learn(rows[1777:]) == pytest.approx(scored[1777:], rel=1e-6, abs=1e-6)
    assert [each.name for each in tmp_path.iterdir()] == ["one.npz"]


def test_a_damaged_or_newer_file_is_told(tmp_path):
    path = tmp_path / "one.npz"
    JointScorer(METRICS, STEP_S).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError, match="cannot be read"):
        JointScorer.load(path)
    path.write_bytes(whole)
    with np.load(path) as archive:
        arrays = dict(archive)
    with path.open("wb") as file:
        np.savez(file, **{**arrays, "schema_version": np.array(99)})
    with pytest.raises(NewerFormat, match="newer"):
        JointScorer.load(path)


def test_the_state_is_bounded(tmp_path):
    scorer = JointScorer(METRICS, STEP_S)
    sizes = []
    for seed in range(3):
        scorer.score_learn(machine(1000, seed))
        scorer.save(tmp_path / "one.npz")
        sizes.append((tmp_path / "one.npz").stat().st_size)
    assert max(sizes) - min(sizes) < CHUNK_BYTES


CHUNK_BYTES = 32 * METRICS * 9 + 64
"""Steps not yet learned: values and whether they are there."""


def test_a_new_segment_in_other_units_is_soon_as_good():
    rows = machine(8000)
    rows[7300:7330, 1:3] += 2.0
    plain = JointScorer(METRICS, STEP_S).score_learn(rows)
    scorer = JointScorer(METRICS, STEP_S)
    scorer.score_learn(rows[:6000])
    scorer.new_segment()
    other = scorer.score_learn(rows[6000:] * np.array([3, 0.2, 7, 1, 0.5, 2]) - 4)
    assert not other[:24].any()
    assert other[1300] > 0.5 * plain[7300]
    assert other[1300:1330].max() > np.quantile(other[:1300], 0.99)


@pytest.mark.parametrize("block", [np.zeros((3, METRICS + 1)), np.zeros(METRICS)])
def test_another_shape_is_refused(block):
    with pytest.raises(ValueError, match="block is"):
        JointScorer(METRICS, STEP_S).score_learn(block)
    with pytest.raises(ValueError, match="needs metrics"):
        JointScorer(0, STEP_S)


@pytest.mark.data
def test_a_server_of_asd_is_scored_far_above_chance():
    folder = Settings().path("data")
    if not is_present(DATA_SETS.get("asd"), folder):
        pytest.skip("asd is not in the data folder")
    with open_member("asd", "asd/omi-7.npz", folder) as stream, np.load(stream) as archive:
        train, test, label = archive["train"].T, archive["test"].T, archive["test_label"]
    scorer = JointScorer(train.shape[1], STEP_S)
    scorer.score_learn(train)
    scorer.new_segment()
    found = scorer.score_learn(test)
    assert vus(found, label).pr > 0.5
    assert vus(np.random.default_rng(0).random(len(label)), label).pr < 0.2
