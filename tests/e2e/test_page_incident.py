"""Incidents on the page, in a real Chromium: from the fault's telemetry to cause, map, report, acts and silences."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.e2e.incident_telemetry import HOSTILE, SECOND_NS, Shop, keyed, tell_calm, tell_fault
from tests.e2e.page_browser import BARE_TABLES, LOW_CONTRAST, NARROW, TOO_WIDE, UNNAMED, WIDE, Open
from tests.e2e.product import PROTOBUF, Product, wait_for

pytestmark = pytest.mark.browser

QUICK = {"detect_warmup_s": 60, "detect_window_s": 5, "finding_close_s": 3600}
CALM_S, FAULT_S = 120, 60
CAUSE = "service:payments"


def moment(unix_ns: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_ns // SECOND_NS))


class Broken:
    """A product that was told of a fault; `id` is the incident's."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.began_unix_ns = time.time_ns() - FAULT_S * SECOND_NS
        shop = Shop(product.endpoints["otlp_http"])
        tell_calm(shop, CALM_S, until_unix_ns=self.began_unix_ns)
        tell_fault(shop, FAULT_S, from_unix_ns=self.began_unix_ns)
        self.id: str = wait_for(self._diagnosed, within_s=60, what="an incident with a report")
        self.act("explain")  # The first diagnosis may be older than the last telemetry.

    def _diagnosed(self) -> str:
        items = self.product.get("/api/v1/incidents", state="live")["items"]
        found = [item["id"] for item in items if item["cause"] and len(item["services"]) == 3]
        return found[0] if found and self.incident(found[0])["diagnosis"].get("report_markdown") else ""

    def incident(self, identifier: str = "") -> Any:
        return self.product.get(f"/api/v1/incidents/{identifier or self.id}")

    def finding(self, kind: str) -> Any:
        items = self.product.get("/api/v1/findings", kind=kind, service="payments")["items"]
        return items[0]

    def act(self, what: str, identifier: str = "") -> None:
        address = f"{self.product.url}/api/v1/incidents/{identifier or self.id}/{what}"
        httpx.post(address, json={"by": "test"}, timeout=30).raise_for_status()

    @property
    def span(self) -> str:
        return f"from={moment(self.began_unix_ns)}&to={moment(self.began_unix_ns + FAULT_S * SECOND_NS)}"


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Broken]:
    assert browser.is_connected()
    product = Product(tmp_path_factory.mktemp("broken") / "home", **QUICK)
    yield Broken(product)
    product.stop()


def hypothesis(page: Page | Locator, node: str) -> Locator:
    return page.locator(f'[data-hypothesis="service:{node}"]')


def drag(page: Page, chart: Locator, *, begin: float, end: float) -> None:
    ground = chart.locator(".u-over")
    ground.hover()  # Scrolled to, standing still and not covered.
    box = ground.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * begin, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * end, box["y"] + 40, steps=5)
    page.mouse.up()


# --- from nothing to a cause


def test_an_incident_appears_on_home_by_itself_with_its_cause(tmp_path: Any, view: Open) -> None:
    product = Product(tmp_path / "home", **QUICK)
    try:
        began = time.time_ns() - FAULT_S * SECOND_NS
        shop = Shop(product.endpoints["otlp_http"])
        tell_calm(shop, CALM_S, until_unix_ns=began)
        page = view(product).open("/")
        expect(page.locator("[data-verdict]")).to_have_attribute("data-verdict", "well")
        expect(page.locator("[data-incident]")).to_have_count(0)
        tell_fault(shop, FAULT_S, from_unix_ns=began)
        card = page.locator("[data-incident]").first
        expect(card.locator(f"[data-cause='{CAUSE}']")).to_be_visible(timeout=40_000)
        expect(page.locator("[data-verdict]")).to_have_attribute("data-verdict", "wrong")
        expect(page.get_by_role("heading", level=1)).to_contain_text("goes on")
        expect(page).to_have_title(re.compile(r"^\(1\) Now"))
        card.get_by_role("link").click()
        page.wait_for_url(re.compile("/incidents/[0-9a-f]+"))
        page.get_by_role("button", name="Acknowledge").click()
        expect(page.locator("[data-state=acknowledged]")).to_be_visible()
        page.get_by_role("link", name="Now", exact=True).click()
        expect(card).to_contain_text("acknowledged")
    finally:
        product.stop()


def test_incident_page_tells_facts_cause_evidence_report_similar_timeline(broken: Broken, view: Open) -> None:
    page = view(broken.product).open(f"/incidents/{broken.id}")
    expect(page.locator("[data-cause]").first).to_have_attribute("data-cause", CAUSE)
    headings = page.locator("main section > h2").all_inner_texts()
    assert headings == ["Facts", "Cause", "Was this right?", "Evidence", "Report", "Similar incidents", "Timeline"]
    expect(page.locator("dl.facts")).to_contain_text("services concerned")
    expect(page.locator("dl.facts [data-category]")).to_be_visible()
    expect(page.locator("[data-timeline] li").first).to_be_visible()
    shown = page.get_by_role("region", name="Evidence").locator("article")
    expect(shown.filter(has_text="payments").first).to_be_visible()


