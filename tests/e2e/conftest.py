"""The browser that tests of the page share, and views in it that may not complain."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

import watchkeeper
from tests.e2e.page_browser import WIDE, Open, View, chromium_path, launch
from tests.e2e.product import Product

STATIC = Path(watchkeeper.__file__).parent / "gateway" / "static"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert (STATIC / "index.html").exists(), "the page is not built; run `make page`"
    if chromium_path() is None:
        pytest.skip("there is no Chromium: install it, or name it in WATCHKEEPER_CHROMIUM")
    with sync_playwright() as playwright:
        started = launch(playwright)
        yield started
        started.close()


@pytest.fixture
def view(browser: Browser) -> Iterator[Open]:
    """Open views; at the end none may have complained of anything but what the test expected."""
    opened: list[View] = []

    def make(product: Product, *, size: dict[str, int] = WIDE, scheme: str = "light", expected: str = "") -> View:
        context = browser.new_context(viewport=size, color_scheme=scheme, locale="en-GB")  # type: ignore[arg-type]
        one = View(context.new_page(), product.url)
        one.expected = expected  # type: ignore[attr-defined]
        opened.append(one)
        return one

    yield make
    complaints = [text for one in opened for text in one.complaints if not _expected(one, text)]
    for one in opened:
        one.page.context.close()
    assert complaints == []


def _expected(one: View, complaint: str) -> bool:
    expected = getattr(one, "expected", "")
    return bool(expected and re.search(expected, complaint))
