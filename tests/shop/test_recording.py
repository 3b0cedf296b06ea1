"""`watchkeeper bench record`: what is switched on, what is refused, and what is left when it is ended early."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from shop_run import until
from typer.testing import CliRunner

from watchkeeper.bench.base import BenchError, Place
from watchkeeper.bench.cases.recording import FILLING, RECORDED, read_labels
from watchkeeper.bench.discover import catalogue
from watchkeeper.bench.live import programs
from watchkeeper.bench.live.recorder import CATEGORIES, Course, Strike, chosen, record
from watchkeeper.bench.live.shop import DEPENDENCY_NODES, DEPENDENTS, SERVICES
from watchkeeper.cli.bench import app

needs_shop = pytest.mark.skipif(
    not (shutil.which("nginx") and shutil.which("redis-server")), reason="nginx and redis-server are not installed"
)

KINDS = [
    {"kind": "latency", "services": ["catalogue", "frontend", "cart", "payment"]},
    {"kind": "error-rate", "services": ["payment", "frontend", "catalogue", "cart"]},
    {"kind": "dependency-down", "services": ["cart", "frontend", "catalogue", "payment"]},
    {"kind": "queue-jam", "services": ["checkout"]},
]


def test_the_first_round_strikes_the_usual_services_and_later_ones_others():
    first, second = chosen(KINDS, (), 2)[:4], chosen(KINDS, (), 2)[4:]
    assert [each.service for each in first] == ["catalogue", "payment", "cart", "checkout"]
    assert [each.service for each in second] == ["frontend", "catalogue", "payment", "checkout"]
    assert {each.round for each in second} == {1}
    assert chosen(KINDS, ("latency@cart",), 2) == [Strike("latency", "cart", 0), Strike("latency", "cart", 1)]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("flood", "no fault 'flood'; it has latency"),
        ("queue-jam@cart", "does not fit 'cart'; it fits checkout"),
        ("dependency-down@frontend", "it fits cart, payment"),
    ],
)
def test_a_fault_that_the_shop_has_not_is_told(fault: str, why: str):
    with pytest.raises(BenchError, match=why):
        chosen(KINDS, (fault,), 1)


def test_every_kind_of_the_shop_has_a_category():
    from shop.faults import DEPENDENCIES
    from shop.faults import KINDS as OFFERED
    from shop.layout import SERVICES as SHOP_SERVICES

    assert set(CATEGORIES) == set(OFFERED)
    assert set(SHOP_SERVICES) == set(SERVICES)
    assert {service: DEPENDENCIES[service][0] for service in DEPENDENTS} == DEPENDENTS
    assert set(DEPENDENTS.values()) == set(DEPENDENCY_NODES)


def test_what_cannot_be_recorded_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a file").touch()
    with pytest.raises(BenchError, match="is not empty"):
        record(tmp_path / "there", Course(), lambda _: None)
    with pytest.raises(BenchError, match="longer than the 15 s"):
        record(tmp_path / "short", Course(rest_s=10.0), lambda _: None)
    monkeypatch.setattr(programs, "SHOP", tmp_path / "nowhere")
    with pytest.raises(BenchError, match="example shop is not at"):
        record(tmp_path / "new", Course(), lambda _: None)
    assert not [*(tmp_path / "new").glob("*")]


@pytest.mark.parametrize("option", [("--faults", "latency"), ("--calm", "60"), ("--settle", "0")])
def test_what_means_nothing_for_memories_is_refused(tmp_path: Path, option: tuple[str, str]):
    told = CliRunner().invoke(app, ["record", str(tmp_path / "new"), "--capacity", *option])
    assert told.exit_code == 2
    assert option[0] in told.output
    assert "means nothing with --capacity" in told.output
    assert not (tmp_path / "new").exists()


class Recording:
    """`watchkeeper bench record` as a user runs it, with what it tells."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self._told = folder, folder.parent / "told.txt"
        command = [sys.executable, "-m", "watchkeeper.cli.main", "bench", "record", str(folder), *options]
        with self._told.open("wb") as told:
            self.process = subprocess.Popen(command, stdout=told, stderr=told, start_new_session=True)

    def told(self) -> str:
        return self._told.read_text(encoding="utf-8")

    def wait_told(self, words: str, within_s: float) -> list[psutil.Process]:
        """Wait until it says so; gives all that it started and that runs."""

        def said() -> bool:
            assert self.process.poll() is None, self.told()
            return words in self.told()

        until(said, within_s, f"{words!r} to be told")
        started = psutil.Process(self.process.pid).children(recursive=True)
        assert any("shop" in each.cmdline() for each in started)
        return started

    def end(self, number: int, started: list[psutil.Process]) -> int:
        """Send a signal; gives the status once everything is gone."""
        self.process.send_signal(number)
        status = self.process.wait(40.0)
        _, alive = psutil.wait_procs(started, 20.0)
        for each in alive:
            each.kill()
        assert not alive
        return status


