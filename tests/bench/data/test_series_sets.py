"""Labelled series in their normal form: what is written is what is read, and what the sets hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from watchkeeper.bench.base import Place
from watchkeeper.bench.data.cached import SERIES_STEPS, Steps, series_steps, series_table
from watchkeeper.bench.discover import catalogue
from watchkeeper.datasets.read import locate
from watchkeeper.errors import DataSetError
from watchkeeper.settings import Settings


def steps(machine: str, part: str, count: int, first: float) -> Steps:
    values = first + np.arange(count * 2, dtype=np.float64).reshape(count, 2)
    return Steps(machine, part, np.arange(count) * 60.0, values, np.arange(count) % 2 == 1)


def test_steps_come_back_as_they_were_whatever_the_order_of_names() -> None:
    parts = [steps("b", "train", 3, 0.0), steps("b", "test", 2, 9.0), steps("a", "test", 4, 5.0)]
    table = series_table(parts)
    assert table.column_names == [*SERIES_STEPS.names, "0", "1"]
    assert table.select(SERIES_STEPS.names).schema.types == SERIES_STEPS.types
    read = series_steps(table)
    assert list(read) == ["b", "a"]
    for each in parts:
        told = read[each.machine][each.part]
        assert told[:2] == each[:2]
        for one, other in zip(told[2:], each[2:], strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.data
@pytest.mark.parametrize(("name", "machines", "metrics"), [("asd", 8, 19), ("nab", 52, 1)])
def test_sets_are_read_once_and_then_from_parquet(name: str, machines: int, metrics: int, tmp_path: Path) -> None:
    data = Settings().path("data")
    try:
        locate(name, data)
    except DataSetError as error:
        pytest.skip(str(error))
    place = Place(data, tmp_path)
    spec = catalogue().data.get(f"anomaly-detection/{name}")
    first, again = (list(spec.splits(place)) for _ in range(2))
    assert [path.name for path in tmp_path.glob(f"{name}-*/*.parquet")] == ["steps.parquet"]
    assert len(first) == len(again) == machines
    for one, other in zip(first, again, strict=True):
        assert one.facts == other.facts
        assert one.facts["metrics"] == metrics
        assert any(item.truth.any() for item in one.test)
        for mine, theirs in zip(one.train + one.test, other.train + other.test, strict=True):
            np.testing.assert_array_equal(mine.given, theirs.given)