def test_cause_is_a_tree_with_courses_and_reasons(broken: Broken, view: Open) -> None:
    page = view(broken.product).open(f"/incidents/{broken.id}")
    leading = page.locator("[data-tree] > li").first
    told = broken.incident()["diagnosis"]["ranking"]["causes"][0]["verdict"]
    expect(hypothesis(leading, "payments")).to_have_attribute("data-verdict", told)
    for below in ("checkout", "frontend"):
        expect(leading.locator("ul.children").locator(f'[data-hypothesis="service:{below}"]')).to_be_visible()
    expect(hypothesis(leading, "frontend")).to_contain_text("explained by checkout")
    for node in ("payments", "checkout", "frontend"):
        expect(hypothesis(page, node).locator("summary [data-course] [data-onset]")).to_have_count(1)
    opened = hypothesis(page, "payments")
    expect(opened).to_contain_text("Speaks for it")
    expect(opened.locator("canvas")).to_be_visible()
    folded = hypothesis(page, "checkout")
    expect(folded.locator(".body")).to_be_hidden()
    folded.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(folded.locator(".body")).to_be_visible()
    explained = {"service:payments", "service:checkout", "service:frontend"}
    for node, why in broken.incident()["diagnosis"]["ranking"]["ruled_out"]:
        if node not in explained:
            expect(page.locator("[data-ruled-out]").get_by_text(why).first).to_be_hidden()
            page.locator("[data-ruled-out] > summary").click()
            expect(page.locator("[data-ruled-out]").get_by_text(why).first).to_be_visible()
            break


def test_map_shows_the_way_of_the_fault_and_leads_on(broken: Broken, view: Open) -> None:
    page = view(broken.product).open(f"/incidents/{broken.id}")
    drawn = page.locator("[data-map]")
    expect(drawn.locator("[data-edge=path]")).to_have_count(len(broken.incident()["diagnosis"]["path"]))
    expect(
        drawn.get_by_role("button", name=re.compile("payments, service, the likeliest cause, critical"))
    ).to_be_visible()
    expect(drawn.get_by_role("button", name=re.compile("frontend, service, on the path"))).to_be_visible()
    drawn.locator('[data-node="service:checkout"]').click()
    page.wait_for_url(re.compile("/map.*node=service:checkout"))
    details = page.locator("[data-node-details]")
    expect(details).to_contain_text("Called by")
    expect(details.get_by_role("link", name=re.compile("payments|checkout|frontend")).first).to_be_visible()
    drawn.locator('[data-node="service:frontend"]').focus()
    page.keyboard.press("Enter")
    expect(details).to_have_attribute("data-node-details", "service:frontend")
    expect(drawn.locator('[data-node="host:n1"]')).to_have_count(0)
    page.get_by_role("button", name=re.compile("Hosts, pods")).click()
    expect(drawn.locator('[data-node="host:n1"]')).to_be_visible()


# --- what people do


def test_acts_change_the_state_and_refusals_are_told(broken: Broken, view: Open) -> None:
    page = view(broken.product, expected="409").open(f"/incidents/{broken.id}")
    page.get_by_label("Your name").fill("ann")
    page.get_by_label("Remark").fill("looking at the pool <b>now</b>")
    page.get_by_role("button", name="Add note").click()
    expect(page.locator("[data-timeline]")).to_contain_text("looking at the pool <b>now</b> by ann")
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.locator("[data-state=acknowledged]")).to_be_visible()
    expect(page.get_by_text("ann is at it")).to_be_visible()

    def somebody_was_quicker(asked: Route) -> None:
        broken.act("resolve")
        asked.continue_()

    page.route("**/resolve", somebody_was_quicker)
    page.get_by_role("button", name="Resolve").click()
    expect(page.get_by_role("alert")).to_contain_text("It could not be resolved.")
    page.get_by_role("button", name="Reopen").click()
    expect(page.locator("[data-state=open]")).to_be_visible()
    page.get_by_role("button", name="Explain again").click()
    expect(page.get_by_role("button", name="Explain again")).to_be_enabled()
    expect(page.locator("[data-cause]").first).to_have_attribute("data-cause", CAUSE)


