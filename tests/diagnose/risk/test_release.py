"""The gate of a release: what it holds, what it lets pass, and that it looks at nothing later than now."""

import numpy as np
import pytest

from watchkeeper.bench.base import Place
from watchkeeper.bench.data.releases import DATA
from watchkeeper.datasets.read import locate
from watchkeeper.diagnose.risk.release import CPU, FAILURES, LATENCY, MEMORY, PodSeries, ReleasedChange, Rollout, judge
from watchkeeper.errors import DataSetError
from watchkeeper.settings import Settings

TIMES = np.arange(30) * 60.0
BEGUN, READY, NOW = 600.0, 660.0, 1_500.0
LEVELS = {FAILURES: 0.0, LATENCY: 0.02, CPU: 3.0, MEMORY: 40.0}


def pod(service, name, caller="page", **values):
    """All aspects of a pod; pods whose name begins with `new` speak from BEGUN on."""
    random = np.random.default_rng([*name.encode(), *service.encode()])
    told = []
    for aspect, level in LEVELS.items():
        course = np.full(30, float(values.get(aspect, level))) if aspect in values else np.full(30, level)
        if aspect != FAILURES:
            course = course * random.lognormal(0.0, 0.05, 30)
        if name.startswith("new"):
            course[TIMES < BEGUN] = np.nan
        edge = (caller, service) if aspect in {FAILURES, LATENCY} else ("", "")
        told.append(PodSeries(f"{service}-{name}", service, aspect, *edge, TIMES, course))
    return told


def change(service, begun=BEGUN):
    return ReleasedChange(service, service, frozenset({f"{service}-new"}), begun, begun + READY - BEGUN)


def rollout(*series, changes=("cart", "pay"), calls=(("page", "cart"), ("page", "pay"))):
    return Rollout(tuple(change(each) for each in changes), tuple(one for each in series for one in each), calls, NOW)


def healthy(*services):
    return [pod(service, name) for service in services for name in ("old1", "old2", "new")]


def test_healthy_changes_pass():
    verdicts = judge(rollout(*healthy("cart", "pay")))
    assert not any(one.held for one in verdicts)
    assert all(one.score < 1.0 for one in verdicts)


@pytest.mark.parametrize(("aspect", "level"), [(FAILURES, 0.4), (LATENCY, 0.4), (CPU, 90.0), (MEMORY, 120.0)])
def test_new_pods_that_are_worse_are_held_with_the_reason(aspect, level):
    broken = [pod("pay", "old1"), pod("pay", "old2"), pod("pay", "new", **{aspect: level})]
    first, second = judge(rollout(*healthy("cart"), *broken))
    assert (first.change, first.held, second.held) == ("pay", True, False)
    assert first.why[0].startswith(aspect)


def test_new_pods_that_are_better_are_not_held():
    broken = [pod("pay", "old1"), pod("pay", "old2"), pod("pay", "new", latency=0.001, memory=5.0)]
    assert not any(one.held for one in judge(rollout(*healthy("cart"), *broken)))


def test_what_unchanged_pods_suffer_too_is_not_the_change():
    both = [pod("pay", name, failures=0.5) for name in ("old1", "old2", "new")]
    assert not any(one.held for one in judge(rollout(*healthy("cart"), *both)))


def test_new_pods_that_serve_nobody_are_held_and_those_that_serve_one_caller_are_not():
    silent = [pod("pay", "old1"), pod("pay", "old2"), pod("pay", "new", failures=np.nan)]
    first, _ = judge(rollout(*healthy("cart"), *silent))
    assert (first.change, first.held) == ("pay", True)
    assert first.why == ("the new pods of pay serve nobody",)
    other = [pod("pay", name, caller="shop") for name in ("old1", "old2", "new")]
    assert not any(one.held for one in judge(rollout(*healthy("cart"), *silent, *other)))


def test_what_is_felt_elsewhere_only_points_to_the_change_it_depends_on():
    page = pod("page", "old1", caller="user")
    failing = page[0].values.copy()
    failing[TIMES >= READY + 60] = 0.4
    page[0] = page[0]._replace(values=failing)
    calls = (("user", "page"), ("page", "cart"), ("other", "pay"))
    first, second = judge(rollout(*healthy("cart", "pay"), page, calls=calls))
    assert first.change == "cart"
    assert not first.held
    assert "unchanged pods of page" in first.why[0]
    assert second.score < first.score / 2


def test_what_comes_after_now_does_not_count():
    series = [one for each in healthy("cart", "pay") for one in each]
    later = [one._replace(values=np.where(one.times_s >= NOW, 1.0, one.values)) for one in series]
    assert judge(rollout(series)) == judge(rollout(later))


@pytest.mark.data
def test_recorded_releases_end_before_the_first_one_spreads_and_most_faults_are_held(tmp_path):
    path = Settings().path("data")
    try:
        locate("changerca", path)
    except DataSetError as absent:
        pytest.skip(str(absent))
    (split,) = DATA[0].splits(Place(path, tmp_path))
    assert len(split.test) == 51
    right = []
    for item in split.test:
        rollout = item.given
        pods = {one.pod for one in rollout.series}
        assert all(one.times_s.max() < rollout.now_s for one in rollout.series)
        assert item.truth <= {each.name for each in rollout.changes}
        assert len(rollout.changes) == 1 or any(each.pods & pods for each in rollout.changes)
        right.append(judge(rollout)[0].change in item.truth)
    assert np.mean(right) >= 0.85
