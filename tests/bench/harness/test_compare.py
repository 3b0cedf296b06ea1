"""Two runs beside each other: figures and cells that one of them lacks are told, and count as worse where they were."""

from __future__ import annotations

import pytest

from watchkeeper.bench.base import BenchError, Figure, Measured, Metric, Task
from watchkeeper.bench.compare import compare, pairs, unpaired
from watchkeeper.bench.merge import merged

TASK = Task("t", "root cause analysis", "", (Metric("hit", "", headline=True), Metric("delay", "", False)), None)


def record(identifier="t/d@1/m/none", state="done", cases=None, **figures):
    told = {"figures": {name: [value, None, None] for name, value in figures.items()}} if state == "done" else {}
    return {"id": identifier, "task": "t", "state": state, "reason": "", "cases": cases or {}, **told}


def verdicts(first, second):
    return {line.metric.name: line.verdict for line in compare(TASK, first, second)}


def test_direction_and_tolerance_decide():
    assert verdicts(record(hit=0.5, delay=3.0), record(hit=0.505, delay=2.0)) == {"hit": "same", "delay": "better"}
    assert verdicts(record(hit=0.5, delay=3.0), record(hit=0.4, delay=4.0)) == {"hit": "worse", "delay": "worse"}


def test_a_figure_that_is_gone_or_no_number_is_worse_and_a_new_one_is_told():
    before, after = record(hit=0.5, delay=3.0), record(hit=0.5, delay=None)
    assert verdicts(before, after) == {"hit": "same", "delay": "lost"}
    assert verdicts(before, record(hit=0.5)) == {"hit": "same", "delay": "lost"}
    assert verdicts(after, before) == {"hit": "same", "delay": "new"}
    lost = compare(TASK, before, after)[1]
    assert (lost.is_worse, lost.change) == (True, None)
    assert not compare(TASK, after, before)[1].is_worse


def test_pairs_are_of_equal_cases_and_none_of_them_without_a_number():
    one = record(hit=0.5, cases={"ids": ["a", "b"], "hit": [0.0, 1.0]})
    other = record(hit=1.0, cases={"ids": ["b", "a"], "hit": [1.0, 1.0]})
    assert compare(TASK, one, other)[0].paired.mean == 0.5
    hole = record(hit=1.0, cases={"ids": ["a", "b"], "hit": [None, 1.0]})
    assert compare(TASK, one, hole)[0].paired is None
    more = record(hit=1.0, cases={"ids": ["a", "b", "c"], "hit": [1.0, 1.0, 1.0]})
    assert compare(TASK, one, more)[0].paired is None


def test_cells_that_failed_or_are_missing_are_told():
    first = {name: record(name, hit=1.0) for name in ("kept", "broke", "gone")}
    second = {"kept": record("kept", hit=1.0), "broke": record("broke", "failed"), "fresh": record("fresh", hit=1.0)}
    second["broke"]["reason"] = "it broke"
    assert [one["id"] for one, _ in pairs(first, second)] == ["kept"]
    told = {each.id: each for each in unpaired(first, second)}
    assert sorted(told) == ["broke", "fresh", "gone"]
    assert told["broke"].why == "first: done; second: failed, it broke"
    assert told["gone"].why.endswith("second: no record")
    assert [name for name, each in sorted(told.items()) if each.is_worse] == ["broke"]


def test_a_failed_cell_has_nothing_to_compare():
    with pytest.raises(BenchError, match="has no figures: failed"):
        compare(TASK, record(hit=1.0), record(state="failed"))
    with pytest.raises(BenchError, match="no cell in common"):
        pairs({"a": record("a"), "b": record("b")}, {"c": record("c"), "d": record("d")})


def test_seeds_are_brought_to_their_mean_with_the_widest_interval():
    both = merged([Measured({"hit": Figure(0.2, 0.1, 0.4)}), Measured({"hit": Figure(0.4, 0.3, 0.9)})])
    assert both.figures["hit"] == (pytest.approx(0.3), 0.1, 0.9)


def test_a_figure_that_only_one_seed_has_is_of_that_seed():
    """Seconds of what was resolved: a seed that resolves nothing has none, whichever comes first."""
    with_it, without = Measured({"hit": Figure(1.0), "delay": Figure(7.0)}), Measured({"hit": Figure(0.0)})
    for runs in ((with_it, without), (without, with_it)):
        assert {name: each.value for name, each in merged(runs).figures.items()} == {"hit": 0.5, "delay": 7.0}
