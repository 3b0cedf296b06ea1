"""Learning on the page, in a real Chromium: workloads ticked, trained, promoted; feedback given and applied."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.page_browser import BARE_TABLES, LOW_CONTRAST, NARROW, TOO_WIDE, UNNAMED, WIDE, Open
from tests.e2e.product import Product, environment, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

SHOP = Path(__file__).parents[2] / "examples" / "shop"
QUICK = {
    "detect_warmup_s": 15,
    "detect_window_s": 5,
    "training_promote": "ask",
    "finding_close_s": 3600,
    "model_online_every_s": 0,
}
LINES = 150
TRAINED_WITHIN_MS = 280_000
expect.set_options(timeout=30_000)
STRANGE = "kernel panic in sector 7G, giving up on the flux capacitor"


class Shop:
    """The example shop, which tells a product what it does; ended with all its processes."""

    def __init__(self, product: Product, folder: Path) -> None:
        options = [
            "--otlp",
            product.endpoints["otlp_http"],
            "--folder",
            folder,
            "--rate",
            "40",
            "--no-nginx",
            "--no-redis",
        ]
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "shop", "up", *map(str, options), "--port-base", "0"],
            cwd=SHOP,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def stop(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=60)
        shutil.rmtree(self._folder, ignore_errors=True)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Product]:
    pytest.importorskip("torch", reason="training needs the extra `learning`")
    assert browser.is_connected()
    running = Product(tmp_path_factory.mktemp("learning") / "home", ready_within_s=120.0, **QUICK)
    shop = Shop(running, tmp_path_factory.mktemp("shop"))
    try:
        wait_for(lambda: counted(running) >= LINES, within_s=90, what=f"{LINES} lines of the shop")
    finally:
        shop.stop()
    yield running
    running.stop()


def counted(product: Product) -> int:
    return sum(item["log_count"] for item in product.get("/api/v1/workloads")["items"])


def sound(page: Page) -> None:
    for script in (UNNAMED, BARE_TABLES, TOO_WIDE, LOW_CONTRAST):
        assert page.evaluate(script) == []


def test_from_a_tick_to_a_promoted_model(product: Product, view: Open) -> None:
    opened = view(product)
    page = opened.page
    page.goto(f"{product.url}/learning")
    expect(page.locator("[data-job=none]")).to_be_visible()
    expect(page.locator("[data-workloads=healthy]")).to_contain_text("frontend")
    page.get_by_label("Your name, for the audit").fill("ada")
    page.get_by_label("Search workloads").fill("front")
    expect(page.locator("[data-workloads=healthy]")).not_to_contain_text("catalogue")
    page.get_by_label("Watch frontend of demo").check()
    page.get_by_label("Search workloads").fill("")
    page.get_by_label("Watch catalogue of demo").check()
    expect(page.locator("[data-will=train]")).to_contain_text("2 workloads ticked")
    sound(page)
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("[data-decision=trained]")).to_be_visible()
    expect(page.locator("[data-job=training]")).to_be_visible()
    expect(page.locator("[data-progress]")).to_contain_text("%")
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    page.get_by_role("button", name="Log of the job").click()
    expect(page.locator("[data-job=completed]")).to_be_visible(timeout=TRAINED_WITHIN_MS)
    expect(page.locator("[data-log]")).to_contain_text("accuracy on")
    expect(page.locator("[data-quality]")).to_contain_text("Words foretold")
    expect(page.locator("[data-choice]")).to_contain_text("Which is to judge?")
    sound(page)
    page.get_by_role("button", name="Promote version 1", exact=True).click()
    expect(page.locator("[data-in-force]")).to_have_text("Version 1 judges now.")
    expect(page.locator("[data-model='logs/default'] [data-version='1']")).to_have_attribute("data-state", "active")
    page.get_by_role("button", name="Audit").click()
    expect(page.locator("[data-audit]")).to_contain_text("ada")
    versions = product.get("/api/v1/models", name="logs/default")["items"]
    assert [(version["number"], version["state"]) for version in versions] == [(1, "active")]
    trained = product.get("/api/v1/watchlists/default")["trained"]
    assert {item["deployment"] for item in trained} == {"frontend", "catalogue"}


def test_a_list_with_nothing_new_is_kept_and_an_empty_one_asks_first(product: Product, view: Open) -> None:
    page = view(product).page
    page.goto(f"{product.url}/learning")
    expect(page.get_by_label("Watch catalogue of demo")).to_be_checked()
    page.get_by_label("Watch catalogue of demo").uncheck()
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("[data-decision=updated]")).to_be_visible()
    page.get_by_label("Watch frontend of demo").uncheck()
    expect(page.locator("[data-will=reset]")).to_be_visible()
    page.get_by_role("button", name="Watch nothing").click()
    expect(page.get_by_role("button", name="Delete the model and watch nothing")).to_be_visible()


def test_why_a_line_word_by_word(product: Product, view: Open) -> None:
    page = view(product, size=NARROW, scheme="dark").page
    page.goto(f"{product.url}/learning")
    page.get_by_label("A line of log").fill(STRANGE)
    page.get_by_role("button", name="Explain it").click()
    model = page.locator("[data-why-model='logs/default']")
    expect(model).to_contain_text("version 1", timeout=30_000)
    expect(model.locator(".token.missed").first).to_be_visible()
    model.get_by_text("Word by word").click()
    expect(model.locator("[data-tokens] tbody tr")).not_to_have_count(0)
    sound(page)


def test_why_a_line_of_the_logs(product: Product, view: Open) -> None:
    page = view(product).page
    page.goto(f"{product.url}/logs?service=frontend&from=1h")
    page.locator("[data-row]").first.click()
    page.get_by_role("button", name="Why is it judged so?").first.click()
    why = page.locator("[data-why]")
    expect(why).to_contain_text("Known since", timeout=30_000)
    expect(why.locator("[data-why-model='logs/default']")).to_contain_text("version 1")
    sound(page)


def test_the_online_model_is_saved_and_rolled_back(product: Product, view: Open) -> None:
    page = view(product).page
    page.goto(f"{product.url}/learning")
    page.get_by_label("Why, for the audit").fill("a normal day")
    page.get_by_role("button", name="Save what is learned online").click()
    online = page.locator("[data-model=online]")
    expect(online.locator("[data-version='1']")).to_have_attribute("data-state", "active")
    expect(online).to_contain_text("a normal day")
    page.get_by_role("button", name="Roll online back").click()
    expect(online.locator("[data-version='2']")).to_have_attribute("data-state", "retired")
    expect(online.locator("[data-version='1']")).to_have_attribute("data-state", "active")


def test_feedback_is_previewed_applied_and_taken_back(product: Product, view: Open) -> None:
    product.send_logs([STRANGE] * 3, service="frontend", severity_number=17)
    finding = wait_for(lambda: product.get("/api/v1/findings", service="frontend", limit=1)["items"], what="a finding")[
        0
    ]
    page = view(product).page
    page.goto(f"{product.url}/findings/{finding['id']}")
    feedback = page.locator("[data-feedback]")
    feedback.get_by_label("Who says so").fill("ada")
    feedback.get_by_label("Why it is right or wrong").fill("a drill")
    feedback.get_by_role("button", name="Wrong: expected behaviour").click()
    expect(feedback.locator("[data-entry=wrong]")).to_contain_text("a drill")
    feedback.get_by_role("button", name="Preview what would change").click()
    expect(feedback.locator("[data-preview]")).to_contain_text("would weigh less")
    sound(page)
    assert product.get("/api/v1/feedback/rounds")["items"] == [], "a preview applies nothing"
    feedback.get_by_role("button", name="Apply").click()
    expect(feedback.locator("[data-round=active]")).to_be_visible()
    rounds = product.get("/api/v1/feedback/rounds")
    assert (rounds["items"][0]["state"], rounds["pending"]) == ("active", 0)
    feedback.get_by_role("button", name="Undo").click()
    expect(feedback.locator("[data-entry=wrong]")).to_have_count(0)
    expect(feedback.locator("[data-pending='1']")).to_be_visible()


def test_who_may_only_look_is_offered_nothing_to_press(product: Product, view: Open) -> None:
    secret = httpx.post(f"{product.url}/api/v1/tokens", json={"name": "boss", "role": "admin"}, timeout=30).json()[
        "secret"
    ]
    header = {"Authorization": f"Bearer {secret}"}
    try:
        made = httpx.post(
            f"{product.url}/api/v1/tokens", json={"name": "eye", "role": "viewer"}, headers=header, timeout=30
        )
        page = view(product, size=WIDE, expected="401").page
        page.goto(f"{product.url}/learning")
        page.locator("input[type=password]").fill(made.json()["secret"])
        page.keyboard.press("Enter")
        expect(page.locator("[data-looks-only]")).to_be_visible()
        expect(page.get_by_label("Watch frontend of demo")).to_be_disabled()
        expect(page.get_by_role("button", name=re.compile("Submit|Promote|Roll|Save|Train"))).to_have_count(0)
    finally:
        for name in ("eye", "boss"):
            httpx.delete(f"{product.url}/api/v1/tokens/{name}", headers=header, timeout=30)