@needs_shop
def test_ctrl_c_before_the_first_fault_leaves_nothing(tmp_path: Path):
    recording = Recording(tmp_path / "cut", "--calm", "60")
    assert recording.end(signal.SIGINT, recording.wait_told("calm, to learn from", 60.0)) == 130
    assert "nothing is kept" in recording.told()
    assert not [*(tmp_path / "cut").glob("*")]


@needs_shop
def test_what_a_killed_recording_started_ends_with_it(tmp_path: Path):
    recording = Recording(tmp_path / "killed", "--calm", "60")
    assert recording.end(signal.SIGKILL, recording.wait_told("calm, to learn from", 60.0)) == -signal.SIGKILL


@needs_shop
def test_a_recording_ended_in_its_second_fault_is_one_of_the_first(tmp_path: Path):
    """A real shop with a real fault: the smallest recording that cells can read."""
    place = Place(tmp_path, tmp_path / "cache")
    course = ("--calm", "30", "--fault-for", "15", "--rest", "12", "--settle", "2", "--rounds", "1")
    recording = Recording(tmp_path / RECORDED, *course, "--faults", "error-rate,latency")
    started = recording.wait_told("[2/2] latency at catalogue", 300.0)
    assert recording.end(signal.SIGTERM, started) == 130
    assert "holds the 1 faults that were over" in recording.told()
    (fault,) = read_labels(tmp_path / RECORDED).faults
    assert (fault.name, fault.nodes, fault.category) == ("error-rate", ("service:payment",), "application_error")
    assert 14.0 < (fault.end_unix_ns - fault.begin_unix_ns) / 1e9 < 25.0
    (split,) = catalogue().data.get("anomaly-detection/shop").splits(place)
    (asked,) = split.test
    assert 2 <= asked.truth.sum() < len(asked.truth)
    failed = asked.given.logs[np.asarray(asked.truth, bool)].sum()
    assert failed > 0  # the telemetry of the fault is there, not only its label
    (localized,) = catalogue().data.get("localization/shop").splits(place)
    assert {item.truth for item in localized.test if item.truth} == {frozenset(fault.nodes)}


@needs_shop
def test_memories_that_fill_up_are_recorded(tmp_path: Path):
    """A real shop whose processes really grow."""
    recording = Recording(
        tmp_path / FILLING, "--capacity", "--rounds", "1", "--fault-for", "20", "--rest", "5", "--json"
    )
    assert recording.process.wait(150.0) == 0, recording.told()
    told = json.loads(recording.told()[recording.told().index("{") :])
    assert {row["service"] for row in told["courses"]} == set(SERVICES)
    (split,) = catalogue().data.get("failure-prediction/shop").splits(Place(tmp_path, tmp_path / "cache"))
    shapes = {row["service"]: row["shape"] for row in told["courses"]}
    for service in {item.truth.course.partition(" ")[0] for item in split.test}:
        *_, last = [item for item in split.test if item.truth.course.startswith(service)]
        grown_mib = (last.given.values[-1] - last.given.values[0]) / 2**20
        assert grown_mib < 25 if shapes[service] == "calm" else grown_mib > 30
    assert not [*(tmp_path / FILLING).glob("*.ready")]
