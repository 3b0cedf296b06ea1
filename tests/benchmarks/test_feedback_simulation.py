"""Simulated operators: what is told again and again is lowered, faults keep telling, and errors spoil neither."""

from __future__ import annotations

import pytest
from benchmarks.feedback_installs import Alarm, Install, Told, halved
from benchmarks.feedback_simulation import LABELS, ORDERS, drawn, figures, measured, simulate
from tests.diagnose.incident_findings import finding

from watchkeeper.feedback.entries import described


def alarm(at: int, template: str, event: str = "") -> Alarm:
    one = finding(at, kind="log.session", template=template, template_id=1, subject=template)
    return Alarm((Told(one, frozenset({event} if event else ()), described(one)),))


@pytest.fixture(scope="module")
def install() -> Install:
    """Three things in turn: two of them noise, one a fault."""
    alarms = [alarm(at, ("a", "b", "fault")[at % 3], f"e{at}" if at % 3 == 2 else "") for at in range(240)]
    ends = {f"e{at}": each.first_unix_ns for at, each in enumerate(alarms) if at % 3 == 2}
    return halved(alarms, ends)


def test_an_install_is_halved_in_time(install: Install):
    assert (len(install.judged), len(install.held_out), len(install.events)) == (120, 120, 40)
    assert figures(install.held_out, install.events) == (80, 1.0, pytest.approx(0.5))


@pytest.mark.parametrize("order", ORDERS)
def test_operators_without_error_are_rid_of_all_noise_and_of_no_fault(install: Install, order: str):
    rows = simulate(install, 0.0, 0, order)
    told = [by_policy for by_policy, _ in rows]
    assert (told[0].false_alarms, told[LABELS.index(20)].false_alarms) == (80, 0)
    assert {each.recall for each in told} == {1.0}


def test_operators_who_err_in_one_of_five_cases_cost_less_than_silences_do(install: Install):
    result = measured(install, 5)
    rows, silences = (result[f"asked{way}_20%_wrong"]["100"] for way in ("", "_silences"))
    assert rows["recall"][0] > silences["recall"][0]
    assert rows["false_alarms"][0] < 80
    assert "some (seen)" in drawn({"some": result})
