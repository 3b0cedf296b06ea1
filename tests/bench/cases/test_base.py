"""Labelled cases: the onset told at another time, and splits that share no group."""

from watchkeeper.bench.cases.base import Case, leave_one_group_out, with_onset
from watchkeeper.diagnose.window import IncidentWindow

CASES = [
    Case(f"{group}/{number}", group, IncidentWindow(0, 10**11, 2 * 10**11, ())) for group in "abc" for number in "12"
]


def test_an_onset_moves_and_stays_inside():
    assert with_onset(CASES[0], 5).window.onset_unix_ns == 105 * 10**9
    assert with_onset(CASES[0], -5).window.onset_unix_ns == 95 * 10**9
    assert with_onset(CASES[0], 1e6).window.onset_unix_ns == 2 * 10**11 - 1
    assert with_onset(CASES[0], -1e6).window.onset_unix_ns == 1


def test_no_group_is_on_both_sides():
    splits = list(leave_one_group_out(CASES))
    assert [group for group, _, _ in splits] == ["a", "b", "c"]
    for group, learn, ask in splits:
        assert {case.group for case in ask} == {group}
        assert group not in {case.group for case in learn}
        assert len(learn) + len(ask) == len(CASES)


def test_a_window_without_truth_is_fault_free():
    assert CASES[0].is_fault_free
    assert not Case("x", "a", CASES[0].window, truth_nodes=("service:a",)).is_fault_free