def test_a_finding_is_split_off_and_taken_back(broken: Broken, view: Open) -> None:
    before = len(broken.incident()["finding_ids"])
    page = view(broken.product).open(f"/incidents/{broken.id}")
    page.get_by_role("button", name="Split …").click()
    expect(page.get_by_role("button", name="Split off", exact=True)).to_be_disabled()
    page.get_by_role("checkbox", name=re.compile("Split off: frontend")).first.check()
    page.get_by_role("button", name="Split off 1").click()
    page.wait_for_url(lambda url: "/incidents/" in url and broken.id not in url)
    expect(page.get_by_text("1 finding", exact=False).first).to_be_visible()
    assert len(broken.incident()["finding_ids"]) == before - 1
    apart = page.url.rpartition("/")[2]
    page.goto(f"{broken.product.url}/incidents/{broken.id}")
    page.get_by_role("button", name="Merge …").click()
    page.locator(f'[data-merge] input[value="{apart}"]').check()
    page.get_by_role("button", name="Merge 1").click()
    expect(page.locator("[data-merge]")).to_have_count(0)
    expect(page.locator("[data-timeline]")).to_contain_text("merged")
    assert len(broken.incident()["finding_ids"]) == before
    assert broken.incident(apart)["state"] == "merged"


def test_silence_from_a_finding_until_it_is_ended(broken: Broken, view: Open) -> None:
    finding = broken.finding("log.error.rate")
    page = view(broken.product).open(f"/findings/{finding['id']}")
    page.get_by_role("link", name="Silence this").click()
    expect(page.get_by_label("Service")).to_have_value("payments")
    expect(page.get_by_label("Kind of finding")).to_have_value("log.error.rate")
    expect(page.get_by_role("button", name="Silence", exact=True)).to_be_disabled()
    page.get_by_label("Why").fill("known, mended tomorrow")
    page.get_by_role("button", name="Silence", exact=True).click()
    row = page.locator("[data-silences] li")
    expect(row).to_contain_text("service payments · kind log.error.rate")
    row.get_by_role("button", name=re.compile("End the silence")).click()
    expect(page.locator("[data-empty=silences]")).to_be_visible()
    page.get_by_role("button", name="Those that ended too").click()
    expect(row).to_contain_text("ended")


def test_other_settings_are_tried_out(broken: Broken, view: Open) -> None:
    page = view(broken.product, expected="400").open("/settings")
    tried = page.locator("[data-preview]")
    tried.get_by_label("incident_hops_max").fill("0")
    tried.get_by_role("button", name="Try").click()
    asked = {"settings": {"incident_hops_max": 0}}
    told = httpx.post(f"{broken.product.url}/api/v1/incidents/preview", json=asked, timeout=30).json()
    counted = f"{told['incidents']} incident{'' if told['incidents'] == 1 else 's'}"
    expect(tried).to_contain_text(f"there would have been {counted} in the last week, from {told['findings']} findings")
    expect(tried).to_contain_text("--set incident_hops_max=0")
    tried.get_by_label("incident_hops_max").fill("99")
    tried.get_by_role("button", name="Try").click()
    expect(tried.get_by_role("alert")).to_contain_text("This could not be tried.")


# --- report and evidence


def test_report_is_drawn_as_text_and_its_citations_lead_to_the_evidence(broken: Broken, view: Open) -> None:
    page = view(broken.product).open(f"/incidents/{broken.id}")
    report = page.locator("[data-report]")
    expect(report).to_contain_text("The likeliest cause is")
    expect(report).to_contain_text("service:payments")
    assert page.locator("main img").count() == 0
    evidence = broken.incident()["diagnosis"]["ranking"]["causes"][0]["evidence_for"][0]["id"]
    report.get_by_role("link", name=f"[{evidence}]").first.click()
    expect(page.locator(f"[id='evidence-{evidence}']")).to_be_focused()

    def downloaded_as_told() -> bool:
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        assert download.value.suggested_filename == f"incident-{broken.id}.md"
        told = broken.incident()["diagnosis"]["report_markdown"]
        return download.value.path().read_text(encoding="utf-8") == told

    # An incident is looked at anew a few times in its first minutes, also between these two readings.
    wait_for(downloaded_as_told, what="a download of the report that is told")
    report.locator("a.cite[href^='/findings/']").first.click()
    page.wait_for_url(re.compile("/findings/[0-9a-f]+"))
    page.goto(f"{broken.product.url}/findings/{broken.finding('log.error.rate')['id']}")
    expect(page.locator("[data-evidence] pre").first).to_contain_text(HOSTILE)
    assert page.locator("main img").count() == 0
    assert page.title().endswith("Findings · Watchkeeper")


def test_findings_of_traces_have_band_exemplars_and_their_incident(broken: Broken, view: Open) -> None:
    finding = broken.finding("trace.latency")
    page = view(broken.product).open(f"/findings/{finding['id']}")
    expect(page.get_by_role("heading", name="Example traces")).to_be_visible()
    expect(page.locator(".chart").first).to_contain_text("expected")
    expect(page.locator("dl.facts")).to_contain_text("Operation")
    page.get_by_role("link", name="Its trace").first.click()
    expect(page.locator("[data-waterfall]")).to_be_visible()
    page.go_back()
    page.locator("[data-incident-of]").click()
    page.wait_for_url(re.compile(f"/incidents/{broken.id}"))


