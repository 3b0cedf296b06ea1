"""Each fault does what it says, as measured from outside; ends; and leaves its truth behind."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest
from shop.faults import KINDS, FaultRefused, checked
from shop.services.checkout import QUEUE_MAX
from shop_run import RunningShop, until
from shop_sink import Sink

CARD = "4000 0000 0000 1001"
MIB = 2**20


@pytest.fixture(autouse=True)
def all_is_well_again(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that fails with its fault on must not make the next ones fail."""
    yield
    if "shop" in request.fixturenames:
        request.getfixturevalue("shop").fault_off()


def buy(shop: RunningShop, customer: int) -> int:
    added = shop.user.post(f"/cart/{customer}", json={"sku": 20 + customer, "quantity": 1}).status_code
    return added if added >= 400 else shop.user.post(f"/checkout/{customer}", json={"card": CARD}).status_code


def seconds_for(shop: RunningShop, path: str) -> float:
    started = time.perf_counter()
    shop.user.get(path).raise_for_status()
    return time.perf_counter() - started


def only_truth(shop: RunningShop, kind: str, service: str) -> None:
    """The fault that was just ended is the last line of the truth, and lasted from before now to now."""
    truth = shop.truths()[-1]
    assert (truth["kind"], truth["service"]) == (kind, service)
    assert truth["start_unix_ns"] < truth["end_unix_ns"] <= time.time_ns()
    assert set(truth) == {"service", "kind", "start_unix_ns", "end_unix_ns", "parameters"}


def test_error_rate(shop: RunningShop, sink: Sink) -> None:
    assert buy(shop, 1) == 201
    shop.fault_on("error-rate", "payment", share=1.0)
    assert buy(shop, 1) == 502
    log = until(
        lambda: [x for x in sink.logs() if x.service == "payment" and "ConnectionResetError" in x.body],
        10,
        "the error in payment's log",
    )[0]
    assert log.severity == 17
    assert "Traceback" in log.attributes["exception.stacktrace"]
    until(
        lambda: {"checkout", "payment"} <= {x.service for x in sink.logs() if x.trace_id == log.trace_id},
        10,
        "the same trace in checkout's log",
    )
    [ended] = shop.fault_off()
    assert ended["parameters"] == {"share": 1.0}
    assert buy(shop, 1) == 201
    only_truth(shop, "error-rate", "payment")


def test_error_rate_strikes_the_share_it_was_told(shop: RunningShop) -> None:
    shop.fault_on("error-rate", "catalogue", share=0.5)
    statuses = [shop.user.get("/search", params={"q": "tea"}).status_code for _ in range(40)]
    shop.fault_off()
    assert 6 <= statuses.count(502) <= 34
    assert statuses.count(200) == 40 - statuses.count(502)


def test_latency(shop: RunningShop) -> None:
    before = min(seconds_for(shop, "/products/5") for _ in range(5))
    shop.fault_on("latency", "recommendation", delay_ms=600, share=1.0)
    assert seconds_for(shop, "/products/5") > 0.45 > before
    shop.fault_off()
    assert min(seconds_for(shop, "/products/5") for _ in range(5)) < 0.45
    only_truth(shop, "latency", "recommendation")


def test_cpu_burst(shop: RunningShop, sink: Sink) -> None:
    def cpu_s() -> float:
        return float(shop.status()["usage"]["recommendation"]["cpu_s"])

    before = cpu_s()
    time.sleep(1.0)  # the time over which is measured
    calm = cpu_s() - before
    shop.fault_on("cpu-burst", "recommendation", busy_share=0.8)
    before = cpu_s()
    until(lambda: cpu_s() - before > calm + 0.4, 20, "processor time, which a busy machine gives late")
    slowest = max(seconds_for(shop, "/products/6") for _ in range(6))
    shop.fault_off()
    assert calm < 0.4
    assert slowest > 0.15
    until(
        lambda: [
            x for x in sink.logs() if x.service == "recommendation" and x.body.startswith("Event loop was blocked")
        ],
        10,
        "the warning of the event loop",
    )


def test_memory_leak_is_bounded_and_given_back(shop: RunningShop) -> None:
    def memory() -> float:
        return float(shop.status()["usage"]["cart"]["memory_bytes"])

    before = memory()
    shop.fault_on("memory-leak", "cart", mib_per_s=128, mib_max=48)
    until(lambda: memory() > before + 40 * MIB, 10, "40 MiB more")
    time.sleep(0.6)  # time in which an unbounded leak would grow by 75 MiB
    assert memory() < before + 70 * MIB
    shop.fault_off()
    until(lambda: memory() < before + 24 * MIB, 10, "memory given back")


def test_dependency_down_takes_redis_or_the_file_away(shop: RunningShop, sink: Sink) -> None:
    shop.fault_on("dependency-down", "cart")
    assert buy(shop, 2) == 502
    shop.fault_off()
    until(lambda: buy(shop, 2) == 201, 5, "an order once the carts are back")
    if shop.state["carts"] == "redis":
        until(lambda: [x for x in sink.logs() if x.service == "redis" and "bye bye" in x.body], 10, "Redis's last line")
        until(
            lambda: [x for x in sink.logs() if x.service == "cart" and "ConnectionError" in x.body], 10, "cart's error"
        )
    only_truth(shop, "dependency-down", "cart")


@pytest.mark.parametrize(
    ("service", "dependency", "status"),
    [("checkout", "payment", 502), ("payment", "bank", 502), ("catalogue", "stock", 502), ("frontend", "cart", 503)],
)
def test_dependency_down_of_other_services(shop: RunningShop, service: str, dependency: str, status: int) -> None:
    shop.fault_on("dependency-down", service, dependency=dependency)
    assert buy(shop, 3) == status
    shop.fault_off()
    assert buy(shop, 3) == 201


