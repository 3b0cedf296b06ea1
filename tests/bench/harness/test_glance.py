"""The scoreboard at a glance: the best of each data set, its best baseline, and whether it is beaten."""

from __future__ import annotations

import pytest

from watchkeeper.bench.cells import Chosen, plan
from watchkeeper.bench.output.board import board
from watchkeeper.bench.output.glance import HEADER, glances, plain_glance
from watchkeeper.bench.output.markdown import markdown_page
from watchkeeper.bench.output.page import html_page
from watchkeeper.bench.records import SCHEMA_VERSION, write_record


def record(cell, metric, figure):
    return {
        "schema_version": SCHEMA_VERSION,
        "id": cell.id,
        "state": "done",
        "figures": {metric: figure},
        "date": "2026-11-22",
        "commit": "",
        "machine": {"processor": "one", "cores": 2, "memory_gib": 1},
        "versions": {},
        "seconds": {"fit": 0.0, "answer": 0.0},
        "peak_memory_bytes": 1,
        "model_bytes": 1,
    }


def tables_of(known, folders, data, figures):
    """Give the tables of cells with such figures of their headline, by model."""
    cells = [
        cell
        for cell in plan(known, Chosen(data=[data], enhancements=["none"]), folders.data)
        if cell.model.name in figures
    ]
    for cell in cells:
        write_record(folders.out, record(cell, cell.task.metric(cell.data.headline).name, figures[cell.model.name]))
    return board(cells, folders.out)


@pytest.mark.parametrize(
    ("own", "beaten"),
    [
        ([0.7, 0.6, 0.8], "yes"),
        ([0.7, 0.4, 0.8], "not surely"),
        ([0.7, None, None], "not surely"),
        ([0.5, 0.4, 0.6], "no"),
        ([0.2, 0.1, 0.3], "no"),
    ],
)
def test_the_best_is_held_against_the_best_baseline(known, folders, own, beaten):
    figures = {"toy_distance": own, "toy_drawn": [0.1, 0.0, 0.2], "always": [0.5, 0.5, 0.5], "never": [0.0, 0.0, 0.0]}
    [each] = glances(tables_of(known, folders, "toy", figures))
    told = plain_glance(each)
    assert (told["best"], told["cells"]) == ({"id": "anomaly-detection/toy@1/toy_distance/none", "figure": own}, 2)
    assert told["baseline"]["figure"][0] == 0.5
    assert told["beaten"] == beaten
    assert len(each.words()) == len(HEADER)


@pytest.mark.parametrize(("own", "beaten"), [([17, 14, 20], "yes"), ([39, 30, 48], "not surely"), ([41, 30, 48], "no")])
def test_where_lower_is_better_the_upper_end_counts(known, folders, own, beaten):
    [each] = glances(tables_of(known, folders, "cmapss", {"lightgbm_left": own, "mean_life": [40, 35, 45]}))
    assert each.beaten == beaten
    assert each.words()[2] == "rmse (low)"


def test_what_has_no_baseline_says_so_and_what_has_no_figure_has_no_line(known, folders):
    assert glances(tables_of(known, folders, "cmapss", {"mean_life": [None, None, None]})) == []
    [each] = glances(tables_of(known, folders, "toy", {"toy_distance": [0.7, 0.6, 0.8]}))
    assert (each.baseline, each.beaten) == (None, "-")
    assert each.words()[-3:] == ["-", "-", "-"]


def test_both_pages_begin_with_it_and_link_to_the_tables(known, folders):
    tables = tables_of(known, folders, "toy", {"toy_distance": [0.7, 0.6, 0.8], "never": [0.0, 0.0, 0.0]})
    text, page = markdown_page(tables), html_page(tables)
    assert "| [toy@1](#anomaly-detection-toy1) | f1 | toy_distance | 0.700 [0.600, 0.800] |" in text
    assert text.index("## At a glance") < text.index("## anomaly-detection: toy@1")
    assert '<a href="#anomaly-detection-toy-1">toy@1</a>' in page
    assert 'id="anomaly-detection-toy-1"' in page