# --- explain this


def test_a_span_chosen_in_the_logs_is_explained(broken: Broken, view: Open) -> None:
    page = view(broken.product).open("/logs?from=15m&severity_min=17")
    drag(page, page.get_by_role("img", name=re.compile("Log lines over time")), begin=0.7, end=0.999)
    page.locator("[data-explain]").click()
    page.wait_for_url(re.compile("/explain.*from="))
    expect(page.locator("[data-looked]")).to_contain_text("Weighed:")


def test_an_explained_span_names_the_cause_and_is_an_address(broken: Broken, view: Open) -> None:
    page = view(broken.product).open(f"/explain?{broken.span}&service=frontend")
    expect(page.locator("[data-cause]").first).to_have_attribute("data-cause", CAUSE)
    expect(hypothesis(page, "payments").locator("canvas")).to_be_visible()
    expect(page.get_by_role("button", name="frontend", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("[data-report]")).to_contain_text("service:payments")
    expect(page.get_by_role("region", name="Findings").locator("article").first).to_be_visible()


def test_a_span_chosen_in_a_finding_is_explained(broken: Broken, view: Open) -> None:
    page = view(broken.product).open(f"/findings/{broken.finding('trace.latency')['id']}")
    drag(page, page.locator(".chart .chart").first, begin=0.6, end=0.95)
    page.locator("[data-explain]").click()
    page.wait_for_url(re.compile("/explain.*service=payments"))


def test_a_calm_span_names_no_cause_and_says_so(broken: Broken, view: Open) -> None:
    calm = broken.began_unix_ns - 60 * SECOND_NS
    page = view(broken.product).open(f"/explain?from={moment(calm)}&to={moment(calm + 30 * SECOND_NS)}")
    expect(page.get_by_text("No cause is named.", exact=True).first).to_be_visible()
    expect(page.get_by_text("What is missing:")).to_be_visible()


def test_a_span_that_is_too_long_is_refused_in_words(broken: Broken, view: Open) -> None:
    page = view(broken.product, expected="400").open("/explain?from=7d")
    expect(page.get_by_role("alert")).to_contain_text("choose a shorter one")


def test_a_disk_that_fills_up_is_forecast(broken: Broken, view: Open) -> None:
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    resource.resource.attributes.extend(keyed(service__name="archive"))
    metric = resource.scope_metrics.add().metrics.add(name="system.filesystem.utilization", unit="1")
    now = time.time_ns()
    for minute in range(40):
        at = now - (40 - minute) * 60 * SECOND_NS
        metric.gauge.data_points.add(time_unix_nano=at, as_double=0.5 + minute / 100)
    url = f"{broken.product.endpoints['otlp_http']}/v1/metrics"
    assert httpx.post(url, content=request.SerializeToString(), headers=PROTOBUF).status_code == 200
    page = view(broken.product).open("/metrics-explorer?name=system.filesystem.utilization&from=1h")
    told = page.locator("[data-forecast]")
    expect(told).to_contain_text(re.compile(r"archive reaches 1 in about 1[0-3] min"))
    told.get_by_role("button", name="Forecast").click()
    page.wait_for_url(re.compile("ahead=0"))


# --- fit for everyone


def _views(broken: Broken) -> list[str]:
    return [
        "/",
        "/incidents",
        f"/incidents/{broken.id}",
        "/map",
        "/map?infrastructure=1&node=service:checkout",
        f"/explain?{broken.span}",
        "/silences?service=payments",
        "/settings?query=incident",
        f"/findings/{broken.finding('trace.latency')['id']}",
        f"/findings/{broken.finding('trace.error.rate')['id']}",
    ]


def _settled(page: Page) -> None:
    page.locator("main :is(table, article, [data-map], [data-empty], [data-silences], dl, canvas)").first.wait_for()


@pytest.mark.parametrize(("size", "scheme"), [(WIDE, "dark"), (NARROW, "light")])
def test_views_are_named_wide_enough_and_readable(
    broken: Broken, view: Open, size: dict[str, int], scheme: str
) -> None:
    one = view(broken.product, size=size, scheme=scheme)
    for path in _views(broken):
        _settled(one.open(path))
        assert one.amiss(UNNAMED) == [], path
        assert one.amiss(BARE_TABLES) == [], path
        assert one.amiss(LOW_CONTRAST) == [], path
        assert one.amiss(TOO_WIDE) == [], path
    elsewhere = [url for url in one.asked if not url.startswith((broken.product.url, "blob:"))]
    assert elsewhere == []
