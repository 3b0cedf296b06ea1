"""Recorded memories that fill up: what is asked when, what is true, and what is told of a recording that is none."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import orjson
import pytest
from tests.bench.data.shop_recording import START, S, batch_of, no_replay
from tests.store.telemetry import settings

from watchkeeper.bench.base import BenchError, Place
from watchkeeper.bench.cases.filling import CALM, FILLS, STOPS, MemoryCourse, MemoryCourses, read_courses, write_courses
from watchkeeper.bench.cases.recording import FILLING, HOME, LABELS_FILE
from watchkeeper.bench.cells import Chosen, absence, plan
from watchkeeper.bench.discover import catalogue
from watchkeeper.bench.live.filler import ABOVE_MIB, drawn
from watchkeeper.bench.live.shop import SERVICES
from watchkeeper.bench.measure import measure_cell
from watchkeeper.signals.schema import Signal
from watchkeeper.store.store import Store

ROUND_S, MIB = 200, 2**20
SPEEDS = {"cart": (FILLS, 1.0, 150), "front": (STOPS, 1.0, 60), "stock": (CALM, 0.0, 0), "slow": (FILLS, 0.2, 150)}
"""What each holds more a second, in MiB, and at most; the limit is 100 MiB above the begin."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    data = tmp_path_factory.mktemp("data")
    home = data / FILLING / HOME
    points = [
        {
            "time_unix_ns": START + second * S,
            "service": service,
            "entity": f"service={service}",
            "name": "process.memory.usage",
            "unit": "By",
            "kind": "gauge",
            "value_double": (40 + min(most, speed * second)) * MIB,
        }
        for second in range(0, ROUND_S, 2)
        for service, (_, speed, most) in SPEEDS.items()
    ]
    with Store.open(home, settings(home, metrics_days_max=0), no_replay) as store:
        store.append(Signal.METRICS, "json", "test", START, b"metrics", batch_of(Signal.METRICS, points)).result(10)
        store.seal_now()
    courses = tuple(
        MemoryCourse(service, 0, shape, START, START + ROUND_S * S, speed * MIB, most * MIB)
        for service, (shape, speed, most) in SPEEDS.items()
    )
    write_courses(data / FILLING, MemoryCourses(courses, 100.0 * MIB, ROUND_S))
    return Place(data, data / "cache")


def test_each_memory_is_asked_about_until_it_is_full(place: Place) -> None:
    (split,) = catalogue().data.get("failure-prediction/shop").splits(place)
    asked = {name: [item for item in split.test if item.truth.course == f"{name} #0"] for name in SPEEDS}
    assert [len(asked[name]) for name in ("cart", "front", "stock")] == [4, 9, 9]  # the cart is full half way
    assert not asked["slow"]  # nobody knows when it would have been
    first = asked["cart"][0]
    assert first.given.times_unix_ns[-1] == START + 30 * S  # never more than is known by then
    assert first.given.limit == 140 * MIB
    assert first.truth.seconds == pytest.approx(70.0)
    assert first.truth.ahead == pytest.approx(0.7)
    assert {item.truth.seconds for item in asked["front"] + asked["stock"]} == {math.inf}


def test_the_product_is_held_against_the_trivial_ones(place: Place) -> None:
    chosen = Chosen(tasks=["failure-prediction"], data=["shop"], enhancements=["none"])
    cells = {cell.model.name: cell for cell in plan(catalogue(), chosen, place.data)}
    figures = {name: measure_cell(cell, place)["figures"] for name, cell in cells.items()}
    assert figures["never_full"]["forewarned"][0] == 0.0
    assert figures["straight_line"]["forewarned"][0] == 1.0
    assert figures["straight_line"]["false_predictions"][0] > 0.3  # what stops looked like a line until then
    assert figures["capacity_forecast"]["forewarned"][0] == 1.0
    assert figures["capacity_forecast"]["false_predictions"][0] <= figures["straight_line"]["false_predictions"][0]


def test_draws_have_memories_of_both_sorts_within_the_bounds_of_the_shop() -> None:
    leaks = [each for seed in range(20) for each in drawn(np.random.default_rng(seed), 300.0)]
    for at in range(0, len(leaks), len(SERVICES)):
        shapes = [each.shape for each in leaks[at : at + len(SERVICES)]]
        assert 0 < shapes.count(FILLS) < len(shapes)
    for leak in leaks:
        assert leak.shape == CALM or (0.1 <= leak.mib_per_s <= 128 and 1 <= leak.mib_max <= 512)
        assert (leak.mib_max > ABOVE_MIB) == (leak.shape == FILLS)


def test_what_is_no_recording_is_told(place: Place, tmp_path: Path) -> None:
    spec = catalogue().data.get("failure-prediction/shop")
    assert "`watchkeeper bench record --capacity`" in absence(spec, tmp_path)
    assert absence(spec, place.data) == ""
    with pytest.raises(BenchError, match="cannot be read: FileNotFoundError"):
        read_courses(tmp_path)
    (tmp_path / LABELS_FILE).write_bytes(orjson.dumps({"schema_version": 1, "faults": []}))
    with pytest.raises(BenchError, match="holds no memories that fill up"):
        read_courses(tmp_path)
    write_courses(tmp_path, MemoryCourses((), 1.0, 1.0))
    with pytest.raises(BenchError, match="tells of no course"):
        read_courses(tmp_path)
