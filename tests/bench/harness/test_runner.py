"""From cells to records, in processes of their own, with one file of a user's."""

from __future__ import annotations

import orjson
import pytest

from watchkeeper.bench.base import BenchError
from watchkeeper.bench.cells import Chosen, cell_of, plan
from watchkeeper.bench.compare import compare, find, pairs
from watchkeeper.bench.output.board import board
from watchkeeper.bench.output.markdown import markdown_page
from watchkeeper.bench.output.page import html_page
from watchkeeper.bench.records import find_record, path_of, read_record
from watchkeeper.bench.room import Limits
from watchkeeper.bench.runner import run_cells, todo
from watchkeeper.errors import UnknownName


def run(known, folders, models, limits=None, **more):
    chosen = Chosen(data=["toy"], models=models, **more)
    cells = plan(known, chosen, folders.data)
    told = []
    run_cells(todo(cells, folders.out), folders, limits or Limits(), lambda cell, record: told.append(record))
    return cells, {record["id"].split("/", 2)[2]: record for record in told}


def test_cells_are_measured_once_and_shown(known, folders):
    cells, told = run(known, folders, ["toy_d*", "toy_absent", "always", "never"])
    assert told["toy_distance/none"]["figures"]["f1"][0] > 0.8
    assert told["toy_distance/toy_doubled"]["figures"]["pr_auc"] == told["toy_distance/none"]["figures"]["pr_auc"]
    assert told["toy_drawn/none"]["seeds"] == [0, 1, 2]
    assert len(set(told["toy_drawn/none"]["seed_figures"]["pr_auc"])) == 3
    record = told["toy_distance/none"]
    assert record["id"] == "anomaly-detection/toy@1/toy_distance/none"
    assert record["model_bytes"] >= 16
    assert record["peak_memory_bytes"] > 2**24
    assert {"commit", "versions", "machine", "seconds", "parameters", "date"} <= set(record)
    assert todo(cells, folders.out) == []
    [table] = [each for each in board(cells, folders.out) if each.data.name == "toy"]
    assert table.rows[0].cell.model.name == "toy_distance"
    marks = {row.cell.id.split("/", 2)[2]: row for row in table.rows}
    assert marks["toy_drawn/none"].loses_to in {"always", ""}
    assert marks["toy_absent/none"].reason.startswith("needs no_such_package_at_all")
    assert marks["toy_drawn/toy_doubled"].reason == "doubles distances only"
    page, text = html_page([table]), markdown_page([table])
    assert "no_such_package_at_all" in page
    assert "<svg" in page
    assert "<script" not in page
    assert "(toy_absent): needs no_such_package_at_all, which is not installed." in text
    assert "doubles distances only" in text
    assert "cells: fine-tuning does not apply to the model: it cannot go on" in text
    assert "baseline" in text


def test_a_cell_fails_with_its_reason_and_is_not_a_number(known, folders):
    limits = Limits(cell_s=20.0, cell_mib=600)
    cells, told = run(known, folders, ["toy_broken", "toy_short", "toy_greedy"], limits, enhancements=["none"])
    assert told["toy_broken/none"]["reason"] == "RuntimeError: the model is broken"
    assert "50 scores were asked for" in told["toy_short/none"]["reason"]
    assert "more than 600 MiB" in told["toy_greedy/none"]["reason"]
    assert all("figures" not in record for record in told.values())
    assert todo(cells, folders.out) == []
    assert len(todo(cells, folders.out, retry=True)) == 3
    [table] = board(cells, folders.out)
    assert {row.state for row in table.rows} == {"failed"}


def test_a_cell_that_takes_too_long_is_ended(known, folders):
    _, told = run(known, folders, ["toy_waiting"], Limits(cell_s=1.0), enhancements=["none"])
    assert told["toy_waiting/none"]["reason"] == "took longer than the 1 s"


def test_an_interrupt_ends_what_runs_and_leaves_no_record(known, folders):
    cells = plan(
        known, Chosen(data=["toy"], models=["toy_waiting", "toy_distance"], enhancements=["none"]), folders.data
    )
    waiting = [cell for cell in cells if cell.model.name == "toy_waiting"]
    other = [cell for cell in cells if cell.model.name == "toy_distance"]

    def interrupt(cell, record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cells([*waiting, *other], folders, Limits(at_once=2), interrupt)
    assert find_record(folders.out, waiting[0].id) is None
    assert find_record(folders.out, other[0].id)["state"] == "done"


def test_records_compare_with_direction_tolerance_and_pairs(known, folders):
    run(known, folders, ["toy_distance", "never"], enhancements=["none"])
    prefix = "anomaly-detection/toy@1/"
    first, second = find(f"{prefix}never/none", folders.out), find(f"{prefix}toy_distance/none", folders.out)
    [(one, other)] = pairs(first, second)
    lines = {line.metric.name: line for line in compare(known.tasks.get("anomaly-detection"), one, other)}
    assert lines["f1"].verdict == "better"
    assert lines["f1"].paired.mean > 0
    assert lines["false_alarms"].verdict in {"same", "worse"}
    assert not {line.verdict for line in compare(known.tasks.get("anomaly-detection"), one, one)} - {"same"}
    assert len(pairs(find(str(folders.out), folders.out), find(str(folders.out), folders.out))) == 2


def test_a_record_names_its_cell_and_damage_is_told(known, folders):
    run(known, folders, ["never"], enhancements=["none"])
    identifier = "anomaly-detection/toy@1/never/none"
    path = path_of(folders.out, identifier)
    assert cell_of(known, read_record(path)["id"]).id == identifier
    with pytest.raises(BenchError, match="version 2"):
        cell_of(known, identifier.replace("@1", "@2"))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(BenchError, match="no record"):
        read_record(path)
    path.write_bytes(orjson.dumps({"schema_version": 99, "id": identifier}))
    with pytest.raises(BenchError, match="update"):
        read_record(path)


def test_what_is_chosen_must_exist(known, folders):
    with pytest.raises(UnknownName, match="did you mean 'always'"):
        plan(known, Chosen(models=["alway"]), folders.data)
    with pytest.raises(BenchError, match="no data set"):
        plan(known, Chosen(data=["toys"]), folders.data)
    with pytest.raises(BenchError, match="suite"):
        plan(known, Chosen(suite="slow"), folders.data)


def test_an_absent_data_set_is_a_reason(known, folders):
    cells = plan(known, Chosen(data=["hdfs"], models=["never"], enhancements=["none"]), folders.data)
    assert [cell.skipped for cell in cells] == [
        "the data set hdfs_2pct_raw is not here; fetch it with `watchkeeper data fetch hdfs_2pct_raw`"
    ]
