"""The page in a real headless Chromium, served by the real product, fed by the real OpenTelemetry SDK."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.e2e.conftest import STATIC
from tests.e2e.page_browser import BARE_TABLES, LOW_CONTRAST, NARROW, TOO_WIDE, UNNAMED, Open
from tests.e2e.page_telemetry import HOSTILE, SECOND_NS, Sender, tell_history
from tests.e2e.product import Product, wait_for

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
PAGE_BYTES_MAX = 1_000_000
QUICK = {"detect_warmup_s": 120, "detect_window_s": 5, "finding_close_s": 3600}
VIEWS = ["/", "/logs", "/logs?tab=patterns", "/findings", "/metrics-explorer", "/traces", "/ledger", "/settings"]


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[Product]:
    """A product that nothing was sent to yet."""
    product = Product(tmp_path / "home", **QUICK)
    yield product
    product.stop()


class Busy:
    """A product with a history, a fault that goes on, a trace and metrics."""

    def __init__(self, home: Path, others: tuple[str, ...] = ()) -> None:
        self.product = Product(home, **QUICK)
        endpoint = self.product.endpoints["otlp_http"]
        self.sender = Sender(endpoint, "checkout")
        self.others = [Sender(endpoint, name) for name in others]
        tell_history([self.sender, *self.others], calm_s=240, fault_s=60)
        self.trace_id = self.sender.trace(time.time_ns() - 2 * SECOND_NS)
        self.sender.measure()
        self.sender.log(HOSTILE)
        self.sender.flush()
        self.findings: list[dict[str, Any]] = wait_for(self._open_findings, within_s=60, what="a finding")
        wait_for(lambda: self.product.get("/api/v1/patterns")["items"], what="patterns")

    def _open_findings(self) -> Any:
        return self.product.get("/api/v1/findings", state="open")["items"]

    def stop(self) -> None:
        for sender in (self.sender, *self.others):
            sender.close()
        self.product.stop()


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Busy]:
    assert browser.is_connected()
    running = Busy(tmp_path_factory.mktemp("busy") / "home")
    yield running
    running.stop()


def lines(page: Page) -> Any:
    return page.locator("[data-lines] > li")


# --- nothing sent yet


def test_empty_home_shows_what_to_paste_and_its_counters_move(quiet: Product, view: Open) -> None:
    page = view(quiet).open("/")
    expect(page.locator("[data-verdict]")).to_have_attribute("data-verdict", "none")
    expect(page.locator("[data-paste]")).to_contain_text(f"OTEL_EXPORTER_OTLP_ENDPOINT={quiet.endpoints['otlp_http']}")
    for kind, holds in [("Node.js", "npm install"), ("curl", "/logs"), ("A log file", "watchkeeper replay")]:
        page.get_by_role("button", name=kind, exact=True).click()
        expect(page.locator("[data-paste]")).to_contain_text(holds)
    expect(page.locator("[data-counter=logs]")).to_have_text("0")
    quiet.send_logs([f"line {number}" for number in range(7)])
    expect(page.locator("[data-accepted=logs]")).to_contain_text("7 in all")
    expect(page.locator("[data-verdict]")).to_have_attribute("data-verdict", re.compile("warming|unjudged"))
    expect(page.get_by_role("heading", level=1)).not_to_contain_text("Nothing found wrong")


@pytest.mark.parametrize("path", ["/logs", "/metrics-explorer", "/traces", "/ledger"])
def test_empty_views_show_what_to_paste(quiet: Product, view: Open, path: str) -> None:
    page = view(quiet).open(path)
    expect(page.locator("[data-paste]")).to_contain_text("OTEL_EXPORTER_OTLP_ENDPOINT")
    expect(page.locator("[data-counter]")).to_have_count(3)


def test_no_findings_without_data_is_not_an_all_clear(quiet: Product, view: Open) -> None:
    page = view(quiet).open("/findings")
    expect(page.locator("[data-empty=findings]")).to_contain_text("this is not an all-clear")


def test_data_of_another_time_is_pointed_to(quiet: Product, view: Open) -> None:
    quiet.send_logs(["from long ago"], time_unix_ns=1_500_000_000 * SECOND_NS)
    page = view(quiet).open("/logs")
    page.get_by_role("button", name="Show the last hour of it").click()
    expect(lines(page)).to_have_count(1)
    assert "from=2017-07-14" in page.url


# --- what is wrong now


def test_home_tells_what_is_wrong_with_its_evidence(busy: Busy, view: Open) -> None:
    page = view(busy.product).open("/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("1 incident goes on")
    card = page.locator("article").first
    expect(card).to_contain_text("checkout")
    expect(card).to_contain_text(re.compile("[0-9]+ findings"))
    expect(page.get_by_role("link", name=re.compile("open finding"))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("checkout"))).to_be_visible()
    before = page.locator("[data-accepted=logs]").inner_text()
    busy.sender.log("one more")
    busy.sender.flush()
    expect(page.locator("[data-accepted=logs]")).not_to_have_text(before)


def test_finding_page_has_everything(busy: Busy, view: Open) -> None:
    one = view(busy.product)
    finding = busy.findings[0]
    page = one.open(f"/findings/{finding['id']}")
    expect(page.get_by_role("heading", level=1)).to_have_text(finding["title"])
    for heading in ("Expected", "Seen", "Why this is more than noise", "Facts"):
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
    expect(page.locator("dl.facts")).to_contain_text(finding["id"])
    expect(page.locator("dl.facts")).to_contain_text("Normal was learned from")
    expect(page.locator("[data-evidence] pre").first).to_be_visible()
    page.locator("[data-evidence] a").first.click()
    page.wait_for_url(re.compile("/logs.*from="))
    expect(lines(page).first).to_be_visible()


def test_findings_list_filters_and_opens(busy: Busy, view: Open) -> None:
    page = view(busy.product).open("/findings")
    expect(page.locator("article")).to_have_count(len(busy.product.get("/api/v1/findings")["items"]))
    page.get_by_role("button", name="Closed").click()
    expect(page.locator("[data-empty=findings]")).to_be_visible()
    page.get_by_role("button", name="Clear the filters").click()
    page.locator("article a").first.click()
    page.wait_for_url(re.compile("/findings/[0-9a-f]+"))


def test_finding_that_is_not_there_is_said_so(busy: Busy, view: Open) -> None:
    page = view(busy.product, expected="404").open("/")
    page.goto(f"{busy.product.url}/findings/0123456789abcdef")
    expect(page.get_by_role("alert")).to_contain_text("There is no such finding")


# --- logs


def test_search_filters_and_counts(busy: Busy, view: Open) -> None:
    page = view(busy.product).open("/logs?from=15m")
    page.get_by_role("searchbox", name="Search the logs").fill('"bank gateway" attempts')
    page.keyboard.press("Enter")
    expect(lines(page).first).to_contain_text("could not reach bank gateway")
    expect(lines(page).first.locator("mark").first).to_have_text("bank gateway")
    assert "query=" in page.url
    expect(
        page.get_by_role("img", name=re.compile("Log lines over time: 240 lines, 240 of them errors"))
    ).to_be_visible()
    page.get_by_role("combobox", name="Least severity").select_option(label="warn and worse")
    page.wait_for_url(re.compile("severity_min=13"))
    expect(lines(page).first).to_contain_text("fatal")


def test_search_that_cannot_be_read_shows_the_place(busy: Busy, view: Open) -> None:
    page = view(busy.product, expected="400|422").open("/logs")
    page.get_by_role("searchbox", name="Search the logs").fill('refused "card')
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("This search cannot be read.")
    expect(page.get_by_role("alert")).to_contain_text("^")


def test_more_lines_come_as_one_reads_on(busy: Busy, view: Open) -> None:
    page = view(busy.product).open("/logs?from=15m&query=placed")
    expect(lines(page)).to_have_count(100)
    page.get_by_role("button", name="Older lines").scroll_into_view_if_needed()
    expect(lines(page)).not_to_have_count(100)
    page.wait_for_function("document.querySelectorAll('[data-lines] > li').length >= 200")


def test_record_opens_and_leads_on(busy: Busy, view: Open) -> None:
    page = view(busy.product).open("/logs?from=15m&query=timed+out+card")
    lines(page).first.get_by_role("button").first.click()
    assert "record=" in page.url
    expect(lines(page).first).to_contain_text("service.version")
    expect(lines(page).first).to_contain_text("UTC")
    page.get_by_role("link", name="Its trace").click()
    page.wait_for_url(re.compile(f"/traces/{busy.trace_id}"))


def test_zooming_the_histogram_changes_the_address(busy: Busy, view: Open) -> None:
    page = view(busy.product).open("/logs?from=15m")
    chart = page.get_by_role("img", name=re.compile("Log lines over time"))
    chart.wait_for()
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.70, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.95, box["y"] + 40, steps=5)
    page.mouse.up()
    page.wait_for_url(re.compile(r"from=\d{4}-.*to=\d{4}-"))
    expect(lines(page).first).to_be_visible()


def test_patterns_lead_to_their_lines(busy: Busy, view: Open) -> None:
    page = view(busy.product).open("/logs?from=15m")
    page.get_by_role("button", name="Patterns").click()
    row = page.locator("[data-patterns] tbody tr").filter(has_text="bank gateway")
    expect(row.locator("em").first).to_be_visible()
    expect(row.get_by_role("img")).to_be_visible()
    row.get_by_role("link").click()
    page.wait_for_url(re.compile("template_id=-?[0-9]+"))
    expect(page.get_by_role("region", name="The pattern of these lines")).to_contain_text("240 in all")
    expect(lines(page).first).to_contain_text("bank gateway")


def test_tail_shows_lines_as_they_come_and_pauses(busy: Busy, view: Open) -> None:
    page = view(busy.product).open("/logs?tab=live&query=tailed")
    expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()
    busy.sender.log("tailed one")
    busy.sender.flush()
    expect(lines(page)).to_have_count(1)
    page.get_by_role("button", name="Pause").click()
    busy.sender.log("tailed two")
    busy.sender.log("not of interest")
    busy.sender.flush()
    expect(page.get_by_text("Paused · 1 new")).to_be_visible()
    expect(lines(page)).to_have_count(1)
    page.get_by_role("button", name="Go on").click()
    expect(lines(page)).to_have_count(2)
    expect(lines(page).first).to_contain_text("tailed two")


def test_hostile_telemetry_stays_text(busy: Busy, view: Open) -> None:
    page = view(busy.product).open("/logs?from=15m&query=onerror")
    lines(page).first.get_by_role("button").first.click()
    expect(lines(page).first.locator("pre")).to_have_text('<img src=x onerror="document.title=1"> red  turned')
    assert page.locator("[data-lines] img").count() == 0
    assert page.title().endswith("Logs · Watchkeeper")


# --- metrics and traces


def test_metric_is_drawn_with_its_unit(busy: Busy, view: Open) -> None:
    page = view(busy.product).open("/metrics-explorer?from=15m")
    page.get_by_role("searchbox", name="Search the metrics").fill("duration")
    page.locator("[data-metrics] a").click()
    expect(page.locator("[data-plot] canvas")).to_be_visible()
    expect(page.locator("table")).to_contain_text("checkout")
    expect(page.locator("table")).to_contain_text(re.compile(r"[0-9] m?s"))
    page.get_by_role("button", name="http.route").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_role("combobox", name="Aggregate").select_option("count")
    page.wait_for_url(re.compile("group_by=service,http.route.*agg=count|agg=count.*group_by=service,http.route"))
    expect(page.locator("tbody")).to_contain_text("25")


def test_trace_list_and_waterfall(busy: Busy, view: Open) -> None:
    page = view(busy.product).open("/traces?from=15m")
    page.get_by_role("button", name="Only with errors").click()
    page.locator("[data-traces] a").first.click()
    page.wait_for_url(re.compile(f"/traces/{busy.trace_id}"))
    spans = page.locator("[data-waterfall] [data-span]")
    expect(spans).to_have_count(3)
    charge = page.get_by_role("button", name=re.compile("charge, 180 ms.*failed.*waited 180 ms"))
    charge.click()
    details = page.locator("[data-span-details]")
    for text in ("bank gateway timed out", "card.brand", "ConnectTimeout"):
        expect(details).to_contain_text(text)
    expect(lines(page)).to_have_count(1)
    expect(lines(page)).to_contain_text("charging the card timed out")
    page.keyboard.press("Escape")
    expect(details).to_have_count(0)


def test_ledger_and_settings(busy: Busy, view: Open) -> None:
    page = view(busy.product).open("/ledger")
    expect(page.locator("[data-ledger] tbody tr")).to_have_count(3)
    expect(page.locator("[data-ledger]")).to_contain_text("127.0.0.1")
    page.goto(f"{busy.product.url}/settings")
    row = page.locator("[data-settings] tr", has_text="detect_warmup_s")
    expect(row).to_contain_text("2 min")
    expect(row).to_contain_text("command line")
    page.get_by_role("searchbox", name="Search the settings").fill("retry")
    expect(page.locator("[data-settings] tbody tr").first).to_contain_text("retry")


# --- every view


def test_address_restores_the_state(busy: Busy, view: Open) -> None:
    page = view(busy.product).open("/logs?query=refused&from=6h&severity_min=17&wrap=1")
    expect(lines(page).first).to_contain_text("refused")
    page.reload()
    expect(page.get_by_role("searchbox", name="Search the logs")).to_have_value("refused")
    expect(page.get_by_role("combobox", name="Least severity")).to_have_value("17")
    expect(page.get_by_role("button", name="Last 6h")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Last 1h").click()
    page.go_back()
    expect(page.get_by_role("button", name="Last 6h")).to_have_attribute("aria-pressed", "true")


def test_keyboard_alone_is_enough(busy: Busy, view: Open) -> None:
    page = view(busy.product).open("/")
    for key, path in [("f", "/findings"), ("m", "/metrics-explorer"), ("t", "/traces"), ("l", "/logs"), ("h", "/")]:
        page.keyboard.press("g")
        page.keyboard.press(key)
        page.wait_for_url(f"{busy.product.url}{path}")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Search the logs")).to_be_focused()
    page.keyboard.press("Escape")
    expect(lines(page).first).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page.locator("[aria-expanded=true][data-row]")).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_views_are_legible_and_named(busy: Busy, view: Open, scheme: str) -> None:
    one = view(busy.product, scheme=scheme)
    for path in _all_views(busy):
        page = one.open(path)
        page.wait_for_load_state("load")
        _settled(page)
        assert one.amiss(UNNAMED) == [], path
        assert one.amiss(BARE_TABLES) == [], path
        assert one.amiss(LOW_CONTRAST) == [], path


def test_narrow_views_do_not_scroll_sideways(busy: Busy, view: Open) -> None:
    one = view(busy.product, size=NARROW, scheme="dark")
    for path in _all_views(busy):
        _settled(one.open(path))
        assert one.amiss(TOO_WIDE) == [], path


def _all_views(busy: Busy) -> list[str]:
    metric = "/metrics-explorer?name=shop.orders&from=15m"
    return [*VIEWS, f"/findings/{busy.findings[0]['id']}", f"/traces/{busy.trace_id}", metric]


def _settled(page: Page) -> None:
    """Wait until the view shows what it asked for: a list, a table, a chart, or that there is nothing."""
    page.locator(
        "main :is(table, article, ol, [data-metrics], [data-empty], [data-waterfall], [data-plot], dl, canvas)"
    ).first.wait_for()


def test_theme_follows_the_choice_and_keeps_it(busy: Busy, view: Open) -> None:
    page = view(busy.product, scheme="light").open("/settings")
    background = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(background)
    page.get_by_role("button", name="Dark", exact=True).click()
    dark = page.evaluate(background)
    assert dark != light
    page.reload()
    page.locator("main h1").wait_for()
    assert page.evaluate(background) == dark
    page.get_by_role("button", name="As the system").click()
    assert page.evaluate(background) == light


def test_page_is_light_and_asks_nobody_else(busy: Busy, view: Open) -> None:
    one = view(busy.product)
    for path in _all_views(busy):
        _settled(one.open(path))
    elsewhere = [url for url in one.asked if not url.startswith(busy.product.url)]
    assert elsewhere == []
    built = [path for path in STATIC.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in built) < PAGE_BYTES_MAX
    policy = httpx.get(f"{busy.product.url}/").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe-eval" not in policy


def test_lost_connection_is_told_and_taken_up_again(tmp_path: Path, view: Open) -> None:
    with socket.socket() as finder:
        finder.bind(("127.0.0.1", 0))
        port = finder.getsockname()[1]
    product = Product(tmp_path / "home", http_port=port)
    try:
        page = view(product, expected="ERR_|Failed to load").open("/")
        expect(page.locator("[data-verdict=none]")).to_be_visible()
        product.kill()
        banner = page.get_by_text("Connection lost, trying again.")
        expect(banner).to_be_visible()
        product.start()
        expect(banner).to_be_hidden(timeout=40_000)
    finally:
        product.stop()


def test_token_is_asked_for_and_taken(quiet: Product, view: Open) -> None:
    made = httpx.post(f"{quiet.url}/api/v1/tokens", json={"name": "page", "role": "viewer"})
    assert made.status_code in (200, 201), made.text
    secret = next(value for name, value in made.json().items() if name in ("secret", "token"))
    page = view(quiet, expected="401").open("/")
    expect(page.get_by_role("heading", name="This Watchkeeper asks for a token")).to_be_visible()
    page.get_by_label("Token", exact=True).fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("That token is not known")
    page.get_by_label("Token", exact=True).fill(secret)
    page.keyboard.press("Enter")
    expect(page.locator("[data-verdict=none]")).to_be_visible()


def test_late_refusal_of_an_older_token_is_not_held_against_the_new_one(quiet: Product, view: Open) -> None:
    made = httpx.post(f"{quiet.url}/api/v1/tokens", json={"name": "late", "role": "viewer"})
    secret = next(value for name, value in made.json().items() if name in ("secret", "token"))
    page = view(quiet, expected="401").open("/")
    held: list[Route] = []

    def hold_the_wrong(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer wrong":
            held.append(route)
        else:
            route.continue_()

    page.route("**/api/v1/status*", hold_the_wrong)
    page.get_by_label("Token", exact=True).fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("That token is not known")
    page.get_by_label("Token", exact=True).fill(secret)
    page.keyboard.press("Enter")
    expect(page.locator("[data-verdict=none]")).to_be_visible()
    assert held, "nothing was asked with the wrong token"
    with page.expect_response(lambda answer: answer.status == 401):
        for route in held:
            route.continue_()
    page.get_by_role("link", name="Ledger").click()
    expect(page.get_by_role("heading", name="Ledger", level=1)).to_be_visible()


def _usual_half_second(sender: Sender) -> None:
    for number in range(3):
        sender.log(f"order {number} placed by customer {number}")
        sender.log(f"GET /cart took {number} ms")
    sender.trace(time.time_ns(), fails=False)
    sender.flush()