def test_bad_deploy_is_a_new_process_with_a_new_version_and_new_errors(shop: RunningShop, sink: Sink) -> None:
    old = shop.status()["services"]["payment"]
    shop.fault_on("bad-deploy", "payment", share=1.0)
    new = shop.status()["services"]["payment"]
    assert (old["version"], new["version"]) == ("1.4.0", "1.5.0")
    assert new["pid"] != old["pid"]
    assert buy(shop, 4) == 502
    log = until(
        lambda: [x for x in sink.logs() if x.service == "payment" and "settlement_currency" in x.body],
        10,
        "the new error",
    )[0]
    assert log.version == "1.5.0"
    shop.fault_off()
    assert buy(shop, 4) == 201
    assert shop.status()["services"]["payment"]["version"] == "1.4.0"
    only_truth(shop, "bad-deploy", "payment")


def test_a_deploy_refuses_nobody(shop: RunningShop) -> None:
    """While a service is replaced its callers wait at its open port; with share so small, nothing else fails either."""
    shop.fault_on("bad-deploy", "catalogue", share=0.01)
    first = shop.user.get("/search", params={"q": "tea"})
    shop.fault_off()
    second = shop.user.get("/search", params={"q": "tea"})
    assert {first.status_code, second.status_code} <= {200, 502}
    assert second.status_code == 200


def test_queue_jam_fills_the_queue_until_orders_are_refused(shop: RunningShop, sink: Sink) -> None:
    shop.fault_on("queue-jam", "checkout")
    statuses = [buy(shop, customer) for customer in range(QUEUE_MAX + 4)]
    assert 502 in statuses[-3:]
    assert statuses[: QUEUE_MAX - 1] == [201] * (QUEUE_MAX - 1)
    name = "shop.orders.queue.depth"
    until(
        lambda: [p for p in sink.points() if p.name == name and p.value == QUEUE_MAX], 10, "a full queue in the metric"
    )
    until(lambda: [x for x in sink.logs() if x.body.startswith("Order queue holds")], 10, "the warning of the queue")
    shop.fault_off()
    until(lambda: buy(shop, 60) == 201, 10, "an order once the queue moves")
    until(lambda: [p for p in sink.points() if p.name == name][-1].value < 5, 10, "an empty queue in the metric")


def test_a_fault_ends_by_itself(shop: RunningShop) -> None:
    count = len(shop.truths())
    shop.fault_on("latency", "cart", seconds=0.3, delay_ms=50, share=1.0)
    until(lambda: not shop.control.get("/faults").json()["running"], 5, "the end of the fault")
    until(lambda: len(shop.truths()) == count + 1, 5, "its truth")
    truth = shop.truths()[-1]
    assert 0.25 < (truth["end_unix_ns"] - truth["start_unix_ns"]) / 1e9 < 3


def test_a_fault_is_on_once(shop: RunningShop) -> None:
    shop.fault_on("latency", "cart")
    again = shop.control.post("/faults", json={"kind": "latency", "service": "cart"})
    assert again.status_code == 422
    assert "already" in again.json()["detail"]
    assert len(shop.fault_off()) == 1
    assert shop.fault_off() == []


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"kind": "meteor"}, "there are error-rate"),
        ({"kind": "queue-jam", "service": "cart"}, "it fits checkout"),
        ({"kind": "latency", "service": "nobody"}, "does not fit"),
        ({"kind": "latency", "seconds": 3600}, "at most 600"),
        ({"kind": "latency", "seconds": 0}, "more than 0"),
        ({"kind": "memory-leak", "parameters": {"mib_max": 100_000}}, "within 1 .. 512"),
        ({"kind": "latency", "parameters": {"delay_ms": "long"}}, "not a number"),
        ({"kind": "latency", "parameters": {"colour": 3}}, "it has: delay_ms, share"),
        ({"kind": "dependency-down", "service": "cart", "parameters": {"dependency": "moon"}}, "depends on carts"),
    ],
)
def test_wishes_that_are_refused_say_what_is_allowed(shop: RunningShop, wish: dict[str, object], told: str) -> None:
    answer = shop.control.post("/faults", json=wish)
    assert answer.status_code == 422
    assert told in answer.json()["detail"]


def test_every_kind_has_defaults_that_pass_its_own_check() -> None:
    for kind in KINDS.values():
        for service in kind.services:
            fault = checked(kind.name, service)
            assert fault.service == service
            assert set(kind.bounds) <= set(fault.parameters)
    with pytest.raises(FaultRefused):
        checked("latency", parameters={"share": float("nan")})


def test_the_command_line_switches_faults(shop: RunningShop, capsys: pytest.CaptureFixture[str]) -> None:
    from shop.__main__ import main

    folder = ["--folder", str(shop.folder)]
    on = ["fault", "on", "latency", "--service", "cart", "--for", "1m", "--set", "delay_ms=5", *folder]
    assert main(on) == 0
    assert '"delay_ms": 5.0' in capsys.readouterr().out
    assert main(["fault", "list", *folder]) == 0
    assert '"seconds": 60.0' in capsys.readouterr().out
    assert main(["fault", "off", "latency", *folder]) == 0
    assert '"end_unix_ns"' in capsys.readouterr().out
    assert main(["fault", "on", "meteor", *folder]) == 2
    assert "there is no fault 'meteor'" in capsys.readouterr().err
    assert main(["status", *folder]) == 0
    assert main(["status", "--folder", str(shop.folder / "nowhere")]) == 1
    assert httpx.get(f"{shop.state['control']}/faults", trust_env=False).json()["running"] == []
