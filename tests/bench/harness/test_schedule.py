"""Which cell comes next, how many at once, how long each may take, and what is expected of those never run."""

from __future__ import annotations

import pytest

from watchkeeper.bench.audit import WANTED
from watchkeeper.bench.cells import Chosen, plan
from watchkeeper.bench.durations import FILE, UNKNOWN_S, Durations
from watchkeeper.bench.output.board import board
from watchkeeper.bench.output.markdown import markdown_page
from watchkeeper.bench.room import Limits
from watchkeeper.bench.runner import Ahead, data_set, run_cells, todo


def cells(known, folder, **chosen):
    return [cell._replace(skipped="") for cell in plan(known, Chosen(**chosen), folder)]


def test_as_many_cells_at_once_as_memory_and_cores_allow():
    assert Limits(cell_mib=4_096, memory_mib=8_192, at_once=5).workers == 2
    assert Limits(cell_mib=1_000, memory_mib=64_000, at_once=3).workers == 3
    assert Limits(cell_mib=4_096, memory_mib=1_000, at_once=3).workers == 1


def test_the_tasks_take_turns_so_that_a_limit_of_time_leaves_none_out(known, tmp_path):
    quick = cells(known, tmp_path, suite="quick", enhancements=["none"])
    ahead = Ahead(quick, {})
    first = [ahead.take("") for _ in WANTED]
    assert {cell.task.name for cell in first} == set(WANTED)


def test_whoever_has_read_a_data_set_goes_on_with_it_and_nobody_reads_it_again_for_little(known, tmp_path):
    toys = cells(known, tmp_path, data=["toy"], enhancements=["none"], models=["toy_d*", "always", "never"])
    name = data_set(toys[0])
    ahead = Ahead(toys, {cell.id: 1.0 for cell in toys})
    mine = [ahead.take("")]
    assert ahead.take("") is None  # what is left of it takes a few seconds
    while (cell := ahead.take(name)) is not None:
        mine.append(cell)
    assert [each.id for each in mine] == [each.id for each in toys]
    long = Ahead(toys, {cell.id: 60.0 for cell in toys})
    assert long.take("") is not None
    assert long.take("") is not None  # minutes are left: worth to be read a second time


def test_time_left_is_told_from_what_cells_took_or_their_like(known, tmp_path):
    toys = cells(known, tmp_path, data=["toy"], enhancements=["none"], models=["toy_distance", "always", "never"])
    unknown = pytest.approx({cell.id: UNKNOWN_S for cell in toys})
    assert Durations(tmp_path).expected_s(toys) == unknown
    kept = Durations(tmp_path)
    kept.keep({"id": toys[0].id, "state": "done", "seconds": {"total": 40.0}})
    kept.keep({"id": toys[1].id, "state": "skipped", "limit_s": 10.0})
    kept.keep({"id": toys[2].id, "state": "failed", "reason": "no seconds are known of it"})
    told = Durations(tmp_path).expected_s(toys)
    assert (told[toys[0].id], told[toys[1].id]) == (40.0, 10.0)
    assert told[toys[2].id] == pytest.approx(20.0)  # the geometric mean of its data set
    (tmp_path / FILE).write_text("{")
    assert Durations(tmp_path).expected_s(toys) == unknown


def test_a_cell_that_a_suite_has_no_time_for_is_skipped_by_name_and_taken_again_with_more(known, folders):
    waiting = cells(known, folders.data, data=["toy"], models=["toy_waiting"], enhancements=["none"])
    told = []
    run_cells(waiting, folders, Limits(cell_s=0.5, suite="quick"), lambda cell, record: told.append(record))
    assert [record["state"] for record in told] == ["skipped"]
    assert told[0]["reason"].startswith("took longer than the 0.5 s that the suite quick gives a cell")
    assert todo(waiting, folders.out, cell_s=0.5) == []
    assert todo(waiting, folders.out, cell_s=1.0) == waiting
    assert "Skipped, 1 cell (toy_waiting): took longer" in markdown_page(board(waiting, folders.out))


def test_no_cell_is_begun_once_the_minutes_are_over(known, folders):
    toys = cells(known, folders.data, data=["toy"], models=["always", "never"], enhancements=["none"])
    told = []
    run_cells(toys, folders, Limits(minutes=1e-9), lambda cell, record: told.append(cell))
    assert told == []
    assert todo(toys, folders.out) == toys
