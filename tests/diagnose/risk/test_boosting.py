"""The boosted risk: it finds what matters, stays calibrated, explains itself, and survives being stored."""

import numpy as np
import pytest

from watchkeeper.diagnose.risk.boosting import BINS, Options, binned, boost, load_boosted, thinned
from watchkeeper.errors import NewerFormat, StoreError

SMALL = Options(trees=40, depth=3, rate=0.2)
COLUMNS = ("age", "noise", "place")


def drawn(count=6_000, seed=1):
    random = np.random.default_rng(seed)
    rows = np.column_stack([random.uniform(0, 1, count), random.normal(size=count), random.integers(0, 3, count)])
    odds = -4.0 + 3.0 * (rows[:, 0] > 0.7) + 1.5 * (rows[:, 2] == 2)
    return rows, random.random(count) < 1 / (1 + np.exp(-odds))


@pytest.fixture(scope="module")
def learned():
    rows, happened = drawn()
    kept, weights = thinned(happened, np.random.default_rng(0), others=4)
    return boost(rows[kept], happened[kept], COLUMNS, weights=weights, options=SMALL)


def test_what_matters_is_found_and_risks_of_thinned_rows_are_still_risks(learned):
    rows, happened = drawn(seed=2)
    risks = learned.risks(rows)
    high = (rows[:, 0] > 0.7) & (rows[:, 2] == 2)
    assert risks[high].min() > risks[(rows[:, 0] < 0.6) & (rows[:, 2] < 2)].max()
    assert risks.mean() == pytest.approx(happened.mean(), rel=0.15)
    assert risks[high].mean() == pytest.approx(happened[high].mean(), rel=0.2)


def test_contributions_add_up_to_the_log_odds_and_name_the_cause(learned):
    rows, _ = drawn(50)
    risks, told = learned.risks(rows), learned.contributions(rows)
    assert np.allclose(np.log(risks / (1 - risks)), learned.usual + told.sum(axis=1))
    (first, most), *rest = learned.explain(np.array([0.95, 0.0, 0.0]))
    assert first == "age"
    assert most > 1.0
    assert all(moved < most / 3 for _, moved in rest)


def test_the_same_seed_gives_the_same_risks(learned):
    rows, happened = drawn()
    kept, weights = thinned(happened, np.random.default_rng(0), others=4)
    again = boost(rows[kept], happened[kept], COLUMNS, weights=weights, options=SMALL)
    assert np.array_equal(learned.risks(rows), again.risks(rows))


def test_a_stored_risk_tells_the_same(learned, tmp_path):
    rows, _ = drawn(100)
    learned.save(tmp_path / "risk.npz")
    assert np.array_equal(load_boosted(tmp_path / "risk.npz").risks(rows), learned.risks(rows))


def test_damage_is_told(learned, tmp_path, monkeypatch):
    path = tmp_path / "risk.npz"
    learned.save(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(StoreError, match="remove it to learn anew"):
        load_boosted(path)
    monkeypatch.setattr("watchkeeper.diagnose.risk.boosting.SCHEMA_VERSION", 2)
    learned.save(path)
    monkeypatch.setattr("watchkeeper.diagnose.risk.boosting.SCHEMA_VERSION", 1)
    with pytest.raises(NewerFormat):
        load_boosted(path)


def test_one_kind_alone_teaches_nothing():
    with pytest.raises(ValueError, match="both kinds"):
        boost(np.zeros((5, 1)), np.zeros(5, bool), ("one",))


def test_thinned_rows_stand_for_all():
    happened = np.arange(10_000) % 100 == 0
    kept, weights = thinned(happened, np.random.default_rng(0), others=10)
    assert happened[kept].sum() == 100
    assert weights.sum() == pytest.approx(10_000)
    assert (weights[happened[kept]] == 1).all()


def test_bins_count_the_edges_below():
    edges = np.full((1, BINS - 1), np.inf)
    edges[0, :2] = [1.0, 3.0]
    assert binned(np.array([[0.0], [1.0], [2.0], [3.0], [9.0]]), edges).tolist() == [[0, 0, 1, 1, 2]]
