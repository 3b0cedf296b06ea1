"""The shop as its users and its collector see it: the path through it, and the telemetry that the path leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest
from shop.layout import SERVICES, find_program
from shop_run import SHOP, RunningShop, until
from shop_sink import Log, Sink, Span

CARD = "4000 0000 0000 1001"
SERVER, CLIENT, CONSUMER = 2, 3, 5


def buy(shop: RunningShop, customer: int, card: str = CARD) -> httpx.Response:
    shop.user.post(f"/cart/{customer}", json={"sku": 100, "quantity": 1}).raise_for_status()
    return shop.user.post(f"/checkout/{customer}", json={"card": card})


def test_uses_nginx_and_redis_where_they_are_installed(shop: RunningShop) -> None:
    status = shop.status()
    assert status["nginx"] is (find_program("nginx") is not None)
    assert status["carts"] == ("redis" if find_program("redis-server") else "sqlite")
    server = shop.user.get("/").headers["server"]
    assert ("nginx" in server) is status["nginx"]


def test_user_path_from_home_to_paid_order(shop: RunningShop) -> None:
    home = shop.user.get("/", params={"customer": 5}).json()
    assert len(home["featured"]) == 8
    assert len(home["recommended"]) == 4
    assert shop.user.get("/search", params={"q": "green tea"}).json()["items"][0]["name"] == "green tea"
    product = shop.user.get("/products/40", params={"customer": 5}).json()
    assert product["recommended"]
    assert 40 not in [each["sku"] for each in product["recommended"]]
    assert shop.user.post("/cart/5", json={"sku": 40, "quantity": 2}).json() == {"sku": 40, "quantity": 2}
    assert shop.user.get("/cart/5").json() == {"items": [[40, 2]]}
    order = shop.user.post("/checkout/5", json={"card": CARD, "coupon": "SPRING10"})
    assert order.status_code == 201
    assert order.json()["total_cents"] == product["price_cents"] * 2 * 90 // 100
    assert shop.user.get("/cart/5").json() == {"items": []}
    again = shop.user.get("/products/40").json()
    assert again["pieces"] == product["pieces"] - 2


@pytest.mark.parametrize(
    ("send", "status"),
    [
        (lambda shop: buy(shop, 6, "4000 0000 0000 0002"), 402),
        (lambda shop: shop.user.post("/checkout/7", json={"card": CARD}), 409),
        (lambda shop: shop.user.get("/products/9999"), 404),
        (lambda shop: shop.user.post("/cart/8", json={"sku": 1, "quantity": 0}), 422),
    ],
    ids=["declined card", "empty cart", "unknown product", "no quantity"],
)
def test_what_a_user_does_wrong_is_told_as_such(shop: RunningShop, send: object, status: int) -> None:
    assert send(shop).status_code == status  # type: ignore[operator]


def test_control_is_not_reachable_from_outside(shop: RunningShop) -> None:
    if not shop.status()["nginx"]:
        pytest.skip("without nginx the frontend's own port is the front")
    assert shop.user.get("/_control/health").status_code == 404
    page = {"Origin": "http://evil.example"}
    assert shop.control.post("/faults", json={"kind": "latency"}, headers=page).status_code == 403


def trace_of(sink: Sink, trace_id: str, services: set[str]) -> list[Span]:
    """Wait for a trace that holds spans of these services."""

    def whole() -> list[Span] | None:
        spans = [span for span in sink.spans() if span.trace_id == trace_id]
        return spans if services <= {span.service for span in spans} else None

    found: list[Span] = until(whole, 10, f"a trace with {services}")
    return found


def test_one_trace_leads_through_all_services_of_an_order(shop: RunningShop, sink: Sink) -> None:
    answer = buy(shop, 30)
    trace_id = answer.headers["traceresponse"].split("-")[1]
    spans = trace_of(sink, trace_id, {"frontend", "checkout", "cart", "catalogue", "payment"})
    by_id = {span.span_id: span for span in spans}
    roots = [span for span in spans if not span.parent_span_id]
    assert [(root.service, root.name, root.kind) for root in roots] == [
        ("frontend", "POST /checkout/{customer}", SERVER)
    ]
    parents = {
        (by_id[span.parent_span_id].service, span.service)
        for span in spans
        if span.parent_span_id and span.kind == SERVER and by_id[span.parent_span_id].kind == CLIENT
    }
    assert parents == {
        ("frontend", "checkout"),
        ("checkout", "cart"),
        ("checkout", "catalogue"),
        ("checkout", "payment"),
    }
    until(
        lambda: [s for s in sink.spans() if s.kind == CONSUMER and trace_id in s.links], 10, "the sending of the order"
    )


def test_log_records_carry_the_trace_they_belong_to(shop: RunningShop, sink: Sink) -> None:
    trace_id = buy(shop, 31).headers["traceresponse"].split("-")[1]
    wanted = {"frontend", "checkout", "cart", "catalogue", "payment"} | ({"nginx"} if shop.status()["nginx"] else set())

    def logs() -> list[Log] | None:
        mine = [log for log in sink.logs() if log.trace_id == trace_id]
        return mine if wanted <= {log.service for log in mine} else None

    bodies = {log.service: log.body for log in until(logs, 10, f"logs of one trace from {wanted}")}
    assert bodies["frontend"].startswith("Customer 31 bought order O-")
    if "nginx" in wanted:
        assert bodies["nginx"].startswith("POST /checkout/31 201 ")


def test_every_service_tells_its_metrics(shop: RunningShop, sink: Sink) -> None:
    shop.user.get("/products/3")
    everywhere = {"process.memory.usage", "process.cpu.utilization", "shop.event_loop.lag"}
    special = {
        "frontend": {"http.server.request.duration", "http.server.requests", "http.server.active_requests",
                     "http.client.request.duration"},
        "checkout": {"shop.orders.queue.depth"},
        "recommendation": {"model.inference.duration", "model.inference.batch_size"},
    }  # fmt: skip

    def missing() -> set[tuple[str, str]]:
        told = {(point.service, point.name) for point in sink.points()}
        return {(s, name) for s in SERVICES for name in everywhere | special.get(s, set())} - told

    until(lambda: not missing(), 10, "metrics of all services")
    memory = [p.value for p in sink.points() if p.name == "process.memory.usage"]
    assert min(memory) > 10 * 2**20


def test_inference_is_a_span_with_the_models_name_and_batch(shop: RunningShop, sink: Sink) -> None:
    shop.user.get("/products/4", params={"customer": 12})
    [span, *_] = until(lambda: [s for s in sink.spans() if s.name == "inference"], 10, "an inference")
    assert span.attributes["model.name"] == "shop-pmi-svd"
    assert span.attributes["model.batch_size"] >= 1
    assert len(span.links) == span.attributes["model.batch_size"]


def test_everything_runs_within_its_means(shop: RunningShop) -> None:
    usage = shop.status()["usage"]
    assert sum(row["memory_bytes"] for row in usage.values()) < 700 * 2**20
    assert set(SERVICES) <= set(usage)


def test_a_second_shop_in_the_same_folder_is_refused(shop: RunningShop) -> None:
    again = subprocess.run(
        [sys.executable, "-m", "shop", "up", "--folder", str(shop.folder), "--rate", "0"],
        cwd=SHOP, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert again.returncode == 2
    assert "runs in" in again.stderr


def test_without_nginx_and_redis_under_load_and_ctrl_c(tmp_path: Path, sink: Sink) -> None:
    shop = RunningShop(tmp_path / "shop", sink.address, "--no-nginx", "--no-redis", "--rate", "60", "--seed", "3")
    try:
        assert (shop.state["nginx"], shop.state["carts"]) == (False, "sqlite")
        load = until(lambda: (s := shop.status()["load"]) and s["requests"] > 120 and s, 25, "120 requests of the load")
        assert load["failed"] == 0, load
        assert {"200", "201", "402", "404", "409"} <= set(load["by_status"]), "the tour walks the rare paths too"
    finally:
        assert shop.end(signal.SIGINT) == 0


def test_goes_on_without_a_collector_and_kill_9_leaves_nothing(tmp_path: Path) -> None:
    shop = RunningShop(tmp_path / "a shop", "http://127.0.0.1:9", "--rate", "20")
    try:
        assert buy(shop, 40).status_code == 201
        victim = shop.status()["services"]["cart"]["pid"]
        os.kill(victim, signal.SIGKILL)
        until(lambda: shop.status()["services"]["cart"]["pid"] != victim, 5, "a new cart service")
        until(lambda: buy(shop, 41).status_code == 201, 10, "an order after the cart service came back")
        second = httpx.get(f"{shop.state['front']}/", trust_env=False)
        assert second.status_code == 200
    finally:
        assert shop.end(signal.SIGKILL) == -signal.SIGKILL


def test_all_end_when_the_nursery_is_killed(tmp_path: Path) -> None:
    shop = RunningShop(tmp_path, "http://127.0.0.1:9", "--rate", "0", "--no-nginx", "--no-redis")
    [nursery] = psutil.Process(shop.process.pid).children()
    nursery.kill()
    assert shop.process.wait(20) == 1
    _, alive = psutil.wait_procs(shop.processes, timeout=10)
    shop.process.communicate()
    shop.control.close()
    shop.user.close()
    assert not alive
