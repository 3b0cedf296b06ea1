"""Time left by units that wore out before: drawn units, and NASA's."""

import numpy as np
import pytest

from watchkeeper.bench.base import Place
from watchkeeper.bench.data.wear import DATA, FILLS, HORIZON_S
from watchkeeper.datasets.read import locate
from watchkeeper.diagnose.risk.wear import learn_wear
from watchkeeper.errors import DataSetError
from watchkeeper.settings import Settings


def unit(life, seed):
    random = np.random.default_rng(seed)
    worn = (np.arange(life) / life) ** 3
    return np.column_stack([5 + 2 * worn, 9 - worn, np.full(life, 3.0)]) + [0.05, 0.05, 0] * random.normal(
        size=(life, 3)
    )


@pytest.fixture(scope="module")
def library():
    return learn_wear([unit(life, life) for life in range(140, 260, 6)])


@pytest.mark.parametrize("left", [10, 30, 60])
def test_time_left_is_near_the_truth_and_names_units(library, left):
    told = library.remaining(unit(200, 7)[: 200 - left])
    assert told.cycles == pytest.approx(left, abs=15)
    assert all(0 <= number < 20 for number, _ in told.like)


def test_a_unit_just_begun_is_told_the_mean_life(library):
    assert library.remaining(unit(200, 7)[:5]).cycles == pytest.approx(library.mean_life - 5)


def test_nothing_to_learn_from_is_told():
    with pytest.raises(ValueError, match="there are none"):
        learn_wear([])


@pytest.mark.data
def test_turbofans_are_as_many_as_nasa_tells(tmp_path):
    path = Settings().path("data")
    try:
        locate("cmapss_fd001", path)
    except DataSetError as absent:
        pytest.skip(str(absent))
    (split,) = DATA[0].splits(Place(path, tmp_path))
    assert (len(split.train), sum(len(item.given) for item in split.train)) == (100, 20_631)
    assert (len(split.test), sum(len(item.given) for item in split.test)) == (100, 13_096)


def test_drawn_courses_are_asked_about_before_their_limit_only(tmp_path):
    (split,) = DATA[1].splits(Place(tmp_path, tmp_path))
    for item in split.test:
        assert item.given.values.max() < item.given.limit
        assert (item.truth.seconds < np.inf) <= item.truth.course.startswith(FILLS)
    assert sum(item.truth.seconds <= HORIZON_S for item in split.test) > 50
    assert sum(item.truth.seconds == np.inf for item in split.test) > 200
