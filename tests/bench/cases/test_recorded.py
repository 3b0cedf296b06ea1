"""The recorded faults of PetShop and Sock Shop as cases, and what is made of a few of them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from watchkeeper.bench.cases import petshop, sockshop
from watchkeeper.bench.cases.injected import injected
from watchkeeper.diagnose.diagnoser import Diagnoser
from watchkeeper.diagnose.window import Aspect
from watchkeeper.signals.topology import NodeKind

pytestmark = pytest.mark.data


def folder(name: str) -> Path:
    data = os.environ.get("WATCHKEEPER_DATA", "")
    if not data or not (Path(data) / f"{name}.tar.xz").is_file():
        pytest.skip(f"WATCHKEEPER_DATA has no {name}")
    return Path(data)


@pytest.fixture(scope="module")
def pets():
    return petshop.issues(folder("petshop"))


@pytest.fixture(scope="module")
def socks():
    return sockshop.faults(folder("rcd_sockshop"))


def test_petshop_has_its_issues_and_a_baseline_before_each(pets):
    assert len(pets) == 20
    assert {case.kind for case in pets} == {"latency", "availability"}
    for case in pets:
        window = case.window
        assert set(case.truth_nodes) <= set(window.nodes)
        assert window.symptom == "service:PetSite"
        for one in window.series:
            assert (np.diff(one.times_unix_ns) > 0).all()
        asked = [one for one in window.series if one.node == window.symptom]
        assert all((one.times_unix_ns >= window.onset_unix_ns).sum() >= 2 for one in asked)
        assert all((one.times_unix_ns < window.onset_unix_ns).sum() > 500 for one in asked)


def test_the_hour_of_the_day_of_the_baseline_is_kept(pets):
    window = pets[0].window
    [moved] = [one for one in window.series if one.node == window.symptom and one.name == "requests Sum"]
    assert moved.aspect is Aspect.TRAFFIC
    assert moved.times_unix_ns[0] // 10**9 % 86_400 == (1693922400 + petshop.STEP_S // 2) % 86_400


def test_what_only_callers_see_is_external(pets):
    kinds = {node.kind for node in pets[0].window.topology.nodes}
    assert {NodeKind.SERVICE, NodeKind.EXTERNAL, NodeKind.DATABASE} <= kinds


def test_sockshop_has_its_faults(socks):
    assert len(socks) == 50
    assert {case.group for case in socks} == {"carts", "catalogue", "orders", "payment", "user"}
    assert len(socks[0].window.series) == 38
    assert socks[0].truth_indicators == ("carts_cpu",)


@pytest.mark.parametrize("place", [0, 9, 17])
def test_a_few_petshop_issues_are_explained_whatever_the_units(pets, place):
    case = pets[place]
    ranking = Diagnoser().diagnose(case.window)
    assert ranking.causes[0].node in case.truth_nodes
    assert not ranking.abstains
    scaled = tuple(
        replace(one, values=one.values * 2.0**20) if number % 3 else one
        for number, one in enumerate(case.window.series)
    )
    again = Diagnoser().diagnose(replace(case.window, series=scaled))
    assert [(cause.node, cause.score) for cause in again.causes] == [
        (cause.node, cause.score) for cause in ranking.causes
    ]


@pytest.mark.parametrize("place", [0, 13, 27, 45])
def test_a_few_sockshop_faults_are_explained(socks, place):
    ranking = Diagnoser().diagnose(socks[place].window)
    assert ranking.causes[0].node in socks[place].truth_nodes
    assert not ranking.abstains


def test_fault_free_windows_are_left_alone():
    windows = [*petshop.fault_free(folder("petshop"), share=0.5), *sockshop.fault_free(folder("rcd_sockshop"))[::5]]
    abstained = [Diagnoser().diagnose(case.window).abstains for case in windows]
    assert len(windows) >= 12
    assert np.mean(abstained) >= 0.8


def test_faults_written_at_other_places_are_found_there():
    free = petshop.fault_free(folder("petshop"), share=0.5)
    assert {case.is_fault_free for case in free} == {True}
    made = [each for case in free for each in injected(case, Aspect.LATENCY if "latency" in case.id else Aspect.ERRORS)]
    places = {case.truth_nodes[0] for case in made}
    assert len(places) > 8
    right = [Diagnoser().diagnose(case.window).causes[0].node in case.truth_nodes for case in made[::11]]
    assert np.mean(right) >= 0.9
