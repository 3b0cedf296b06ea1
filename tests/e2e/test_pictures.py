"""The pictures of docs/images: the demo with a fault on, in headless Chromium. `make pictures` takes them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.product import Product, wait_for, watchkeeper
from tests.e2e.test_demo import played
from tests.e2e.test_page_learning import LINES, STRANGE, Shop, counted

FOLDER = Path(__file__).parents[2] / "docs" / "images"
SIZE = {"width": 1400, "height": 1100}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(os.environ.get("WATCHKEEPER_PICTURES") != "1", reason="WATCHKEEPER_PICTURES is not 1")
def test_picture_of_an_incident_with_its_cause(tmp_path: Path, browser: Browser) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with played(tmp_path, "--fault", "error-rate", "--warmup", "60") as demo:
        demo.wait(lambda: re.search(r"Incident: (\S+)", demo.said()), 240)
        told = re.search(r"Incident: (\S+)", demo.said())
        assert told is not None
        page = browser.new_context(viewport=SIZE, color_scheme="dark", locale="en-GB").new_page()  # type: ignore[arg-type]
        page.goto(told[1])
        page.locator("[data-hypothesis]").first.wait_for()
        page.wait_for_timeout(4_000)
        page.screenshot(path=FOLDER / "incident.png")
        page.goto(told[1].rpartition("/incidents/")[0])
        page.locator("[data-incident]").first.wait_for()
        page.wait_for_timeout(4_000)
        page.screenshot(path=FOLDER / "home.png")
        demo.process.terminate()
        demo.wait(lambda: demo.process.poll() is not None, 60)
        demo.nothing_is_left()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(os.environ.get("WATCHKEEPER_PICTURES") != "1", reason="WATCHKEEPER_PICTURES is not 1")
def test_picture_of_what_is_learned(tmp_path: Path, browser: Browser) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    product = Product(tmp_path / "home", ready_within_s=120.0, model_online_every_s=0)
    try:
        shop = Shop(product, tmp_path / "shop")
        try:
            wait_for(lambda: counted(product) >= 4 * LINES, within_s=200, what="lines of the shop")
        finally:
            shop.stop()
        assert watchkeeper("--server", product.url, "watch", "add", "*").returncode == 0
        assert watchkeeper("--server", product.url, "train").returncode == 0
        page = browser.new_context(viewport=SIZE, color_scheme="dark", locale="en-GB").new_page()  # type: ignore[arg-type]
        page.goto(f"{product.url}/learning")
        page.locator("[data-quality]").wait_for(timeout=400_000)
        page.get_by_label("A line of log").fill(STRANGE)
        page.get_by_role("button", name="Explain it").click()
        page.locator("[data-why-model]").wait_for()
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=FOLDER / "learning.png")
    finally:
        product.stop()
