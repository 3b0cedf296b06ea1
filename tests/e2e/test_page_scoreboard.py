"""The view of the scoreboard in a real Chromium: measured cells, filters, order, marks, plots, and nothing measured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.page_browser import BARE_TABLES, LOW_CONTRAST, NARROW, TOO_WIDE, UNNAMED, Open
from tests.e2e.product import Product
from watchkeeper.bench.cells import Chosen, plan
from watchkeeper.bench.discover import catalogue
from watchkeeper.bench.output.board import board
from watchkeeper.bench.output.plain import write_board
from watchkeeper.bench.room import Folders, Limits
from watchkeeper.bench.runner import run_cells, todo

pytestmark = pytest.mark.browser

TOY = str(Path(__file__).parents[1] / "bench" / "harness" / "toy.py")
BOARD = "[data-board='anomaly-detection/toy@1']"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product in whose home a few cells were measured: one fails, one loses, some do not apply."""
    home = tmp_path_factory.mktemp("board") / "home"
    folders = Folders(home / "bench" / "records", home / "data", home / "bench" / "cache", (TOY,))
    known = catalogue([TOY])
    models = ["toy_distance", "toy_drawn", "toy_broken", "toy_absent", "always", "never"]
    cells = plan(known, Chosen(data=["toy"], models=models, enhancements=["none", "toy_doubled"]), folders.data)
    cells += plan(known, Chosen(data=["capacity"], enhancements=["none"]), folders.data)
    run_cells(todo(cells, folders.out), folders, Limits(), lambda cell, record: None)
    write_board(folders.out, board(cells, folders.out))
    product = Product(home)
    yield product
    product.stop()


def test_nothing_measured_tells_the_command(tmp_path: Path, view: Open) -> None:
    product = Product(tmp_path / "home")
    page = view(product).open("/scoreboard")
    expect(page.locator("[data-empty=scoreboard]")).to_contain_text("watchkeeper bench run --suite quick")
    product.stop()


def test_cells_are_shown_with_intervals_marks_and_reasons(measured: Product, view: Open) -> None:
    page = view(measured).open("/scoreboard?data=toy@1")
    table = page.locator(BOARD)
    rows = table.locator("tbody tr")
    expect(rows.first.locator("th")).to_have_text("toy_distance")
    expect(rows.first.get_by_role("img")).to_have_attribute("aria-label", "0.833, 95 % interval 0.631 to 0.974")
    expect(table.locator("[data-cell$='/always/none'] .mark")).to_have_text("baseline")
    expect(table.locator("[data-cell$='/toy_drawn/none'] .mark")).to_have_text("loses to always")
    expect(table.locator("[data-cell$='/toy_broken/none'] .mark")).to_contain_text("the model is broken")
    table.locator("summary").click()
    expect(table.locator("details")).to_contain_text("needs no_such_package_at_all, which is not installed: toy_absent")
    expect(table.locator("[data-plots] figcaption")).to_have_text(["Accuracy against cost", "Precision against recall"])


def test_the_best_of_each_data_set_is_shown_first(measured: Product, view: Open) -> None:
    page = view(measured).open("/scoreboard")
    lines = page.locator("[data-line]")
    expect(lines).to_have_count(2)
    toy = page.locator("[data-line='anomaly-detection/toy@1']")
    expect(toy.locator("td").first).to_have_text("toy_distance")
    expect(toy.get_by_role("img")).to_have_attribute("aria-label", "0.833, 95 % interval 0.631 to 0.974")
    expect(toy.locator("td").nth(3)).to_have_text("3")
    lines.nth(1).get_by_role("link", name="capacity@1").click()
    expect(page.locator("[data-board]")).to_have_count(1)
    expect(page.locator("[data-glance]")).to_have_count(0)


def test_filters_and_order_are_the_address(measured: Product, view: Open) -> None:
    page = view(measured).open("/scoreboard?model=toy_distance")
    cells = page.locator(f"{BOARD} tbody tr")
    expect(cells).to_have_count(2)
    page.get_by_label("Enhancement").select_option("toy_doubled")
    expect(cells).to_have_count(1)
    assert "enhancement=toy_doubled" in page.url
    page.get_by_role("button", name="Clear the filters").click()
    page.get_by_label("Order").select_option("model")
    expect(cells.first.locator("th")).to_have_text("always")
    page.get_by_role("link", name="anomaly-detection: toy@1").click()
    assert "task=anomaly-detection" in page.url
    assert "data=toy@1" in page.url.replace("%40", "@")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_in_both_themes_and_narrow(measured: Product, view: Open, scheme: str, tmp_path: Path) -> None:
    for size in ({}, {"size": NARROW}):
        one = view(measured, scheme=scheme, **size)
        page = one.open("/scoreboard")
        page.locator(BOARD).wait_for()
        for script in (UNNAMED, BARE_TABLES, TOO_WIDE, LOW_CONTRAST):
            assert one.amiss(script) == []
        page.screenshot(path=tmp_path / f"{scheme}-{len(size)}.png", full_page=True)
