"""The pictures of docs/images: the demo with a fault on, in headless Chromium. `make pictures` takes them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.test_demo import played

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
